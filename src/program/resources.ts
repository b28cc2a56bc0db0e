/**
 * What this process uses, as Linux tells it: memory, processor time, open files. The files are opened at the start and
 * kept, so that later nothing need be opened. Elsewhere than on Linux it knows nothing, and says so.
 */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { parseStat } from "../lockdown/proc.ts";
import type { Resources } from "./metrics.ts";

/** The limit of open files of this process; Bun has raised the soft one to the hard one. */
export function openFileLimit(): number | null {
  return number(/^Max open files\s+(\d+)/m.exec(readOnce("/proc/self/limits"))?.[1]);
}

export class ResourceReader implements Disposable {
  readonly #maxFiles = openFileLimit();
  readonly #status = open("/proc/self/status"); // statm counts in pages, and their size is not the same everywhere
  readonly #stat = open("/proc/self/stat");
  readonly #files = open("/proc/self/fd");
  readonly #buffer = Buffer.alloc(8_192); // either file is shorter
  readonly #startedAt: number | null;

  constructor() {
    const bootedAt = number(/^btime (\d+)/m.exec(readOnce("/proc/stat"))?.[1]);
    const { startedSeconds } = parseStat(this.#read(this.#stat));
    this.#startedAt = bootedAt === null || startedSeconds === null ? null : bootedAt + startedSeconds;
  }

  read(): Resources {
    const residentKiB = number(/^VmRSS:\s+(\d+) kB/m.exec(this.#read(this.#status))?.[1]);
    return {
      residentBytes: residentKiB === null ? null : residentKiB * 1_024,
      cpuSeconds: parseStat(this.#read(this.#stat)).cpuSeconds,
      openFiles: this.#countOpenFiles(),
      maxFiles: this.#maxFiles,
      startedAt: this.#startedAt,
    };
  }

  [Symbol.dispose](): void {
    for (const descriptor of [this.#status, this.#stat, this.#files]) if (descriptor !== null) closeSync(descriptor);
  }

  /** Linux 6.2 and later say how many; before, they have to be listed, which a locked process can't. */
  #countOpenFiles(): number | null {
    if (this.#files === null) return null;
    try {
      return fstatSync(this.#files).size || readdirSync("/proc/self/fd").length - 1;
    } catch {
      return null;
    }
  }

  #read(descriptor: number | null): string {
    if (descriptor === null) return "";
    return this.#buffer.toString("latin1", 0, readSync(descriptor, this.#buffer, 0, this.#buffer.length, 0));
  }
}

function number(text: string | undefined): number | null {
  return text === undefined || !/^\d+$/.test(text) ? null : Number(text);
}

function open(path: string): number | null {
  try {
    return openSync(path, "r");
  } catch {
    return null;
  }
}

function readOnce(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
