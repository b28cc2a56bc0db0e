/**
 * What a relay on this machine spends, as Linux tells it: processor time, memory, and what the kernel keeps for its
 * sockets. It only reads.
 */
import { ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { openLibc } from "../lockdown/libc.ts";
import { parseStat } from "../lockdown/proc.ts";
import type { Cost } from "./result.ts";

const PAGE_BYTES = 4_096;
/** The clock of a process' processor time, among those of clock_gettime: CPUCLOCK_SCHED. */
const CPU_CLOCK = 2;

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
    return this.#clock?.(this.#pid) ?? cpuSecondsInTicks(this.#pid);
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
  const libc = openLibc({ clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });
  if (typeof libc === "string") return null;
  const time = new BigInt64Array(2);
  return (pid) => {
    const clock = (~pid << 3) | CPU_CLOCK;
    return libc.symbols.clock_gettime(clock, ptr(time)) === 0 ? Number(time[0]) + Number(time[1]) / 1e9 : null;
  };
}

/** The same in steps of 10 ms. */
function cpuSecondsInTicks(pid: number): number {
  return parseStat(readFileSync(`/proc/${pid}/stat`, "latin1")).cpuSeconds ?? 0;
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
