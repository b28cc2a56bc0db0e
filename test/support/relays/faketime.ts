/**
 * The binary under a wall clock that the test can set, by Debian's libfaketime: the machine's own clock is not
 * touched, and the relay's monotonic clock goes on as it is.
 */
import { existsSync, writeFileSync } from "node:fs";
import { newFolder } from "../machines/folder.ts";
import { command, type RunningRelay, spawnProgram } from "./relay.ts";

const LIBRARY = ["x86_64", "aarch64"]
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path));

export function hasFaketime(): boolean {
  return LIBRARY !== undefined;
}

export interface FaketimeRelay extends RunningRelay {
  /** Sets the relay's wall clock so many days off the machine's. */
  step(days: number): void;
  /** How many ms the relay's wall clock is off the machine's, as far as the `Date` of an answer shows: whole seconds. */
  offMs(): Promise<number>;
}

/** Starts the binary with its wall clock at the machine's time. */
export async function spawnUnderFaketime(...args: string[]): Promise<FaketimeRelay> {
  await using started = new AsyncDisposableStack();
  const folder = started.use(await newFolder());
  const file = folder.file("offset");
  const step = (days: number) => writeFileSync(file, `${days < 0 ? "-" : "+"}${Math.abs(days)}d\n`);
  step(0);
  // Not locked: libfaketime reads the time from a file, again and again.
  const env = {
    LD_PRELOAD: LIBRARY ?? "",
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    DONT_FAKE_MONOTONIC: "1", // as it is called before version 0.9.9
  };
  const relay = started.use(await spawnProgram(command("binary", "--sandbox=off", ...args), { env }));
  const kept = started.move();
  return {
    ...relay,
    step,
    async offMs() {
      return Date.parse((await relay.get("/health")).headers.get("date") ?? "") - Date.now();
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
