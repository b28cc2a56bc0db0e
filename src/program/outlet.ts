/**
 * A descriptor that lines are printed on, and that never makes anybody wait: what it does not take at once is not
 * written. For a pipe that nobody reads, a terminal that was stopped by Ctrl-S, a journal that hangs. Owns no line.
 */
import { ptr } from "bun:ffi";
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { openLibc } from "../lockdown/libc.ts";
import { whyNot } from "./failure.ts";
import { isTerminal } from "./terminal.ts";

/** PIPE_BUF of linux/limits.h: a pipe of which poll says that it can be written to takes so many bytes. */
const PIECE_BYTES = 4_096;

// poll.h: something can be written; and the struct of 8 bytes that asks so and is answered in.
const POLLOUT = 4;
const POLLFD_WORDS = 4;

/** Whether a descriptor takes a piece without waiting. */
export type Poll = (descriptor: number) => boolean;

/** @returns poll(2) with no time to wait; null where there is none, and a write may wait */
export function newPoll(): Poll | null {
  const libc = openLibc({ poll: { args: ["ptr", "u64", "int"], returns: "int" } });
  if (typeof libc === "string") return null;
  const asked = new Int16Array(POLLFD_WORDS);
  return (descriptor) => {
    asked.set([descriptor, 0, POLLOUT, 0]); // a descriptor of 32 bits, the lower half first; 1 and 2 have no upper
    return libc.symbols.poll(ptr(asked), 1, 0) > 0;
  };
}

/** What was printed could not be written. */
export class WriteError extends Error {}

/**
 * Writes all of a text, however long that takes. A pipe whose reader has gone takes it no more, and that is no error.
 * @param descriptor 1, of a command that prints and ends
 * @throws WriteError with why it could not be written, as on a full disk
 */
export function writeWhole(descriptor: number, text: string): void {
  for (let rest = Buffer.from(text); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (failure) {
      const code = failure instanceof Error && "code" in failure ? failure.code : "";
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") throw new WriteError(`can't print: ${whyNot(failure)}`);
      Bun.sleepSync(1);
    }
  }
}

export class Outlet {
  readonly #descriptor: number;
  readonly #takes: Poll;
  #isCut = false;

  /**
   * @param descriptor 1 or 2
   * @param poll asked before each write, as `newPoll` makes it
   */
  constructor(descriptor: number, poll: Poll | null) {
    const own = reopened(descriptor);
    this.#descriptor = own ?? descriptor;
    this.#takes = own !== null || isFile(descriptor) ? () => true : (poll ?? (() => true));
  }

  /** Writes a line and its end. Returns whether all of it was taken; of what was not, nothing is kept. */
  write(line: string): boolean {
    let rest = Buffer.from(`${this.#isCut ? "\n" : ""}${line}\n`);
    const { length } = rest;
    while (rest.length > 0 && this.#takes(this.#descriptor)) {
      const written = attempt(() => writeSync(this.#descriptor, rest, 0, Math.min(rest.length, PIECE_BYTES)));
      if (written === null || written === 0) break; // EAGAIN, or nobody is there any more
      rest = rest.subarray(written);
    }
    if (rest.length < length) this.#isCut = rest.length > 0;
    return rest.length === 0;
  }
}

/**
 * The same pipe or terminal, opened anew so as not to wait. To tell the kernel so of the descriptor that is there would
 * hold for all who share it, such as the shell that the relay was started from.
 */
export function reopened(descriptor: number): number | null {
  return attempt(() => {
    const isOpenable = isTerminal(descriptor) || fstatSync(descriptor).isFIFO();
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return isOpenable ? openSync(`/proc/self/fd/${descriptor}`, O_WRONLY | O_NONBLOCK | O_NOCTTY) : null;
  });
}

function isFile(descriptor: number): boolean {
  return attempt(() => fstatSync(descriptor).isFile()) ?? false;
}

/** What `work` gives; null where it throws, as system calls do. */
function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}
