/**
 * Files in which the kernel tells the present state, such as those under /proc: opened at the start and kept, so that later
 * nothing need be opened, which a locked process can't. Where there is no such file it knows nothing, and says so.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

/** All of them are shorter, and each is read by one call. */
const buffer = Buffer.alloc(16_384);

export class KernelFile implements Disposable {
  /** Null where there is none, or it may not be read. */
  readonly descriptor: number | null;

  constructor(path: string) {
    this.descriptor = open(path);
  }

  /** What it says now; "" where there is none. */
  read(): string {
    if (this.descriptor === null) return "";
    try {
      return buffer.toString("latin1", 0, readSync(this.descriptor, buffer, 0, buffer.length, 0));
    } catch {
      return ""; // as a control group that is gone
    }
  }

  /** The number that `pattern` finds first in it. */
  number(pattern: RegExp): number | null {
    return number(pattern.exec(this.read())?.[1]);
  }

  [Symbol.dispose](): void {
    if (this.descriptor !== null) closeSync(this.descriptor);
  }
}

export function number(text: string | undefined): number | null {
  return text === undefined || !/^\d+$/.test(text) ? null : Number(text);
}

export function readOnce(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

function open(path: string): number | null {
  try {
    return openSync(path, "r");
  } catch {
    return null;
  }
}
