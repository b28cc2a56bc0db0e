/**
 * What a relay spends. One on this machine as Linux tells it: processor time, memory, and what the kernel keeps for its
 * sockets; one elsewhere as its own metrics tell it. It only reads.
 */
import { ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { openLibc } from "../lockdown/libc.ts";
import { parseStat } from "../lockdown/proc.ts";
import { size } from "./figures.ts";
import type { Cost } from "./result.ts";

/** What a process' memory, and that of the whole machine's kernel, moves by though no peer comes: it is no peer's. */
const RESIDENT_NOISE_BYTES = 1_048_576;
const KERNEL_NOISE_BYTES = 4_194_304;
const METRICS_TIMEOUT_MS = 2_000;
const PAGE_BYTES = 4_096;
/** The clock of a process' processor time, among those of clock_gettime: CPUCLOCK_SCHED. */
const CPU_CLOCK = 2;

/** What an expense is divided by; nothing is said of what there was none of. */
export interface Units {
  readonly sessions: number;
  readonly messages: number;
  readonly peers: number;
}

/** Looks at a relay's expense while a run goes on. */
export interface Meter {
  /** Processor time counts from now on. */
  restart(): void;
  /** Looks at the memory. @param peers how many are connected now */
  sample(peers: number): void;
  /** Looks at all a last time. */
  end(): Promise<void>;
  cost(units: Units): Cost;
  /** What it could not see, as a sentence; null where it saw all. */
  readonly trouble: string | null;
}

/** What was seen of a relay. */
class Readings {
  cpuBefore = 0;
  cpuAfter = 0;
  residentBefore = 0;
  residentPeak = 0;
  kernelBefore: number | null = null;
  kernelAtPeak: number | null = null;

  cost({ sessions, messages, peers }: Units): Cost {
    const cpuSeconds = this.cpuAfter - this.cpuBefore;
    const cpuMicros = cpuSeconds * 1e6;
    const leftOut: Record<string, string> = {};
    const perPeer = (name: string, grown: number | null, noiseBytes: number) => {
      if (grown === null || peers === 0) return null;
      if (grown >= noiseBytes) return grown / peers;
      leftOut[name] =
        `it grew by ${size(Math.max(0, grown))}, and ${size(noiseBytes)} may come and go without any peer`;
      return null;
    };
    const kernelGrown =
      this.kernelBefore === null || this.kernelAtPeak === null ? null : this.kernelAtPeak - this.kernelBefore;
    return {
      cpuSeconds,
      cpuMicrosPerSession: over(cpuMicros, sessions),
      cpuMicrosPerMessage: over(cpuMicros, messages),
      sessionsPerCpuSecond: sessions > 0 ? over(sessions, cpuSeconds) : null,
      residentBytesBefore: this.residentBefore,
      residentBytesPeak: this.residentPeak,
      residentBytesPerPeer: perPeer(
        "residentBytesPerPeer",
        this.residentPeak - this.residentBefore,
        RESIDENT_NOISE_BYTES,
      ),
      kernelBytesPerPeer: perPeer("kernelBytesPerPeer", kernelGrown, KERNEL_NOISE_BYTES),
      leftOut,
    };
  }
}

/** Of a process of this machine. */
export class CostMeter implements Meter {
  readonly #pid: number;
  readonly #clock = cpuClock();
  readonly #readings = new Readings();
  #peersAtPeak = 0;
  trouble: string | null = null;

  /** @throws Error where there is no such process */
  constructor(pid: number) {
    this.#pid = pid;
    const readings = this.#readings;
    readings.cpuBefore = readings.cpuAfter = this.#cpuSeconds();
    readings.residentBefore = readings.residentPeak = this.#residentBytes();
    readings.kernelBefore = kernelBytes();
  }

  restart(): void {
    this.#look();
    this.#readings.cpuBefore = this.#readings.cpuAfter;
  }

  sample(peers: number): void {
    this.#look();
    if (peers < this.#peersAtPeak) return;
    this.#peersAtPeak = peers;
    this.#readings.kernelAtPeak = kernelBytes();
  }

  async end(): Promise<void> {
    this.#look();
  }

  cost(units: Units): Cost {
    return this.#readings.cost(units);
  }

  /** A process that has ended has spent what was seen last. */
  #look(): void {
    if (this.trouble !== null) return;
    try {
      this.#readings.residentPeak = Math.max(this.#readings.residentPeak, this.#residentBytes());
      this.#readings.cpuAfter = this.#cpuSeconds();
    } catch {
      this.trouble = `The relay's process ${this.#pid} ended during the run.`;
    }
  }

  /** The kernel's own clock of the process counts in nanoseconds, and keeps what threads that ended have used. */
  #cpuSeconds(): number {
    return this.#clock?.(this.#pid) ?? cpuSecondsInTicks(this.#pid);
  }

  #residentBytes(): number {
    const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.#pid}/status`, "latin1")) ?? [];
    if (kib === undefined) throw new Error("a process that has ended has no memory"); // its parent has not noticed
    return Number(kib) * 1_024;
  }
}

/** Of any relay whose metrics can be read. */
export class MetricsMeter implements Meter {
  readonly #url: string;
  readonly #readings = new Readings();
  #isAsking = false;
  #missed = 0;

  private constructor(url: string) {
    this.#url = url;
  }

  /** @throws Error where the metrics can't be read, or don't say what a process spends */
  static async open(url: string): Promise<MetricsMeter> {
    const meter = new MetricsMeter(url);
    const { cpuSeconds, residentBytes } = await meter.#read();
    Object.assign(meter.#readings, { cpuBefore: cpuSeconds, cpuAfter: cpuSeconds });
    Object.assign(meter.#readings, { residentBefore: residentBytes, residentPeak: residentBytes });
    return meter;
  }

  get trouble(): string | null {
    return this.#missed > 0 ? `--metrics was not answered ${this.#missed} times.` : null;
  }

  restart(): void {
    void this.#look().then(() => {
      this.#readings.cpuBefore = this.#readings.cpuAfter;
    });
  }

  sample(): void {
    if (!this.#isAsking) void this.#look();
  }

  async end(): Promise<void> {
    await this.#look();
  }

  cost(units: Units): Cost {
    return this.#readings.cost(units);
  }

  async #look(): Promise<void> {
    this.#isAsking = true;
    try {
      const { cpuSeconds, residentBytes } = await this.#read();
      this.#readings.cpuAfter = cpuSeconds;
      this.#readings.residentPeak = Math.max(this.#readings.residentPeak, residentBytes);
    } catch {
      this.#missed++;
    }
    this.#isAsking = false;
  }

  async #read(): Promise<{ cpuSeconds: number; residentBytes: number }> {
    const answer = await fetch(this.#url, { signal: AbortSignal.timeout(METRICS_TIMEOUT_MS) });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    const text = await answer.text();
    const value = (name: string) => {
      const [, digits] = new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.eE+]+)`, "m").exec(text) ?? [];
      if (digits === undefined) throw new Error(`it has no ${name}`);
      return Number(digits);
    };
    return { cpuSeconds: value("process_cpu_seconds_total"), residentBytes: value("process_resident_memory_bytes") };
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
