/**
 * Time in which this process ran, and turns of it. While it stands still (stopped, a paused container, a migrated machine)
 * none passes, and what came meanwhile is read before anything is held against its sender. The wall clock plays no part.
 */

const STALL_MS = 500; // a turn that is later was held up by a process that stood still, and not by a busy one
export const TURN_MS = 1_000; // how long a turn is
export const GRACE_MS = 5_000; // so long the answer to the second of two pings may be under way

export interface Clock {
  now(): number; // in ms
  readonly isLate: boolean; // whether it had yet to catch up at the last `now`: what is read may have come long ago
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

/** Whether a peer is gone, being silent for two rounds of turns and the grace; or due to be pinged, once in a round. */
export function judge(peer: { heardTurn: number; slot: number }, turn: number, round: number): "silent" | "due" | null {
  if (turn - peer.heardTurn >= 2 * round + GRACE_MS / TURN_MS) return "silent";
  return peer.slot === turn % round ? "due" : null;
}
