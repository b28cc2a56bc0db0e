/**
 * All that is kept of one peer, in one place, for as long as its socket is open: where it stands in admission, its
 * token, and what it has used up. No address, no message. It decides nothing.
 */
import type { ServerWebSocket } from "bun";
import { type ErrorName, type JoinMessage, PEER_LEFT, PROBE } from "./protocol.ts";

/** What is used of a socket; where there are several relays, it may be one of another node. */
export type Socket = Pick<
  ServerWebSocket<Peer>,
  | "data"
  | "readyState"
  | "sendText"
  | "publishText"
  | "subscribe"
  | "unsubscribe"
  | "getBufferedAmount"
  | "ping"
  | "close"
  | "terminate"
>;

/** Whoever sits opposite: a socket here, or, where there are several relays, a peer of another one, or that relay. */
export interface Opposite {
  /** Passes on what `from` said. Returns false where it could not be, or where more than `mostBytes` now wait here. */
  text(text: string, from: Socket, mostBytes: number): boolean;
  /** Asks whether it is there. */
  probe(): void;
  /** Tells it that it was heard. */
  heard(): void;
  /** Tells it that the other seat fell free. */
  left(): void;
}

export interface Session {
  readonly code: string;
  readonly beganAt: number;
  initiator: Peer | null;
  joiner: Peer | null;
  /** When it was last joined or relayed for. */
  activeAt: number;
  /** When both seats were first held. */
  readyAt: number | null;
  isAnswered: boolean;
  /** Whether a third peer was turned away. */
  isCrowded: boolean;
  /** How often both seats were filled: which ready is the present one. */
  pairing: number;
}

export class Peer implements Opposite {
  /** Null from its close on. */
  socket: Socket | null = null;
  /** Whether its socket is one of this process, and not of another node. */
  readonly isHere: boolean = true;
  /** Where its address is counted; see AddressTable. */
  readonly address: number;

  // Admission's; see admission.ts.
  phase: "new" | "pending" | "away" | "probing" | "seated" | "gone" = "new";
  /** When its present wait began. */
  since = 0;
  heardAt = 0;
  session: Session | null = null;
  isInitiator = false;
  token = "";
  /** As it said when it joined; see JoinMessage. */
  instance: string | null = null;
  answers = false;
  /** What it asked for, while that is pending or its seat's holder is probed. */
  asked: JoinMessage | null = null;
  /** The node that has its session, where that is another one; and whether somebody sits opposite there. */
  home: Opposite | null = null;
  isMet = false;
  /** Who waits for its seat while it is probed. */
  newcomers: Peer[] | null = null;

  // The edge's; see liveness.ts, and `heard` in relay.ts.
  heardTurn = 0;
  slot = 0;
  /** Pings of the relay that it has yet to answer. */
  pongsDue = 0;
  badMessages = 0;
  messages = 0;
  bytes = 0;
  /** When its bucket of messages is full again. */
  fullAt = 0;
  /** Why it was closed here. */
  closedFor: ErrorName | "silent" | null = null;

  constructor(address: number) {
    this.address = address;
  }

  text(text: string, from: Socket, mostBytes: number): boolean {
    return this.#isTaken(from.publishText(this.session?.code ?? "", text), mostBytes);
  }

  /** The same with what was said at another node. */
  passed(text: string, mostBytes: number): boolean {
    return this.#isTaken(this.socket?.sendText(text) ?? 1, mostBytes);
  }

  /** -1: it had to be queued. 0: it was not, though a peer is there; a gap is worse than an end. */
  #isTaken(sent: number, mostBytes: number): boolean {
    return sent > 0 || (sent < 0 && (this.socket?.getBufferedAmount() ?? 0) <= mostBytes);
  }

  ping(): void {
    this.pongsDue++;
    this.socket?.ping();
  }

  probe(): void {
    if (this.answers) this.socket?.sendText(PROBE);
    else this.ping();
  }

  heard(): void {}

  left(): void {
    this.socket?.sendText(PEER_LEFT);
  }
}
