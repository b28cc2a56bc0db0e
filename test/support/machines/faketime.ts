/**
 * The binary under a wall clock that the test can set, by Debian's libfaketime: the machine's own clock is not
 * touched, and the relay's monotonic clock goes on as it is.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, Output, spawn } from "../relays/relay.ts";

const LIBRARY = ["x86_64", "aarch64"]
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path));

export function hasFaketime(): boolean {
  return LIBRARY !== undefined;
}

export interface FaketimeRelay extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Sets the relay's wall clock so many days off the machine's. */
  step(days: number): void;
  /** How many ms the relay's wall clock is off the machine's, as far as the `Date` of an answer shows: whole seconds. */
  offMs(): Promise<number>;
  sessions(): Promise<number>;
}

/** Starts the binary with its wall clock at the machine's time. */
export async function spawnUnderFaketime(...args: string[]): Promise<FaketimeRelay> {
  const folder = mkdtempSync(join(tmpdir(), "whisper-clock-"));
  const file = join(folder, "offset");
  const step = (days: number) => writeFileSync(file, `${days < 0 ? "-" : "+"}${Math.abs(days)}d\n`);
  step(0);
  // Not locked: libfaketime reads the time from a file, again and again.
  const process = spawn(command("binary", "--host", "127.0.0.1", "--port", "0", "--sandbox=off", ...args), {
    LD_PRELOAD: LIBRARY ?? "",
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    DONT_FAKE_MONOTONIC: "1", // as it is called before version 0.9.9
  });
  const stderr = new Output(process.stderr);
  const [, port] = (await new Output(process.stdout).until(/: listening on \S+:(\d+)/)).map(Number);
  if (!port) throw new Error(`the relay did not start: ${stderr.text}`);
  const health = () => fetch(`http://127.0.0.1:${port}/health`);
  return {
    url: `ws://127.0.0.1:${port}`,
    port,
    step,
    async offMs() {
      return Date.parse((await health()).headers.get("date") ?? "") - Date.now();
    },
    async sessions() {
      const answer: unknown = await (await health()).json();
      return typeof answer === "object" && answer !== null && "sessions" in answer ? Number(answer.sessions) : NaN;
    },
    async [Symbol.asyncDispose]() {
      process.kill("SIGKILL");
      await process.exited;
      rmSync(folder, { recursive: true });
    },
  };
}
