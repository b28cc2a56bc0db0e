/**
 * Time in which this process ran. While it stands still (stopped, a paused container, a migrated machine) no time passes,
 * and what came meanwhile is read before anything is held against its sender. Monotonic: a step of the wall clock is none.
 */

/** A turn that is later than this was held up by a process that stood still, and not by a busy one. */
const STALL_MS = 500;

export interface Clock {
  /** In ms. */
  now(): number;
  /** Whether, at the last `now`, this process had yet to catch up: what is read may have come long ago. */
  readonly isLate: boolean;
  /** Calls `run` every so many ms, with the ms that it is late. Returns what ends that. */
  every(ms: number, run: (lateMs: number) => void): () => void;
}

/** A clock for one relay: `every` is called once. */
export class LoopClock implements Clock {
  isLate = false;
  #dueAt = Number.POSITIVE_INFINITY;
  #stoodStillMs = 0;

  now(): number {
    const at = performance.now();
    this.isLate = at > this.#dueAt + STALL_MS;
    return Math.min(at, this.#dueAt + STALL_MS) - this.#stoodStillMs;
  }

  every(ms: number, run: (lateMs: number) => void): () => void {
    this.#dueAt = performance.now() + ms;
    const timer = setInterval(() => {
      const lateMs = Math.max(0, performance.now() - this.#dueAt);
      // Two turns: the first may have begun before now, the second reads all that has come.
      setImmediate(() => setImmediate(() => this.#turn(ms, () => run(lateMs))));
    }, ms);
    return () => clearInterval(timer);
  }

  #turn(ms: number, run: () => void): void {
    const at = performance.now();
    this.#stoodStillMs += Math.max(0, at - this.#dueAt - STALL_MS);
    this.#dueAt = at + ms;
    run();
  }
}
