/**
 * Who is still there, and who is asked when. It counts in turns, not in time: when the relay itself stands still, no
 * turn passes, and no peer is blamed for a silence that nobody could hear. Pure.
 */

/** What is kept of each peer: the turn in which something last came from it, and in which turn of a round it is pinged. */
export interface Pulse {
  readonly heardTurn: number;
  readonly slot: number;
}

/** How long a turn is. */
export const TURN_MS = 1_000;
/** A peer is gone when nothing came from it for two rounds of pings and so long besides: its answer may be under way. */
export const GRACE_MS = 5_000;
export const GRACE_TURNS = GRACE_MS / TURN_MS;

/**
 * @param round how many turns lie between two pings of one peer
 * @returns who is to be pinged in this turn, and who has been silent for too long
 */
export function judge<Peer extends Pulse>(peers: Iterable<Peer>, turn: number, round: number) {
  const due: Peer[] = [];
  const silent: Peer[] = [];
  for (const peer of peers) {
    if (turn - peer.heardTurn >= 2 * round + GRACE_TURNS) silent.push(peer);
    else if (peer.slot === turn % round) due.push(peer);
  }
  return { due, silent };
}
