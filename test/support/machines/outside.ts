/** What can be seen of a running process from outside, on Linux, and waits that leave it the processor. */
import { readdirSync, readFileSync } from "node:fs";

export const PAGE_BYTES = 4_096;

/** How many files, sockets among them, a process has open. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** The memory of a process that is in RAM. */
export function residentBytes(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * PAGE_BYTES;
}

/** Processor time that a process has used, in ms. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" "); // from the third on
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Seconds since `start`, a time of performance.now(). */
export function secondsSince(start: number): number {
  return (performance.now() - start) / 1_000;
}

/** The value below which this share of the numbers lies. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The highest that `look` finds, at short intervals, while `work` goes on. */
export async function highestDuring(work: Promise<unknown>, look: () => number): Promise<number> {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  work.then(end, end);
  let highest = look();
  while (!isOver) {
    await Bun.sleep(10);
    highest = Math.max(highest, look());
  }
  return highest;
}

/** Says what was measured, so that a log shows how near a limit was. */
export function measured(what: string): void {
  console.log(`measured: ${what}`);
}
