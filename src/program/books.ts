/**
 * The relay's books: what it holds at this moment, and whether that agrees with what Bun says. It only reads. By it
 * the relay says how it is, and ends itself where they differ after an internal error (main.ts).
 */
import type { State } from "../core/admission.ts";
import type { Relay } from "../core/relay.ts";
import type { Status } from "../web/page.ts";

/** What is said where it finds that. */
const BOOKS_DIFFER = "the self-check found a difference between sockets, seats, sessions and topics";
const CHECK_TURNS = 60; // in so many it looks at every session, whatever happens meanwhile

export type Gauges = ReturnType<typeof gauges>;

/** What the relay holds: all 0 when the last peer has gone. Whose session is at another node is a socket and no more. */
export function gauges({ sessions, peers, seats: seatsHeld }: State) {
  const is = { new: 0, pending: 0, away: 0, probing: 0, seated: 0, gone: 0, here: 0 };
  for (const { phase, isHere } of peers) {
    is[phase]++;
    is.here += Number(isHere);
  }
  const { here: sockets, probing, seated } = is;
  return { sockets, notJoined: is.new + is.pending, probing, seated, sessions: sessions.size, seatsHeld };
}

interface Counter {
  differed(differences: number): void;
}

export class Books {
  readonly #relay: Relay;
  readonly #metrics: Counter;
  readonly #warn: (line: string) => void;
  #turns = 0;
  #differsUntil = 0; // which turn: what differs in one session is seen once in a round

  /** @param metrics are told how many differences each look has found: 0, unless there is a bug */
  constructor(relay: Relay, metrics: Counter, warn: (line: string) => void) {
    this.#relay = relay;
    this.#metrics = metrics;
    this.#warn = warn;
  }

  get status(): Status {
    if (this.#relay.state.isDraining) return "draining";
    return this.#turns < this.#differsUntil ? "degraded" : "ok";
  }

  /** Once a second: looks at the counts, and at every session in its turn. */
  turn(): void {
    this.check(++this.#turns % CHECK_TURNS);
  }

  /** Compares what is counted twice: of the sessions all, or one `part` of CHECK_TURNS. Returns how many differ. */
  check(part: number | null = null): number {
    const { state, server } = this.#relay;
    const { sockets, seatsHeld, seated } = gauges(state);
    let found = Math.abs(sockets - server.pendingWebSockets) + Math.abs(seatsHeld - seated);
    for (const { code, beganAt, initiator, joiner } of state.sessions.values()) {
      if (part !== null && Math.floor(beganAt) % CHECK_TURNS !== part) continue;
      const held = [initiator, joiner].filter((peer) => peer !== null);
      if (held.length === 0 || held.filter(({ isHere }) => isHere).length !== server.subscriberCount(code)) found++;
    }
    this.#metrics.differed(found);
    if (found === 0) return 0;
    this.#differsUntil = this.#turns + CHECK_TURNS;
    this.#warn(BOOKS_DIFFER);
    return found;
  }
}
