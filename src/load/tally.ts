/**
 * The sum of what all workers measured, second by second and in all. It never asks anybody anything.
 */
import { Histogram } from "./histogram.ts";
import { zeros } from "./recorder.ts";
import {
  COUNTS,
  type CountName,
  type Delta,
  percentilesOf,
  RETURN_STEP_MS,
  type Result,
  type Second,
  type Storm,
  type TimeName,
} from "./result.ts";

export class Tally {
  readonly counts: Record<CountName, number> = zeros();
  readonly timeline: Second[] = [];
  lastDoneAt = 0;
  /** Of all workers together, in s. */
  cpuSeconds = 0;
  readonly #main: TimeName;
  readonly #times = new Map<TimeName, Histogram>();
  readonly #failedTimes: Partial<Record<TimeName, number>> = {};
  readonly #lags = new Histogram();
  readonly #queue = new Histogram();
  readonly #storms: { pairs: number; readonly times: Histogram }[] = [];
  readonly #errors = new Map<string, { count: number; first: string }>();
  readonly #peers: number[];
  readonly #peaks: number[];
  #mostPeers = 0;
  #leastPeers: number | null = null;
  readonly #busy: { cpuSeconds: number; seconds: number }[];
  /** Since the last point of the timeline. */
  readonly #recent = new Histogram();
  readonly #recentQueue = new Histogram();
  #recentErrors = 0;
  #recentLoad = 0;

  constructor(main: TimeName, workers: number) {
    this.#main = main;
    this.#peers = Array.from({ length: workers }, () => 0);
    this.#peaks = [...this.#peers];
    this.#busy = Array.from({ length: workers }, () => ({ cpuSeconds: 0, seconds: 0 }));
  }

  /** Connected peers, as far as is known now. */
  get peers(): number {
    return sum(this.#peers);
  }

  /** The most peers that were connected at once, give or take what the workers' peaks were apart. */
  get peakPeers(): number {
    return sum(this.#peaks);
  }

  /** Of the busiest worker over the run: 1 is a whole core. */
  get load(): number {
    return Math.max(...this.#busy.map(({ cpuSeconds, seconds }) => (seconds > 0 ? cpuSeconds / seconds : 0)));
  }

  /** How late the workers were by their own fault: the 99th percentile, in microseconds. */
  get lag(): number {
    return this.#lags.count === 0 ? 0 : this.#lags.percentile(99);
  }

  /** How long what came waited until a worker looked at it. */
  get queue(): Result["generator"]["queue"] {
    const { p50, p99, max } = percentilesOf(this.#queue);
    return { p50, p99, max };
  }

  get percentiles(): Result["percentiles"] {
    return Object.fromEntries(
      [...this.#times].map(([name, histogram]) => [name, percentilesOf(histogram, this.#failedTimes[name] ?? 0)]),
    );
  }

  /** How each storm's pairs came back. */
  get storms(): Storm[] {
    return this.#storms.map(({ pairs, times }) => stormOf(pairs, times));
  }

  get histograms(): Result["histograms"] {
    return Object.fromEntries([...this.#times].map(([name, histogram]) => [name, histogram.toData()]));
  }

  get errors(): Result["errors"] {
    return Object.fromEntries([...this.#errors].sort(([, a], [, b]) => b.count - a.count));
  }

  /** Takes in what a worker measured since its last report. */
  add(worker: number, delta: Delta): void {
    for (const name of COUNTS) this.counts[name] += delta.counts[name];
    for (const [name, data] of Object.entries(delta.times)) {
      const time = name as TimeName;
      const histogram = this.#times.get(time) ?? new Histogram();
      this.#times.set(time, histogram);
      histogram.merge(data);
      if (time === this.#main) this.#recent.merge(data);
    }
    for (const [name, failed] of Object.entries(delta.failedTimes)) {
      const time = name as TimeName;
      this.#failedTimes[time] = (this.#failedTimes[time] ?? 0) + failed;
    }
    delta.storms.forEach(({ pairs, times }, index) => {
      while (this.#storms.length <= index) this.#storms.push({ pairs: 0, times: new Histogram() });
      const storm = this.#storms[index];
      if (!storm) return;
      storm.pairs += pairs;
      storm.times.merge(times);
    });
    this.#lags.merge(delta.lags);
    this.#queue.merge(delta.queue);
    this.#recentQueue.merge(delta.queue);
    for (const [kind, count] of Object.entries(delta.errors))
      this.#addError(kind, count, delta.firstErrors[kind] ?? kind);
    const others = this.peers - (this.#peers[worker] ?? 0);
    this.#mostPeers = Math.max(this.#mostPeers, others + delta.peakPeers);
    this.#leastPeers = Math.min(this.#leastPeers ?? Number.POSITIVE_INFINITY, others + delta.leastPeers);
    this.#peers[worker] = delta.peers;
    this.#peaks[worker] = Math.max(this.#peaks[worker] ?? 0, delta.peakPeers);
    this.lastDoneAt = Math.max(this.lastDoneAt, delta.lastDoneAt ?? 0);
    this.cpuSeconds += delta.cpuSeconds;
    const busy = this.#busy[worker];
    if (busy) {
      busy.cpuSeconds += delta.cpuSeconds;
      busy.seconds += delta.seconds;
    }
    if (delta.seconds > 0) this.#recentLoad = Math.max(this.#recentLoad, delta.cpuSeconds / delta.seconds);
  }

  #addError(kind: string, count: number, first: string): void {
    const error = this.#errors.get(kind);
    if (error) error.count += count;
    else this.#errors.set(kind, { count, first });
    this.#recentErrors += count;
  }

  /** Makes one point of the timeline of what came since the last one. @param at since the start, in s */
  second(at: number): Second {
    const hasTimes = this.#recent.count > 0;
    const before = this.#countsBefore;
    const second: Second = {
      at,
      counts: Object.fromEntries(COUNTS.map((name) => [name, this.counts[name] - before[name]])) as Second["counts"],
      errors: this.#recentErrors,
      peers: this.peers,
      mostPeers: Math.max(this.#mostPeers, this.peers),
      leastPeers: Math.min(this.#leastPeers ?? this.peers, this.peers),
      p50: hasTimes ? this.#recent.percentile(50) : null,
      p99: hasTimes ? this.#recent.percentile(99) : null,
      max: hasTimes ? this.#recent.max : null,
      generatorLoad: this.#recentLoad,
      generatorQueue: this.#recentQueue.percentile(99),
    };
    this.timeline.push(second);
    this.#countsBefore = { ...this.counts };
    this.#recent.clear();
    this.#recentQueue.clear();
    this.#mostPeers = 0;
    this.#leastPeers = null;
    this.#recentErrors = 0;
    this.#recentLoad = 0;
    return second;
  }
  #countsBefore = zeros();
}

/** What became of a storm. @param times when each of the pairs that came back was back, since the cut */
export function stormOf(pairs: number, times: Histogram): Storm {
  const after = (share: number): number | null => {
    const wanted = Math.max(1, Math.ceil(share * pairs));
    return times.count < wanted ? null : times.ranked(wanted) / 1e6;
  };
  const steps = times.count === 0 ? 0 : Math.floor(times.max / RETURN_STEP_MICROS) + 1;
  return {
    pairs,
    back: { p50: after(0.5), p95: after(0.95), p99: after(0.99), p100: after(1) },
    curve: Array.from({ length: steps }, (_, step) =>
      step === steps - 1 ? times.count : times.countUpTo((step + 1) * RETURN_STEP_MICROS),
    ),
    times: times.toData(),
  };
}
const RETURN_STEP_MICROS = RETURN_STEP_MS * 1_000;

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
