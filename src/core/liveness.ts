/**
 * Who is still there. Owns the order in which peers are pinged. It counts in turns, not in time: when the relay
 * itself stands still, no turn passes, and no peer is blamed for a silence that nobody could hear. Pure.
 */

/** What is kept of each peer. */
export interface Pulse {
  /** The turn in which something last came from it. */
  heardAt: number;
  /** Its place on the wheel. */
  readonly spoke: number;
}

/** A peer is gone when nothing came from it for two rounds of pings and so many turns more. */
export const GRACE_TURNS = 5;

export class Liveness<Peer extends { readonly data: Pulse }> {
  /** Every peer, on a spoke taken at random, so that a crowd that came at once is not pinged at once. */
  readonly #wheel: readonly Set<Peer>[];
  #turn = 0;

  /** @param turns how many turns lie between two pings of one peer, at least 1 */
  constructor(turns: number) {
    this.#wheel = Array.from({ length: turns }, () => new Set<Peer>());
  }

  /** For a peer that is about to be added. */
  newPulse(): Pulse {
    return { heardAt: this.#turn, spoke: Math.floor(Math.random() * this.#wheel.length) };
  }

  add(peer: Peer): void {
    this.#wheel[peer.data.spoke]?.add(peer);
  }

  remove(peer: Peer): void {
    this.#wheel[peer.data.spoke]?.delete(peer);
  }

  heard(peer: Peer): void {
    peer.data.heardAt = this.#turn;
  }

  all(): Peer[] {
    return this.#wheel.flatMap((spoke) => [...spoke]);
  }

  /** Goes on by one turn. Returns who is to be pinged now, and who has been silent for too long. */
  turn(): { due: Peer[]; silent: Peer[] } {
    this.#turn++;
    const turns = this.#wheel.length;
    const patience = 2 * turns + GRACE_TURNS;
    const due = [...(this.#wheel[this.#turn % turns] ?? [])];
    const asked = [...(this.#wheel[(this.#turn + GRACE_TURNS * (turns - 1)) % turns] ?? [])];
    return { due, silent: asked.filter(({ data }) => this.#turn - data.heardAt >= patience) };
  }
}
