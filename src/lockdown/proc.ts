/** The kernel's line about a process, /proc/PID/stat: how it is cut into fields, and its unit of time. It opens nothing. */

/** USER_HZ: in this unit the kernel tells times on every processor that Bun runs on. */
const TICKS_A_SECOND = 100;
/** The program's name, which may hold spaces and brackets itself, ends the first two fields. */
const NAMED_FIELDS = 2;

export interface ProcessStat {
  /** User and system time that it has used, of threads that ended too. */
  readonly cpuSeconds: number | null;
  /** When it started, in s since the machine did. */
  readonly startedSeconds: number | null;
  /** Where its environment lies in memory; null where that isn't told. */
  readonly environment: { readonly start: number; readonly end: number } | null;
}

/** @param line what /proc/PID/stat says; anything else gives nulls */
export function parseStat(line: string): ProcessStat {
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  /** By the numbers of proc(5), which begin at 1. */
  function field(number: number): number | null {
    const text = fields[number - NAMED_FIELDS - 1];
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
  }
  const [user, system, started, start, end] = [field(14), field(15), field(22), field(50), field(51)];
  return {
    cpuSeconds: user === null || system === null ? null : (user + system) / TICKS_A_SECOND,
    startedSeconds: started === null ? null : started / TICKS_A_SECOND,
    environment: start === null || end === null || start === 0 || end < start ? null : { start, end },
  };
}
