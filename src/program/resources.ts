/**
 * What this process uses, as Linux tells it: memory, processor time, open files. The files are opened at the start and
 * kept, so that later nothing need be opened. Elsewhere than on Linux it knows nothing, and says so.
 */
import { fstatSync, readdirSync } from "node:fs";
import { parseStat } from "../lockdown/proc.ts";
import { KernelFile, number, readOnce } from "./kernel-file.ts";
import type { Resources } from "./metrics.ts";

/** The limit of open files of this process; Bun has raised the soft one to the hard one. */
export function openFileLimit(): number | null {
  return number(/^Max open files\s+(\d+)/m.exec(readOnce("/proc/self/limits"))?.[1]);
}

export class ResourceReader implements Disposable {
  readonly #maxFiles = openFileLimit();
  readonly #status = new KernelFile("/proc/self/status"); // statm counts in pages, whose size is not the same everywhere
  readonly #stat = new KernelFile("/proc/self/stat");
  readonly #files = new KernelFile("/proc/self/fd");
  readonly #startedAt: number | null;

  constructor() {
    const bootedAt = number(/^btime (\d+)/m.exec(readOnce("/proc/stat"))?.[1]);
    const { startedSeconds } = parseStat(this.#stat.read());
    this.#startedAt = bootedAt === null || startedSeconds === null ? null : bootedAt + startedSeconds;
  }

  read(): Omit<Resources, "memoryBytes" | "memoryMarkBytes"> {
    return {
      residentBytes: this.residentBytes(),
      cpuSeconds: parseStat(this.#stat.read()).cpuSeconds,
      openFiles: this.#countOpenFiles(),
      maxFiles: this.#maxFiles,
      startedAt: this.#startedAt,
    };
  }

  /** What of this process is in RAM. */
  residentBytes(): number | null {
    const kib = this.#status.number(/^VmRSS:\s+(\d+) kB/m);
    return kib === null ? null : kib * 1_024;
  }

  [Symbol.dispose](): void {
    for (const file of [this.#status, this.#stat, this.#files]) file[Symbol.dispose]();
  }

  /** Linux 6.2 and later say how many; before, they have to be listed, which a locked process can't. */
  #countOpenFiles(): number | null {
    if (this.#files.descriptor === null) return null;
    try {
      return fstatSync(this.#files.descriptor).size || readdirSync("/proc/self/fd").length - 1;
    } catch {
      return null;
    }
  }
}
