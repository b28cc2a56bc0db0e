/**
 * Time in which this process ran, and turns of it. While it stands still (stopped, a paused container, a migrated machine)
 * none passes, and what came meanwhile is read before anything is held against its sender. The wall clock plays no part.
 */
import type { Clock } from "../core/liveness.ts";

const STALL_MS = 500; // a turn that is later was held up by a process that stood still, and not by a busy one

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
    const turn = (lateMs: number) => {
      const at = performance.now();
      this.#stoodStillMs += Math.max(0, at - this.#dueAt - STALL_MS);
      this.#dueAt = at + ms;
      run(lateMs);
    };
    const timer = setInterval(() => {
      const lateMs = Math.max(0, performance.now() - this.#dueAt);
      setImmediate(() => setImmediate(turn, lateMs)); // the first may have begun before now, the second reads all
    }, ms);
    return () => clearInterval(timer);
  }
}
