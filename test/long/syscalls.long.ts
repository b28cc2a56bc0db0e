/**
 * That the unit's SystemCallFilter takes nothing away that the relay needs: a busy relay under strace, from its start
 * to the end of its drain, and what it called against what systemd says that the filter lets through.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expectUndisturbed, newPair, type Pair } from "../support/client.ts";
import { newFolder } from "../support/folder.ts";
import { pathOf, writeCertificate } from "../support/fronts.ts";
import { command, Output, ROOT, run, spawn } from "../support/relay.ts";

const PAIRS = 1_000;
/** Pairs that are made at a time. */
const AT_A_TIME = 50;
const UNIT = readFileSync(resolve(ROOT, "deploy/whisper-signaling.service"), "utf8");

const missing = ["strace", "systemd-analyze", "openssl"].filter((program) => pathOf(program) === null);
if (missing.length > 0) console.warn(`syscalls.long.ts: nothing is tried: there is no ${missing.join(", ")}`);

test.skipIf(missing.length > 0 && !process.env["CI"])(
  "a busy relay calls nothing that the unit takes away, over TLS either, and is not the worse for it",
  async () => {
    expect(missing).toEqual([]);
    const allowed = await allowedCalls();
    expect(allowed.size).toBeGreaterThan(200);
    for (const refused of ["ptrace", "mount", "setuid", "io_uring_setup", "bpf"])
      expect(allowed).not.toContain(refused);
    await using folder = await newFolder();
    await writeCertificate(folder.path);
    const tls = [`--tls-cert=${folder.path}/cert.pem`, `--tls-key=${folder.path}/key.pem`];
    for (const [args, pairs] of [
      [[], PAIRS],
      [tls, 1], // the clients of the tests don't take its certificate: `check` does
    ] as const) {
      const called = await callsOf(join(folder.path, "calls"), args, pairs);
      for (const needed of ["accept4", "epoll_ctl", "mmap", "futex"]) expect(called).toContain(needed);
      expect(called.filter((name) => !allowed.has(name))).toEqual([]);
    }
  },
);

/** The system calls of a relay that is traced from its first to its last. */
async function callsOf(file: string, args: readonly string[], pairs: number): Promise<string[]> {
  const relayArgs = ["--host=127.0.0.1", "--port=0", "--admin=127.0.0.1:0", "--drain=0s", ...args];
  const tracer = spawn(["strace", "-f", "-qq", "-c", "-U", "name", "-o", file, ...command("binary", ...relayArgs)]);
  const [stdout, stderr] = [new Output(tracer.stdout), new Output(tracer.stderr)];
  let relay: number | null = null;
  try {
    const [, scheme, port] = await stdout.until(/: listening on (https?):\S+:(\d+)/);
    const [, adminPort] = await stdout.until(/operator on \S+:(\d+)/);
    if (!port) throw new Error(`the relay did not start: ${stdout.text}${stderr.text}`);
    relay = Number((await readFile(`/proc/${tracer.pid}/task/${tracer.pid}/children`, "utf8")).split(" ")[0]);
    if (scheme === "http") await beBusy(`ws://127.0.0.1:${port}`, pairs);
    const url = [`--port=${port}`, ...args];
    expect(await run(command("binary", "check", ...url))).toMatchObject({ exitCode: 0 });
    expect((await fetch(`http://127.0.0.1:${adminPort}/metrics`)).status).toBe(200);
    process.kill(relay, "SIGTERM");
    await tracer.exited;
    relay = null;
  } finally {
    if (relay !== null) process.kill(relay, "SIGKILL");
    await tracer.exited;
  }
  expect(stdout.text).toEndWith(": stopped\n");
  const [, ...names] = (await readFile(file, "utf8")).match(/^[a-z]\w+(?=\s*$)/gm) ?? []; // the first is the heading
  expect(names.pop()).toBe("total");
  return names;
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
