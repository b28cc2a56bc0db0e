/** Streams that nobody reads: a pipe that is full, and what a relay that is bound to them does. */
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { run } from "../relays/relay.ts";
import { newFolder } from "./folder.ts";

export interface FullPipe extends AsyncDisposable {
  /** The end to write to, for a child's standard output. */
  readonly descriptor: number;
  /** Takes all that is in it out. */
  read(): string;
}

/** A pipe that takes not one byte more. Needs mkfifo. */
export async function fullPipe(): Promise<FullPipe> {
  const folder = await newFolder();
  const path = folder.file("pipe");
  await run(["mkfifo", path]);
  const both = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const descriptor = openSync(path, constants.O_WRONLY);
  for (const piece of [Buffer.alloc(4_096, "x"), Buffer.from("x")]) while (takes(() => writeSync(both, piece))) {}
  return {
    descriptor,
    read() {
      const pieces: Buffer[] = [];
      const buffer = Buffer.alloc(65_536);
      while (takes(() => pieces.push(Buffer.from(buffer.subarray(0, readSync(both, buffer)))))) {}
      return Buffer.concat(pieces).toString();
    },
    async [Symbol.asyncDispose]() {
      for (const open of [both, descriptor]) closeSync(open);
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Whether a call that must not wait was done. */
function takes(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}
