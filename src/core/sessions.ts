/**
 * Who sits opposite whom. Owns the map of live sessions: two seats each, and the time of their last use.
 * It decides and returns; it never sends, closes, waits, reads a clock or knows what a peer is made of.
 * A session exists while a seat is held: with the last peer its entry, and so its code, is gone.
 */
import type { Outcome } from "./events.ts";

export interface Session<Peer> {
  readonly code: string;
  readonly beganAt: number;
  /** When both seats were first held. */
  readyAt: number | null;
  isAnswered: boolean;
  /** Whether a third peer was turned away. */
  isCrowded: boolean;
  initiator: Peer | null;
  joiner: Peer | null;
  /** When it was last joined or relayed for, in ms of the caller's clock. */
  activeAt: number;
  /** When it was last moved to the end of the queue; at most QUEUE_GRAIN_MS before activeAt. */
  queuedAt: number;
}

export type Refusal = "session-full" | "role-taken" | "at-capacity";

/** Moving a session to the end of the queue costs more than relaying for it: once a second is enough. */
const QUEUE_GRAIN_MS = 1_000;

export class Sessions<Peer> {
  /** The live sessions, and the queue of their expiry: a map keeps its order, the longest idle come first. */
  readonly #live = new Map<string, Session<Peer>>();
  readonly #ttlMs: number;
  readonly #mostWaiting: number;
  #seatsHeld = 0;
  /** Where the check goes on. */
  #round = this.#live.values();

  /** @param ttlMs idle time after which a session expires; `mostWaiting`: sessions in which one peer may be alone */
  constructor(ttlMs: number, mostWaiting: number) {
    this.#ttlMs = ttlMs;
    this.#mostWaiting = mostWaiting;
  }

  /** Sessions with at least one peer. */
  get size(): number {
    return this.#live.size;
  }

  /** Peers that hold a seat. */
  get seatsHeld(): number {
    return this.#seatsHeld;
  }

  /** Who holds the seat that a join asks for, or null. */
  holder(code: string, isInitiator: boolean): Peer | null {
    const session = this.#live.get(code);
    return (isInitiator ? session?.initiator : session?.joiner) ?? null;
  }

  /**
   * Admission (docs/PROTOCOL.md, "Seats"): one decision, taken before anything is stored.
   * @returns the session in which `peer` now holds the seat, or the name of the refusal, which leaves no trace
   */
  join(code: string, isInitiator: boolean, peer: Peer, now: number): Session<Peer> | Refusal {
    const known = this.#live.get(code);
    if (known && known.initiator !== null && known.joiner !== null) return "session-full";
    if (known && (isInitiator ? known.initiator : known.joiner) !== null) return "role-taken";
    if (!known && 2 * this.size - this.#seatsHeld >= this.#mostWaiting) return "at-capacity";
    const session = known ?? newSession(code, now);
    if (!known) this.#live.set(code, session);
    if (isInitiator) session.initiator = peer;
    else session.joiner = peer;
    this.#seatsHeld++;
    this.touch(session, now);
    return session;
  }

  /** Passes the seat of `peer` to a later socket of the same peer. */
  replace(session: Session<Peer>, peer: Peer, later: Peer, now: number): void {
    if (session.initiator === peer) session.initiator = later;
    else session.joiner = later;
    this.touch(session, now);
  }

  /** Gives up the seat that `peer` holds in `session`. Returns who sits opposite, if anyone. */
  leave(session: Session<Peer>, peer: Peer): Peer | null {
    const other = opposite(session, peer);
    if (session.initiator === peer) session.initiator = null;
    else session.joiner = null;
    this.#seatsHeld--;
    if (other === null) this.#live.delete(session.code);
    return other;
  }

  /** Marks `session` as used at `now`: a join or a relayed message. */
  touch(session: Session<Peer>, now: number): void {
    session.activeAt = now;
    if (now - session.queuedAt < QUEUE_GRAIN_MS) return;
    session.queuedAt = now;
    this.#live.delete(session.code);
    this.#live.set(session.code, session);
  }

  /**
   * Takes out every session that was idle for its time or longer at `now`. The cost follows what is due.
   * @returns the ended sessions with the peers that sat in them, for the caller to tell and to close
   */
  expire(now: number): Session<Peer>[] {
    const due: Session<Peer>[] = [];
    for (const session of this.#live.values()) {
      if (now - session.queuedAt < this.#ttlMs) break;
      if (now - session.activeAt >= this.#ttlMs) due.push(session);
    }
    for (const session of due) {
      this.#live.delete(session.code);
      this.#seatsHeld -= Number(session.initiator !== null) + Number(session.joiner !== null);
    }
    return due;
  }

  /**
   * Looks at the next `most` sessions, in turn over many calls.
   * @param subscribers how many sockets have subscribed to the topic of a session
   * @returns in how many of them the seats held are none, or not as many as the subscribers: 0, unless there is a bug
   */
  check(most: number, subscribers: (code: string) => number): number {
    let differences = 0;
    for (let looks = 0; looks < most; looks++) {
      const { value: session } = this.#round.next();
      if (session === undefined) {
        this.#round = this.#live.values();
        break;
      }
      const held = Number(session.initiator !== null) + Number(session.joiner !== null);
      if (held === 0 || held !== subscribers(session.code)) differences++;
    }
    return differences;
  }
}

/** How `session` has ended: the first that holds. An answer came; time ran out; a third peer was turned away; nobody came. */
export function outcomeOf<Peer>(session: Session<Peer>, isExpired: boolean): Outcome {
  if (session.isAnswered) return "paired";
  if (isExpired) return "expired";
  if (session.isCrowded) return "crowded";
  return session.readyAt === null ? "lonely" : "lost";
}

function newSession<Peer>(code: string, now: number): Session<Peer> {
  const story = { beganAt: now, readyAt: null, isAnswered: false, isCrowded: false };
  return { code, initiator: null, joiner: null, activeAt: now, queuedAt: now, ...story };
}

/** Who sits opposite `peer` in `session`, or null. */
export function opposite<Peer>(session: Session<Peer>, peer: Peer): Peer | null {
  return session.initiator === peer ? session.joiner : session.initiator;
}
