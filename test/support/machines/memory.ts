/** Reads the memory of another process, on Linux and as root: all of it that is in RAM or in swap, and nothing else. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { PAGE_BYTES } from "./outside.ts";

/** /proc/PID/pagemap has 64 bits for each page: the highest says that it is in RAM, the next that it is in swap. */
const ENTRY_BYTES = 8;
const IN_RAM_OR_SWAP = 0xc0;

/** The bytes of each run of pages, as text of a character a byte. */
export function* memoryOf(pid: number): Generator<string> {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const pages = openSync(`/proc/${pid}/pagemap`, "r");
  try {
    for (const { start, end } of mappings(pid))
      for (const [from, to] of runs(pages, start / PAGE_BYTES, end / PAGE_BYTES)) {
        const bytes = Buffer.alloc((to - from) * PAGE_BYTES);
        yield bytes.toString("latin1", 0, readSync(memory, bytes, 0, bytes.length, from * PAGE_BYTES));
      }
  } finally {
    closeSync(memory);
    closeSync(pages);
  }
}

/** The mappings of which anything is in RAM or in swap; most of what the runtime reserves never is. */
function mappings(pid: number): { start: number; end: number }[] {
  const areas = readFileSync(`/proc/${pid}/smaps`, "latin1").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return areas.flatMap((area) => {
    const [, start = "", end = "", path = ""] = /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)$/m.exec(area) ?? [];
    const isUsed = /^(?:Rss|Swap): +[1-9]/m.test(area);
    const isTheKernels = path.startsWith("[v"); // vvar, vdso, vsyscall
    return isUsed && start !== "" && !isTheKernels ? [{ start: parseInt(start, 16), end: parseInt(end, 16) }] : [];
  });
}

/** The runs of pages, by their numbers, that are in RAM or in swap. */
function runs(pagemap: number, first: number, end: number): [from: number, to: number][] {
  const entries = Buffer.alloc((end - first) * ENTRY_BYTES);
  readSync(pagemap, entries, 0, entries.length, first * ENTRY_BYTES);
  const found: [from: number, to: number][] = [];
  for (let page = first; page < end; page++) {
    if (((entries[(page - first) * ENTRY_BYTES + ENTRY_BYTES - 1] ?? 0) & IN_RAM_OR_SWAP) === 0) continue;
    const last = found.at(-1);
    if (last?.[1] === page) last[1]++;
    else found.push([page, page + 1]);
  }
  return found;
}
