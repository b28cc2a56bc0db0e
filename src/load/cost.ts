/**
 * What a relay on this machine spends, as Linux tells it: processor time, memory, and what the kernel keeps for its
 * sockets. It only reads.
 */
import { dlopen, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import type { Cost } from "./result.ts";

const PAGE_BYTES = 4_096;
/** USER_HZ: in this unit the kernel tells processor times in /proc. */
const TICKS_A_SECOND = 100;
/** The clock of a process' processor time, among those of clock_gettime: CPUCLOCK_SCHED. */
const CPU_CLOCK = 2;
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/** What an expense is divided by; nothing is said of what there was none of. */
export interface Units {
  readonly sessions: number;
  readonly messages: number;
  readonly peers: number;
}

export class CostMeter {
  readonly #pid: number;
  readonly #clock = cpuClock();
  readonly #residentBefore: number;
  readonly #kernelBefore: number | null;
  #residentPeak: number;
  #peersAtPeak = 0;
  #kernelAtPeak: number | null = null;
  #cpuBefore: number;

  /** @throws Error where there is no such process */
  constructor(pid: number) {
    this.#pid = pid;
    this.#cpuBefore = this.#cpuSeconds();
    this.#residentBefore = this.#residentPeak = this.#residentBytes();
    this.#kernelBefore = kernelBytes();
  }

  /** Processor time counts from now on. */
  restart(): void {
    this.#cpuBefore = this.#cpuSeconds();
  }

  /** Looks at the memory. @param peers how many are connected now */
  sample(peers: number): void {
    this.#residentPeak = Math.max(this.#residentPeak, this.#residentBytes());
    if (peers < this.#peersAtPeak) return;
    this.#peersAtPeak = peers;
    this.#kernelAtPeak = kernelBytes();
  }

  cost({ sessions, messages, peers }: Units): Cost {
    const cpuSeconds = this.#cpuSeconds() - this.#cpuBefore;
    const cpuMicros = cpuSeconds * 1e6;
    return {
      cpuSeconds,
      cpuMicrosPerSession: over(cpuMicros, sessions),
      cpuMicrosPerMessage: over(cpuMicros, messages),
      sessionsPerCpuSecond: sessions > 0 ? over(sessions, cpuSeconds) : null,
      residentBytesBefore: this.#residentBefore,
      residentBytesPeak: this.#residentPeak,
      residentBytesPerPeer: over(this.#residentPeak - this.#residentBefore, peers),
      kernelBytesPerPeer:
        this.#kernelBefore === null || this.#kernelAtPeak === null
          ? null
          : over(this.#kernelAtPeak - this.#kernelBefore, peers),
    };
  }

  /** The kernel's own clock of the process counts in nanoseconds, and keeps what threads that ended have used. */
  #cpuSeconds(): number {
    return this.#clock?.(this.#pid) ?? ticks(this.#pid) / TICKS_A_SECOND;
  }

  #residentBytes(): number {
    const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.#pid}/status`, "latin1")) ?? [];
    return Number(kib ?? 0) * 1_024;
  }
}

function over(amount: number, units: number): number | null {
  return units > 0 ? amount / units : null;
}

/** Reads the processor time of a process in s; null where the C library can't be asked. */
function cpuClock(): ((pid: number) => number | null) | null {
  for (const library of LIBRARIES)
    try {
      const { symbols } = dlopen(library, { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });
      const time = new BigInt64Array(2);
      return (pid) => {
        const clock = (~pid << 3) | CPU_CLOCK;
        return symbols.clock_gettime(clock, ptr(time)) === 0 ? Number(time[0]) + Number(time[1]) / 1e9 : null;
      };
    } catch {} // the next one
  return null;
}

/** User and system time, from the fields that proc(5) numbers 14 and 15. */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /s, "")
    .split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** What the whole machine's sockets and slabs take; null where that isn't told. */
function kernelBytes(): number | null {
  try {
    const [, pages] = /^TCP:.* mem (\d+)/m.exec(readFileSync("/proc/net/sockstat", "latin1")) ?? [];
    const [, kib] = /^Slab:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "latin1")) ?? [];
    return pages === undefined || kib === undefined ? null : Number(pages) * PAGE_BYTES + Number(kib) * 1_024;
  } catch {
    return null;
  }
}
