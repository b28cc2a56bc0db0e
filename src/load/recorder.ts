/**
 * What one worker counts and times, until it reports. It decides nothing.
 */
import { cut } from "./figures.ts";
import { Histogram, type HistogramData } from "./histogram.ts";
import { COUNTS, type CountName, type Delta, TIMES, type TimeName } from "./result.ts";

/** A relay's words may be endless, and so may be its kinds of errors. */
const LONGEST_SENTENCE = 1_000;
const MOST_KINDS = 200;
const OTHER_KINDS = "other";

/** What only the process itself knows, at the time of a report. */
export interface Usage {
  /** Since the last report, in s. */
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** How long what came waited until the process looked at it. */
  readonly queue: HistogramData;
}

export class Recorder {
  readonly counts: Record<CountName, number> = zeros();
  #peers = 0;
  #peakPeers = 0;
  readonly #times = Object.fromEntries(TIMES.map((name) => [name, new Histogram()])) as Record<TimeName, Histogram>;
  readonly #lags = new Histogram();
  #failedTimes: Partial<Record<TimeName, number>> = {};
  #storms: { pairs: number; readonly times: Histogram }[] = [];
  #leastPeers = 0;
  #errors: Record<string, number> = {};
  readonly #kinds = new Set<string>();
  #firstErrors: Record<string, string> = {};
  #lastDoneAt: number | null = null;

  /** Connected peers now. */
  get peers(): number {
    return this.#peers;
  }

  set peers(peers: number) {
    this.#peers = peers;
    if (peers > this.#peakPeers) this.#peakPeers = peers;
    if (peers < this.#leastPeers) this.#leastPeers = peers;
  }

  /** @param ms how long it took since it was meant to begin */
  time(name: TimeName, ms: number, count = 1): void {
    this.#times[name].add(ms * 1_000, count);
  }

  /** Times what never came to be. @param ms its time-out, or what it waited where that is more */
  timeFailed(name: TimeName, ms: number, count = 1): void {
    if (count === 0) return;
    this.time(name, ms, count);
    this.#failedTimes[name] = (this.#failedTimes[name] ?? 0) + count;
  }

  /** So many pairs were cut off. @param storm from 0 */
  cutOff(storm: number, pairs: number): void {
    this.counts.thrown += pairs;
    this.#storm(storm).pairs = pairs;
  }

  /** A pair came back. @param ms since all were cut off */
  returned(storm: number, ms: number): void {
    this.counts.returned++;
    this.#storm(storm).times.add(ms * 1_000);
  }

  #storm(storm: number) {
    while (this.#storms.length <= storm) this.#storms.push({ pairs: 0, times: new Histogram() });
    return this.#storms[storm] as { pairs: number; times: Histogram };
  }

  /** @param ms how much later than it should have been something was begun, by this process's own fault */
  readonly lag = (ms: number): void => this.#lags.add(ms * 1_000);

  /** @param atMs since the start of the run */
  done(atMs: number): void {
    this.counts.done++;
    this.#lastDoneAt = atMs / 1_000;
  }

  /** @param sentence what happened, for people */
  error(kind: string, sentence: string, count = 1): void {
    const isKnown = this.#kinds.has(kind) || this.#kinds.size < MOST_KINDS;
    const name = isKnown ? kind : OTHER_KINDS;
    this.#kinds.add(name);
    const before = this.#errors[name] ?? 0;
    if (before === 0) this.#firstErrors[name] = cut(sentence, LONGEST_SENTENCE);
    this.#errors[name] = before + count;
  }

  /** What was measured since the last call. */
  take({ seconds, cpuSeconds, queue }: Usage): Delta {
    const times: Delta["times"] = Object.fromEntries(
      Object.entries(this.#times)
        .filter(([, { count }]) => count > 0)
        .map(([name, histogram]) => [name, histogram.toData()]),
    );
    const delta: Delta = {
      counts: { ...this.counts },
      times,
      failedTimes: this.#failedTimes,
      storms: this.#storms.map(({ pairs, times }) => ({ pairs, times: times.toData() })),
      lags: this.#lags.toData(),
      queue,
      errors: this.#errors,
      firstErrors: this.#firstErrors,
      peers: this.#peers,
      peakPeers: this.#peakPeers,
      leastPeers: this.#leastPeers,
      lastDoneAt: this.#lastDoneAt,
      seconds,
      cpuSeconds,
    };
    Object.assign(this.counts, zeros());
    for (const histogram of Object.values(this.#times)) if (histogram.count > 0) histogram.clear();
    this.#lags.clear();
    this.#peakPeers = this.#leastPeers = this.#peers;
    this.#failedTimes = {};
    this.#storms = [];
    this.#errors = {};
    this.#firstErrors = {};
    return delta;
  }
}

/** All counts at nothing. */
export function zeros(): Record<CountName, number> {
  const pairs = COUNTS.map((name): [CountName, number] => [name, 0]);
  return Object.fromEntries(pairs) as Record<CountName, number>;
}
