/**
 * Whether memory runs short. Owns the mark above which nobody new is taken, so that who is here can go on: without it
 * the kernel would end the relay, and every session with it. It ends nobody, and only Linux tells it anything.
 */
import { totalmem } from "node:os";
import { KernelFile, number, readOnce } from "./kernel-file.ts";

/** How often it is looked at: a flood of 100 MB/s, which is 1,500 connections, takes as much in this time. */
export const LOOK_MS = 1_000;
/** What the mark is of all that there is. The rest is for who is here: what they have not finished saying, and buffers. */
const SHARE = 0.75;

/** A control group with a limit of memory; it may hold other processes too. */
interface Group {
  readonly limitBytes: number;
  readonly usage: KernelFile;
  readonly stat: KernelFile;
}

export class MemoryWatch {
  readonly #group: Group | null;
  readonly #residentBytes: () => number | null;
  readonly markBytes: number;
  usedBytes = 0;

  /**
   * @param maxBytes the mark, or 0 for a share of what the group of this process or the machine has
   * @param residentBytes what of this process is in RAM
   */
  constructor(maxBytes: number, residentBytes: () => number | null) {
    this.#group = tightestGroup(totalmem());
    this.markBytes = maxBytes || Math.floor((this.#group?.limitBytes ?? totalmem()) * SHARE);
    this.#residentBytes = residentBytes;
  }

  get isShort(): boolean {
    return this.usedBytes > this.markBytes;
  }

  /** Looks. In a group the kernel counts its own buffers too, as it does when it ends who has too much. */
  turn(): void {
    this.usedBytes = Math.max(this.#residentBytes() ?? 0, this.#group === null ? 0 : usedBy(this.#group));
  }
}

/** Without the pages of files that the kernel would give up at once, such as those of a binary on a disk. */
function usedBy({ usage, stat }: Group): number {
  return (usage.number(/^(\d+)/) ?? 0) - (stat.number(/^(?:total_)?inactive_file (\d+)/m) ?? 0);
}

/** Of the group of this process and all that it lies in, the one with the lowest limit; null where none has one. */
function tightestGroup(machineBytes: number): Group | null {
  const own = readOnce("/proc/self/cgroup");
  const v1 = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(own)?.[1];
  const [root, limit, usage, path] =
    v1 === undefined
      ? ["/sys/fs/cgroup", "memory.max", "memory.current", /^0::(.*)$/m.exec(own)?.[1] ?? ""]
      : ["/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", v1];
  let tightest: Group | null = null;
  // A container may see its own group as the root, and be told the path that it has outside.
  for (let names = path.split("/").filter(Boolean); ; names = names.slice(0, -1)) {
    const folder = [root, ...names].join("/");
    const limitBytes = number(readOnce(`${folder}/${limit}`).trim());
    if (limitBytes !== null && limitBytes < (tightest?.limitBytes ?? machineBytes))
      tightest = {
        limitBytes,
        usage: new KernelFile(`${folder}/${usage}`),
        stat: new KernelFile(`${folder}/memory.stat`),
      };
    if (names.length === 0) return tightest;
  }
}
