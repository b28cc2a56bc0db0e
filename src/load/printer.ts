/**
 * Standard output and standard error as a run needs them: a reader that stands still (a pager, a terminal stopped by Ctrl-S)
 * keeps neither the run nor a signal waiting. It owns what has not been taken yet.
 */
import { writeSync } from "node:fs";
import { newPoll, reopened } from "../program/outlet.ts";
import { isTerminal } from "../program/terminal.ts";

/** A pipe that takes anything without waiting takes so much: PIPE_BUF of linux/limits.h. */
const PIECE_BYTES = 4_096;
/** Where more than this has not been taken, what goes on is shown no further. */
const MOST_WAITING_BYTES = 65_536;
/** Between two tries, in ms. */
const PAUSE_MS = 20;

export class Printer {
  readonly #descriptor: number;
  readonly #isTerminal: boolean;
  readonly #takes: (descriptor: number) => boolean;
  #waiting: Buffer = Buffer.alloc(0);

  /** @param descriptor 1 or 2 */
  constructor(descriptor: number) {
    this.#descriptor = reopened(descriptor) ?? descriptor;
    this.#isTerminal = isTerminal(descriptor);
    this.#takes = newPoll() ?? (() => true);
  }

  /** Writes what is taken at once; the rest goes with what comes next, unless nobody has read for long. */
  show(text: string): void {
    if (this.#waiting.length < MOST_WAITING_BYTES) this.#waiting = Buffer.concat([this.#waiting, Buffer.from(text)]);
    try {
      this.#push();
    } catch {
      this.#waiting = Buffer.alloc(0); // of what matters it is told where it is printed
    }
  }

  /**
   * Writes all of a text, however long its reader takes. A reader or a terminal that has gone wants no more of it.
   * @throws Error where it can't be written, as on a full disk
   */
  async print(text: string): Promise<void> {
    this.#waiting = Buffer.concat([this.#waiting, Buffer.from(text)]);
    try {
      while (!this.#push()) await Bun.sleep(PAUSE_MS);
    } catch (failure) {
      const code = codeOf(failure);
      if (code !== "EPIPE" && !(code === "EIO" && this.#isTerminal)) throw failure;
    }
  }

  /** @returns whether all was taken @throws Error where nothing more can be written */
  #push(): boolean {
    while (this.#waiting.length > 0 && this.#takes(this.#descriptor)) {
      try {
        const piece = this.#waiting.subarray(0, PIECE_BYTES);
        this.#waiting = this.#waiting.subarray(writeSync(this.#descriptor, piece));
      } catch (failure) {
        if (codeOf(failure) === "EAGAIN") break;
        throw failure;
      }
    }
    return this.#waiting.length === 0;
  }
}

function codeOf(failure: unknown): unknown {
  return failure instanceof Error && "code" in failure ? failure.code : "";
}
