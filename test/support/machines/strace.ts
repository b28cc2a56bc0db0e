/** A relay under strace: every system call that it makes, from its first to its last. */
import { expect } from "bun:test";
import { readFile } from "node:fs/promises";
import { command, Output, spawn } from "../relays/relay.ts";

/** A call as strace writes it; descriptors stand with what they are, such as 5<socket:[123]>. */
export interface Call {
  readonly name: string;
  readonly args: string;
  readonly result: string;
}

/** The relay while it is traced. */
export interface Traced {
  readonly url: string;
  readonly port: number;
  readonly adminUrl: string;
}

/**
 * Runs the binary with `args` under strace, has `use` keep it busy, and ends it with SIGTERM.
 * @param file where strace writes
 */
export async function trace(
  file: string,
  args: readonly string[],
  use: (relay: Traced) => Promise<void>,
): Promise<Call[]> {
  const relayArgs = ["--host=127.0.0.1", "--port=0", "--admin=127.0.0.1:0", "--drain=0s", ...args];
  const tracer = spawn(["strace", "-f", "-qq", "-y", "-o", file, ...command("binary", ...relayArgs)]);
  const [stdout, stderr] = [new Output(tracer.stdout), new Output(tracer.stderr)];
  let relay: number | null = null;
  try {
    const [, port] = await stdout.until(/: listening on https?:\S+:(\d+)/);
    const [, adminUrl] = await stdout.until(/operator on (\S+)/);
    if (!port || !adminUrl) throw new Error(`the relay did not start: ${stdout.text}${stderr.text}`);
    relay = Number((await readFile(`/proc/${tracer.pid}/task/${tracer.pid}/children`, "utf8")).split(" ")[0]);
    await use({ url: `ws://127.0.0.1:${port}`, port: Number(port), adminUrl });
    process.kill(relay, "SIGTERM");
    await tracer.exited;
    relay = null;
  } finally {
    if (relay !== null) process.kill(relay, "SIGKILL");
    await tracer.exited;
  }
  expect(stdout.text).toEndWith(": stopped\n");
  return parsed(await readFile(file, "latin1"));
}

/** The lines of all threads; a call that another thread's line has cut in two is put together. */
function parsed(text: string): Call[] {
  const begun = new Map<string, string>();
  const calls: Call[] = [];
  for (const line of text.split("\n")) {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const [, end] = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest) ?? [];
    const whole = end === undefined ? rest : `${begun.get(thread) ?? ""}${end}`;
    const [, start] = /^(.*?) ?<unfinished \.\.\.>$/.exec(whole) ?? [];
    if (start !== undefined) begun.set(thread, start);
    const [, name, args = "", result = ""] = /^(\w+)\((.*)\) += (.*)$/.exec(whole) ?? [];
    if (name !== undefined) calls.push({ name, args, result });
  }
  return calls;
}
