/**
 * When things are meant to happen, evenly spaced at a rate, whatever becomes of those before them. What is late stays
 * owed and keeps the time at which it was meant, so that a stall is measured and not left out. Pure: now is given.
 */

/**
 * A timer of 1 ms comes up to so much after the last one, in ms, on a machine that is not overloaded. Arrivals between
 * two timers are meant for the later one: otherwise the timer's own step would hide what a fast relay takes.
 */
export const TIMER_STEP_MS = 1.5;

/** Taken ones are dropped in bundles, since that moves the others. */
const BUNDLE = 65_536;

export interface Pace {
  readonly perSecond: number;
  /** How long it takes to reach that rate, from nothing. */
  readonly rampMs: number;
  /** When the first one is meant. */
  readonly startMs: number;
  /** Before when all are meant; there may be no end. */
  readonly endMs: number;
  /** How many there are in all, where that is set. */
  readonly most: number;
}

export class Pacer {
  readonly #pace: Pace;
  #owed: number[] = [];
  #taken = 0;
  #due = 0;
  #lastTickMs: number;

  constructor(pace: Pace) {
    this.#pace = pace;
    this.#lastTickMs = pace.startMs;
  }

  /** How many were meant to happen by the last tick. */
  get due(): number {
    return this.#due;
  }

  /** Whether some that were due have not been taken. */
  get isOwed(): boolean {
    return this.#taken < this.#owed.length;
  }

  /** Whether all have been taken. */
  get isOver(): boolean {
    return !this.isOwed && !this.#comesBy(Number.POSITIVE_INFINITY);
  }

  /**
   * Puts down what has come due since the last call.
   * @param late is told of each by how much this call came too late for it, in ms
   * @returns how many there are
   */
  tick(nowMs: number, late: (ms: number) => void = () => {}): number {
    const before = this.#due;
    const forgivenMs = this.#lastTickMs + TIMER_STEP_MS;
    for (; this.#comesBy(nowMs); this.#due++) {
      const intendedMs = Math.min(nowMs, Math.max(this.#exact(this.#due), forgivenMs));
      this.#owed.push(intendedMs);
      late(nowMs - intendedMs);
    }
    this.#lastTickMs = nowMs;
    return this.#due - before;
  }

  /** When the next of those that are due was meant, in ms; null where none is due. It is not taken yet. */
  get first(): number | null {
    return this.#owed[this.#taken] ?? null;
  }

  /** The same, taken. */
  next(): number | null {
    const intendedMs = this.first;
    if (intendedMs === null) return null;
    if (++this.#taken === this.#owed.length || this.#taken === BUNDLE) {
      this.#owed = this.#owed.slice(this.#taken);
      this.#taken = 0;
    }
    return intendedMs;
  }

  /** Whether there is a next one, and it is meant for `ms` or before. */
  #comesBy(ms: number): boolean {
    const exact = this.#exact(this.#due);
    return exact <= ms && exact < this.#pace.endMs && this.#due < this.#pace.most;
  }

  /** When the `index`th is meant: after a ramp in which the rate grows evenly, as the area under the rate says. */
  #exact(index: number): number {
    const { perSecond, rampMs, startMs } = this.#pace;
    const perMs = perSecond / 1_000;
    const inRamp = (perMs * rampMs) / 2;
    if (index < inRamp) return startMs + Math.sqrt((2 * index * rampMs) / perMs);
    return startMs + rampMs + (index - inRamp) / perMs;
  }
}
