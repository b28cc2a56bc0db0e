/**
 * What a run of the load tester measured, as plain data: workers send deltas of it, the coordinator sums them, and the
 * display, the report, `--json` and `--expect` read nothing else. Times in microseconds, sizes in bytes. Pure.
 */
import type { Histogram, HistogramData } from "./histogram.ts";

/** The version of what `--json` writes; it goes up when a reader of the last one would misread it. */
export const SCHEMA = 2;

/** What is timed, always from the moment at which it was meant to happen, so that no delay is omitted. */
export const TIMES = ["connect", "ready", "answer", "session", "message", "return"] as const;
export type TimeName = (typeof TIMES)[number];
/** What each time means, for help, report and display. */
export const TIME_MEANINGS: Readonly<Record<TimeName, string>> = {
  connect: "a peer's intended start to its WebSocket being open",
  ready: "a session's intended start to both peers having heard ready",
  answer: "a session's intended start to the initiator having the answer",
  session: "a session's intended start to both peers having all messages, had no candidate been held back",
  message: "a message's intended sending to its arrival at the other peer",
  return: "a storm's intended return of a peer to its being ready again",
};

/** What is counted, and what each count means, for help and report. */
export const COUNT_MEANINGS = {
  offered: "sessions or pairs that were meant to begin by now",
  started: "those that did",
  done: "those that ended well; pairs that stay, at the end of the run",
  failed: "those that did not",
  dropped: "pairs among them that had been ready",
  meant: "relay: messages that were meant to be sent by now, also by pairs that are not there",
  sent: "messages that were",
  received: "those that arrived as they were sent, each once",
  bytes: "their texts",
  lost: "those that did not arrive within the time-out",
  late: "lost ones that arrived after it",
  duplicated: "messages that had arrived before",
  reordered: "messages that arrived after one that was sent later",
  corrupted: "messages that are not as they were sent",
  misdelivered: "messages of another session or of the peer itself",
  unfinished: "messages on their way when their pair ended",
  thrown: "storm: pairs that were cut off",
  returned: "those that came back",
  stranded: "those that did not",
  hostile: "hostile acts",
} as const;
export type CountName = keyof typeof COUNT_MEANINGS;
export const COUNTS = Object.keys(COUNT_MEANINGS) as readonly CountName[];

/** Between two points of a curve of recovery, in ms. */
export const RETURN_STEP_MS = 50;

/** With which a kernel refuses to connect where all ports are used up, without and with an address to come from. */
export const NO_PORT_CODES: readonly string[] = ["EADDRNOTAVAIL", "EADDRINUSE"];

/** What one worker measured since its last report. */
export interface Delta {
  readonly counts: Readonly<Record<CountName, number>>;
  readonly times: Readonly<Partial<Record<TimeName, HistogramData>>>;
  /** How many of them are of what failed. */
  readonly failedTimes: Readonly<Partial<Record<TimeName, number>>>;
  /** By storm, how many pairs were cut off, and after which time since then each came back. */
  readonly storms: readonly { readonly pairs: number; readonly times: HistogramData }[];
  /** By kind, such as "refused:session-full", "closed:1006", "connect:ECONNREFUSED", "timeout:ready". */
  readonly errors: Readonly<Record<string, number>>;
  /** The first of each kind that this worker met, as a sentence for people. */
  readonly firstErrors: Readonly<Record<string, string>>;
  /** How much later than it should have been each thing was begun, by the worker's own fault. */
  readonly lags: HistogramData;
  /** How long what came waited until the worker looked at it. */
  readonly queue: HistogramData;
  /** Connected peers now, and the most and the least at once since the last report. */
  readonly peers: number;
  readonly peakPeers: number;
  readonly leastPeers: number;
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
  /** The most and the least at once within this interval. */
  readonly mostPeers: number;
  readonly leastPeers: number;
  /** Of the scenario's main time within this interval; null where nothing was timed. */
  readonly p50: number | null;
  readonly p99: number | null;
  readonly max: number | null;
  /** Of the busiest worker in this interval: processor seconds a second, so 1 is a whole core. */
  readonly generatorLoad: number;
  /** How long what came waited until a worker looked at it: the 99th percentile. */
  readonly generatorQueue: number;
}

/** How the pairs of one storm came back. */
export interface Storm {
  /** How many were cut off. */
  readonly pairs: number;
  /** In s since then: when so many percent of them were back; null where they never were. */
  readonly back: Readonly<Record<"p50" | "p95" | "p99" | "p100", number | null>>;
  /** How many were back after each further step of RETURN_STEP_MS. */
  readonly curve: readonly number[];
  /** When each was back since the cut: what both are made from. */
  readonly times: HistogramData;
}

/** What the run cost the relay, where --pid, --pid-of-port or --metrics named it. */
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
  /** Why a figure is left out that was measured, by its name here. */
  readonly leftOut: Readonly<Record<string, string>>;
}

export interface Percentiles {
  readonly count: number;
  /** How many of them failed, and count as their time-out. */
  readonly failed: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly mean: number;
}

/** Everything, as `--json` writes it. */
export interface Result {
  readonly schema: typeof SCHEMA;
  readonly version: string;
  readonly scenario: string;
  /** The targets and the options as they were given. */
  readonly targets: readonly string[];
  readonly options: Readonly<Record<string, string>>;
  readonly startedAt: string;
  readonly seconds: number;
  /** Whether somebody ended it early. */
  readonly interrupted: boolean;
  /** Why it ended before it was over, and what it could not measure; none where all went as it was meant to. */
  readonly troubles: readonly string[];
  /** Which time the scenario is about: its percentiles go into the display and the plot over time. */
  readonly main: TimeName;
  readonly counts: Readonly<Record<CountName, number>>;
  readonly offeredPerSecond: number | null;
  readonly achievedPerSecond: number;
  /** The same of messages, from when all pairs were there; null where none were meant at a set rate. */
  readonly messagesOfferedPerSecond: number | null;
  readonly messagesAchievedPerSecond: number | null;
  readonly percentiles: Readonly<Partial<Record<TimeName, Percentiles>>>;
  readonly histograms: Readonly<Partial<Record<TimeName, HistogramData>>>;
  readonly errors: Readonly<Record<string, { readonly count: number; readonly first: string }>>;
  readonly peakPeers: number;
  readonly storms: readonly Storm[];
  readonly timeline: readonly Second[];
  readonly generator: {
    readonly workers: number;
    readonly cpuSeconds: number;
    /** Of the busiest worker over the run: 1 is a whole core. */
    readonly load: number;
    /** How late the generator itself was to begin what it meant to begin: the 99th percentile, in microseconds. */
    readonly lag: number;
    /** How long what came waited until a worker looked at it, in microseconds: part of every time that is shown. */
    readonly queue: { readonly p50: number; readonly p99: number; readonly max: number };
    /** Whether a worker was so busy or so late that the figures may be its own. */
    readonly isBottleneck: boolean;
  };
  readonly cost: Cost | null;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly kernel: string; readonly bun: string };
  readonly expectations: readonly { readonly text: string; readonly isMet: boolean; readonly actual: number | null }[];
  /** With what the program ends; docs/LOAD.md says what each means. */
  readonly exitCode: number;
}

/** How many errors there were, of all kinds. */
export function errorsOf({ errors }: Pick<Result, "errors">): number {
  return Object.values(errors).reduce((sum, { count }) => sum + count, 0);
}

/** The percentiles of a histogram, as people quote them. @param failed how many of its values are of what failed */
export function percentilesOf(histogram: Histogram, failed = 0): Percentiles {
  return {
    count: histogram.count,
    failed,
    p50: histogram.percentile(50),
    p90: histogram.percentile(90),
    p95: histogram.percentile(95),
    p99: histogram.percentile(99),
    p999: histogram.percentile(99.9),
    max: histogram.max,
    mean: histogram.mean,
  };
}
