/** Time as the core is given it, in turns of a second, and who is gone by it. Owns no timer and reads no clock. */

export const TURN_MS = 1_000; // how long a turn is
export const GRACE_MS = 5_000; // so long the answer to the second of two pings may be under way

export interface Clock {
  now(): number; // in ms that never go back; while this process stands still, none pass
  readonly isLate: boolean; // whether it had yet to catch up at the last `now`: what is read may have come long ago
  /** Calls `run` every so many ms, with the ms that it is late. Returns what ends that. */
  every(ms: number, run: (lateMs: number) => void): () => void;
}

/** Whether a peer is gone, being silent for two rounds of turns and the grace; or due to be pinged, once in a round. */
export function judge(peer: { heardTurn: number; slot: number }, turn: number, round: number): "silent" | "due" | null {
  if (turn - peer.heardTurn >= 2 * round + GRACE_MS / TURN_MS) return "silent";
  return peer.slot === turn % round ? "due" : null;
}
