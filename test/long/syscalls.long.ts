/**
 * What a busy relay asks of the kernel, under strace, from its start to the end of its drain: nothing that the unit's
 * SystemCallFilter takes away, and once it is locked nothing but to read and write sockets.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { newFolder } from "../support/machines/folder.ts";
import { pathOf, writeCertificate } from "../support/machines/fronts.ts";
import { REFUSED_CALLS } from "../support/machines/refused.ts";
import { type Call, trace } from "../support/machines/strace.ts";
import { expectUndisturbed, newPair, type Pair } from "../support/peers/client.ts";
import { command, ROOT, run } from "../support/relays/relay.ts";

const PAIRS = 1_000;
/** Pairs that are made at a time. */
const AT_A_TIME = 50;
const UNIT = readFileSync(resolve(ROOT, "deploy/whisper-signaling.service"), "utf8");
/** The calls that take bytes out of a process. */
const WRITING = /^(p?writev?(64|2)?|send(to|m?msg|file)|splice|tee|vmsplice|copy_file_range)$/;
/** What Bun would open, and does without: the memory in use, for its garbage collector; issuers of its own certificate. */
const ASKED_FOR = /"\/proc\/self\/statm"|"\/etc\/ssl\/certs\/[0-9a-f]{8}\.\d+"/;

const missing = ["strace", "systemd-analyze", "openssl"].filter((program) => pathOf(program) === null);
if (missing.length > 0) console.warn(`syscalls.long.ts: nothing is tried: there is no ${missing.join(", ")}`);

/** As many sessions as are wanted are played from this machine. */
const EXEMPT = ["--exempt=127.0.0.1"];

describe.skipIf(missing.length > 0 && !process.env["CI"])("a busy relay, plain and with TLS,", () => {
  let traces: readonly Call[][] = [];
  beforeAll(async () => {
    await using folder = await newFolder();
    await writeCertificate(folder.path);
    const tls = [`--tls-cert=${folder.path}/cert.pem`, `--tls-key=${folder.path}/key.pem`];
    const [plainFile, tlsFile] = [join(folder.path, "plain"), join(folder.path, "tls")];
    const plain = await trace(plainFile, EXEMPT, async ({ url, port, adminUrl }) => {
      await beBusy(url, PAIRS);
      await beChecked(port, [], adminUrl);
    });
    // The clients of the tests don't take its certificate: `check` does.
    traces = [plain, await trace(tlsFile, [...tls, ...EXEMPT], ({ port, adminUrl }) => beChecked(port, tls, adminUrl))];
  }, 120_000);

  test("calls nothing that the unit takes away", async () => {
    const allowed = await allowedCalls();
    expect(allowed.size).toBeGreaterThan(200);
    for (const refused of ["ptrace", "mount", "setuid", "io_uring_setup", "bpf"])
      expect(allowed).not.toContain(refused);
    for (const calls of traces) {
      const called = new Set(calls.map(({ name }) => name));
      for (const needed of ["accept4", "epoll_ctl", "mmap", "futex"]) expect(called).toContain(needed);
      expect([...called].filter((name) => !allowed.has(name))).toEqual([]);
    }
  });

  test("opens no file once it is locked", () => {
    for (const after of traces.map(sinceLocked)) {
      const tried = after.filter(({ name }) => name in REFUSED_CALLS);
      expect(tried.filter(({ result }) => !result.includes("EACCES"))).toEqual([]);
      expect(tried.filter(({ args }) => !ASKED_FOR.test(args))).toEqual([]);
    }
  });

  test("writes to nothing but sockets and its log once it is locked, and to its own threads to wake them", () => {
    for (const after of traces.map(sinceLocked)) {
      const places = after.filter(({ name }) => WRITING.test(name)).map(({ args }) => args.replace(/,.*$/s, ""));
      expect(places.some((place) => place.includes("<socket:"))).toBe(true);
      expect(places.some((place) => place.startsWith("1<"))).toBe(true);
      expect(places.filter((place) => !/^[12]<|<socket:|<anon_inode:\[eventfd\]>$/.test(place))).toEqual([]);
    }
  });
});

function sinceLocked(calls: readonly Call[]): Call[] {
  const lock = calls.findIndex(({ name, args }) => name === "seccomp" && args.startsWith("SECCOMP_SET_MODE_FILTER"));
  expect(calls[lock]?.result).toBe("0");
  expect(calls.length - lock).toBeGreaterThan(100);
  return calls.slice(lock + 1);
}

/** A trial from outside, and a scrape. */
async function beChecked(port: number, args: readonly string[], adminUrl: string): Promise<void> {
  expect(await run(command("binary", "check", `--port=${port}`, ...args))).toMatchObject({ exitCode: 0 });
  expect((await fetch(`${adminUrl}/metrics`)).status).toBe(200);
}

/** Many pairs at once, which are still there when it returns. */
async function beBusy(url: string, count: number): Promise<void> {
  const pairs: Pair[] = [];
  while (pairs.length < count)
    pairs.push(...(await Promise.all(Array.from({ length: AT_A_TIME }, () => newPair(url)))));
  await Promise.all(pairs.map(expectUndisturbed));
}

/** What the unit's filter lets through: its first line allows, its second takes away. */
async function allowedCalls(): Promise<Set<string>> {
  const allowed = new Set<string>();
  for (const [, not, sets = ""] of UNIT.matchAll(/^SystemCallFilter=(~?)(.*)$/gm))
    for (const set of sets.split(" "))
      for (const name of await callsIn(set)) not ? allowed.delete(name) : allowed.add(name);
  return allowed;
}

/** The calls of a set such as @system-service, with those of the sets in it. */
async function callsIn(set: string): Promise<string[]> {
  if (!set.startsWith("@")) return [set];
  const { exitCode, stdout } = await run(["systemd-analyze", "--no-pager", "syscall-filter", set]);
  expect(exitCode).toBe(0);
  const names = [...stdout.matchAll(/^ {4}([@\w-]+)$/gm)].map(([, name = ""]) => name);
  return (await Promise.all(names.map(callsIn))).flat();
}
