/**
 * What one worker counts and times, until it reports. It decides nothing.
 */
import { Histogram } from "./histogram.ts";
import { COUNTS, type CountName, type Delta, TIMES, type TimeName } from "./result.ts";

/** What only the process itself knows, at the time of a report. */
export interface Usage {
  /** Since the last report, in s. */
  readonly seconds: number;
  readonly cpuSeconds: number;
}

export class Recorder {
  readonly counts: Record<CountName, number> = zeros();
  #peers = 0;
  #peakPeers = 0;
  readonly #times = new Map(TIMES.map((name) => [name, new Histogram()]));
  readonly #lags = new Histogram();
  #errors: Record<string, number> = {};
  #firstErrors: Record<string, string> = {};
  #lastDoneAt: number | null = null;

  /** Connected peers now. */
  get peers(): number {
    return this.#peers;
  }

  set peers(peers: number) {
    this.#peers = peers;
    if (peers > this.#peakPeers) this.#peakPeers = peers;
  }

  /** @param ms how long it took since it was meant to begin */
  time(name: TimeName, ms: number): void {
    this.#times.get(name)?.add(ms * 1_000);
  }

  /** @param ms how much later than it should have been something was begun, by this process's own fault */
  readonly lag = (ms: number): void => this.#lags.add(ms * 1_000);

  /** @param atMs since the start of the run */
  done(atMs: number): void {
    this.counts.done++;
    this.#lastDoneAt = atMs / 1_000;
  }

  /** @param sentence what happened, for people; asked for only where it is the first of its kind */
  error(kind: string, sentence: string): void {
    const count = this.#errors[kind] ?? 0;
    if (count === 0) this.#firstErrors[kind] = sentence;
    this.#errors[kind] = count + 1;
  }

  /** What was measured since the last call. */
  take({ seconds, cpuSeconds }: Usage): Delta {
    const times: Delta["times"] = Object.fromEntries(
      [...this.#times].filter(([, { count }]) => count > 0).map(([name, histogram]) => [name, histogram.toData()]),
    );
    const delta: Delta = {
      counts: { ...this.counts },
      times,
      lags: this.#lags.toData(),
      errors: this.#errors,
      firstErrors: this.#firstErrors,
      peers: this.#peers,
      peakPeers: this.#peakPeers,
      lastDoneAt: this.#lastDoneAt,
      seconds,
      cpuSeconds,
    };
    Object.assign(this.counts, zeros());
    for (const histogram of this.#times.values()) if (histogram.count > 0) histogram.clear();
    this.#lags.clear();
    this.#peakPeers = this.#peers;
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
