/**
 * What a run of the load tester measured, as plain data: workers send deltas of it, the coordinator sums them, and the
 * display, the report, `--json` and `--expect` read nothing else. Times in microseconds, sizes in bytes. Pure.
 */
import type { Histogram, HistogramData } from "./histogram.ts";

/** What is timed, always from the moment at which it was meant to happen, so that no delay is omitted. */
export const TIMES = ["connect", "ready", "answer", "session", "message", "return"] as const;
export type TimeName = (typeof TIMES)[number];
/** What each time means, for help, report and display. */
export const TIME_MEANINGS: Readonly<Record<TimeName, string>> = {
  connect: "a peer's intended start to its WebSocket being open",
  ready: "a session's intended start to both peers having heard ready",
  answer: "a session's intended start to the initiator having the answer",
  session: "a session's intended start to both peers having all messages",
  message: "a message's intended sending to its arrival at the other peer",
  return: "a storm's intended return of a peer to its being ready again",
};

/** What is counted. `offered` sessions were meant to start by now, `started` did, `done` ended well, `failed` did not. */
export const COUNTS = ["offered", "started", "done", "failed", "sent", "received", "bytes", "hostile"] as const;
export type CountName = (typeof COUNTS)[number];

/** What one worker measured since its last report. */
export interface Delta {
  readonly counts: Readonly<Record<CountName, number>>;
  readonly times: Readonly<Partial<Record<TimeName, HistogramData>>>;
  /** By kind, such as "refused:session-full", "closed:1006", "connect:ECONNREFUSED", "timeout:ready". */
  readonly errors: Readonly<Record<string, number>>;
  /** The first of each kind that this worker met, as a sentence for people. */
  readonly firstErrors: Readonly<Record<string, string>>;
  /** How much later than it should have been each thing was begun, by the worker's own fault. */
  readonly lags: HistogramData;
  /** Connected peers now, and the most at once since the last report. */
  readonly peers: number;
  readonly peakPeers: number;
  /** When the last session ended well, in s since the run began; null before the first. */
  readonly lastDoneAt: number | null;
  /** How long ago the last report was, in s. */
  readonly seconds: number;
  /** Processor time of this worker since its last report, in s. */
  readonly cpuSeconds: number;
}

/** One point of the plots over time. */
export interface Second {
  /** Since the run began, in s. */
  readonly at: number;
  readonly counts: Readonly<Record<CountName, number>>;
  readonly errors: number;
  readonly peers: number;
  /** Of the scenario's main time within this interval; null where nothing was timed. */
  readonly p50: number | null;
  readonly p99: number | null;
  readonly max: number | null;
  /** Of the busiest worker in this interval: processor seconds a second, so 1 is a whole core. */
  readonly generatorLoad: number;
}

/** What the run cost the relay, where --pid named it. */
export interface Cost {
  readonly cpuSeconds: number;
  readonly cpuMicrosPerSession: number | null;
  readonly cpuMicrosPerMessage: number | null;
  readonly sessionsPerCpuSecond: number | null;
  readonly residentBytesBefore: number;
  readonly residentBytesPeak: number;
  readonly residentBytesPerPeer: number | null;
  /** Sockets' buffers and slabs of the whole machine, so of both ends where the relay is local; null where unknown. */
  readonly kernelBytesPerPeer: number | null;
}

export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly mean: number;
}

/** Everything, as `--json` writes it. */
export interface Result {
  readonly version: string;
  readonly scenario: string;
  /** The targets and the options as they were given. */
  readonly targets: readonly string[];
  readonly options: Readonly<Record<string, string>>;
  readonly startedAt: string;
  readonly seconds: number;
  readonly interrupted: boolean;
  /** Which time the scenario is about: its percentiles go into the display and the plot over time. */
  readonly main: TimeName;
  readonly counts: Readonly<Record<CountName, number>>;
  readonly offeredPerSecond: number | null;
  readonly achievedPerSecond: number;
  readonly percentiles: Readonly<Partial<Record<TimeName, Percentiles>>>;
  readonly histograms: Readonly<Partial<Record<TimeName, HistogramData>>>;
  readonly errors: Readonly<Record<string, { readonly count: number; readonly first: string }>>;
  readonly peakPeers: number;
  readonly timeline: readonly Second[];
  readonly generator: {
    readonly workers: number;
    readonly cpuSeconds: number;
    /** Of the busiest worker over the run: 1 is a whole core. */
    readonly load: number;
    /** How late the generator itself was to begin what it meant to begin: the 99th percentile, in microseconds. */
    readonly lag: number;
    /** Whether a worker was so busy or so late that the figures may be its own. */
    readonly isBottleneck: boolean;
  };
  readonly cost: Cost | null;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly kernel: string; readonly bun: string };
  readonly expectations: readonly { readonly text: string; readonly isMet: boolean; readonly actual: number | null }[];
}

/** The percentiles of a histogram, as people quote them. */
export function percentilesOf(histogram: Histogram): Percentiles {
  return {
    count: histogram.count,
    p50: histogram.percentile(50),
    p90: histogram.percentile(90),
    p99: histogram.percentile(99),
    p999: histogram.percentile(99.9),
    max: histogram.max,
    mean: histogram.mean,
  };
}
