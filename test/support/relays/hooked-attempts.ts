/**
 * What a relay that somebody has taken over might try, from inside. Loaded by the hooked relay on its main thread and
 * on a worker, before the lock, so that nothing needs to be opened for the attempt itself. Never a part of a release.
 */
import { ptr } from "bun:ffi";
import * as fs from "node:fs";
import { REFUSED_CALLS } from "../machines/refused.ts";
import { call, processor } from "./hooked-calls.ts";
import { CALLS_OUT, OTHER_WAYS, type Outside } from "./hooked-ways-out.ts";

/** Where an attempt may do its harm. */
export interface Ground {
  /** A folder with a file named "there" in it. */
  readonly folder: string;
  /** A port of the loopback on which somebody listens. */
  readonly port: number;
  /** Another process. */
  readonly pid: number;
  /** Who is called. */
  readonly outside: Outside;
}

const NAME = Buffer.from("name\0");
const [AF_INET, SOCK_STREAM, PTRACE_SEIZE, PR_SET_DUMPABLE, TIOCSTI] = [2, 1, 0x4206, 4, 0x5412];

/** The attempts by name, in their order: each succeeds where nothing is locked. */
export const ATTEMPTS: Readonly<Record<string, (ground: Ground) => unknown>> = {
  "read a file": ({ folder }) => fs.readFileSync(`${folder}/there`),
  "read the environment again": () => fs.readFileSync("/proc/self/environ"),
  "list a folder": ({ folder }) => fs.readdirSync(folder),
  "write a file": ({ folder }) => fs.writeFileSync(`${folder}/there`, "kept"),
  "create a file": ({ folder }) => fs.writeFileSync(`${folder}/new`, "kept"),
  "create a file in memory": () => call("memfd_create", ptr(NAME), 0),
  "create a folder": ({ folder }) => fs.mkdirSync(`${folder}/folder`),
  "rename a file": ({ folder }) => fs.renameSync(`${folder}/there`, `${folder}/elsewhere`),
  "link a file": ({ folder }) => fs.symlinkSync(`${folder}/elsewhere`, `${folder}/link`),
  "change a file's mode": ({ folder }) => fs.chmodSync(`${folder}/elsewhere`, 0o600),
  "remove a file": ({ folder }) => fs.unlinkSync(`${folder}/elsewhere`),
  "start a program": () => Bun.spawnSync(["/bin/true"]),
  "signal another process": ({ pid }) => process.kill(pid, 0),
  "trace another process": ({ pid }) => call("ptrace", PTRACE_SEIZE, pid, 0, 0),
  "limit another process": ({ pid }) => call("prlimit64", pid, 0, 0, 0),
  "make a socket": () => call("socket", AF_INET, SOCK_STREAM, 0),
  "listen on another port": () => Bun.serve({ port: 0, fetch: () => new Response() }).stop(true),
  "connect to somebody": async ({ port }) => {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
  },
  "fetch a page": ({ port }) => fetch(`http://127.0.0.1:${port}/`),
  "become another user": () => call("setuid", 0),
  "become dumpable": () => call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0),
  ...Object.fromEntries(
    Object.entries(CALLS_OUT).map(([name, attempt]) => [name, ({ outside }: Ground) => attempt(outside, `<${name}>`)]),
  ),
  ...Object.fromEntries(Object.entries(OTHER_WAYS).map(([name, attempt]) => [name, ({ pid }: Ground) => attempt(pid)])),
};

/** Calls that would go on in two processes, or leave something behind, if they were let through. */
const LEFT_ALONE: readonly string[] = ["fork", "vfork", "msgget", "setsid", "vhangup", "sync"];

/**
 * Tries every system call that the lock refuses, with arguments that make no sense to any of them.
 * @returns the kernel's answer to each, as its number: 13 is EACCES
 */
export function tryCalls(): Record<string, number> {
  const answers = (Object.keys(REFUSED_CALLS) as (keyof typeof REFUSED_CALLS)[])
    .filter((name) => !LEFT_ALONE.includes(name) && REFUSED_CALLS[name][processor] !== null)
    .map((name): [string, number] => [name, numberOf(() => void call(name))]);
  return { ...Object.fromEntries(answers), TIOCSTI: numberOf(() => void call("ioctl", 0, TIOCSTI)) };
}

/** 0 where it succeeds. */
function numberOf(attempt: () => void): number {
  try {
    attempt();
    return 0;
  } catch (refusal) {
    return -errnoOf(refusal);
  }
}

/** Makes one of the attempts. Returns "done", or how it was refused: the kernel's name for it where there is one. */
export async function tryOne(name: string, ground: Ground): Promise<string> {
  try {
    await ATTEMPTS[name]?.(ground);
    return "done";
  } catch (refusal) {
    if (errnoOf(refusal) === -13) return "EACCES";
    return refusal instanceof Error && "code" in refusal ? String(refusal.code) : String(refusal);
  }
}

function errnoOf(refusal: unknown): number {
  return refusal instanceof Error && "errno" in refusal ? Number(refusal.errno) : 0;
}
