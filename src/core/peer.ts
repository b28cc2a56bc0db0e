/**
 * All that is kept of one peer, in one place, for as long as its socket is open, and of a session: where it stands in
 * admission, its token, and what it has used up. No address, no message. It decides nothing.
 */
import type { Server, ServerWebSocket } from "bun";
import { type Account, Bucket } from "./limits.ts";
import { type ErrorName, type JoinMessage, PEER_LEFT, PROBE } from "./protocol.ts";

type Used = "data" | "readyState" | "sendText" | "publishText" | "subscribe" | "unsubscribe" | "getBufferedAmount";
/** What is used of a socket: where there are several relays, it may be one of another node. */
export type Socket = Pick<ServerWebSocket<Peer>, Used | "ping" | "close" | "terminate">;

/** Whoever sits opposite: a socket here, or, where there are several relays, a peer of another one, or that relay. */
export interface Opposite {
  /** Passes on what `from` said. Returns false where it could not be, or where more than `mostBytes` now wait here. */
  text(text: string, from: Socket, mostBytes: number): boolean;
  probe(): void; // asks whether it is there
  left(server: Publisher): void; // tells it that the other seat fell free
}
/** A node to which one's peer is known: it is told when that was heard. */
export type Home = Opposite & { heard(): void };
export type Publisher = Pick<Server<unknown>, "publish">;

export class Session {
  readonly code: string;
  readonly beganAt: number;
  activeAt: number; // when it was last joined or relayed for
  readyAt: number | null = null; // when both seats were first held
  initiator: Peer | null = null;
  joiner: Peer | null = null;
  pairing = 0; // how often both seats were filled: which ready is the present one
  isAnswered = false;
  isCrowded = false; // a third peer was turned away

  constructor(code: string, now: number) {
    this.code = code;
    this.beganAt = this.activeAt = now;
  }
}

export class Peer implements Opposite {
  socket: Socket | null = null; // null from its close on
  readonly isHere: boolean = true; // its socket is one of this process, and not of another node
  readonly account: Account; // of its address
  readonly tokens: Bucket; // for messages

  // Admission's; see admission.ts.
  phase: "new" | "pending" | "away" | "probing" | "seated" | "gone" = "new";
  home: Home | null = null; // the way to its session, where another node has that
  isMet = false; // and somebody sits opposite there
  since = 0; // when its present wait began
  heardAt = 0;
  session: Session | null = null;
  isInitiator = false;
  token = "";
  instance: string | null = null; // this and `answers` as it said when it joined; see JoinMessage
  answers = false;
  asked: JoinMessage | null = null; // what it asked for, while that is pending or its seat's holder is probed
  newcomers: Peer[] | null = null; // who waits for its seat while it is probed

  // The edge's; see relay.ts.
  heardTurn = 0;
  slot = 0; // in which turn of each round it is pinged
  pongsDue = 0; // pings of the relay that it has yet to answer
  badMessages = 0;
  messages = 0;
  bytes = 0;
  closedFor: ErrorName | "silent" | null = null; // why it was closed here

  constructor(account: Account) {
    this.account = account;
    this.tokens = new Bucket(account.limits.messageRate, account.limits.messageBurst);
  }

  text(text: string, from: Socket, mostBytes: number): boolean {
    return this.isTaken(from.publishText(this.session?.code ?? "", text), mostBytes);
  }

  /** What sending to it came to. -1: it had to be queued. 0: it was not, though a peer is there; a gap is worse than an end. */
  isTaken(sent: number, mostBytes: number): boolean {
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

  /** At the end of this turn, if it doesn't leave in the same one; at once if it lost its own seat in the same step. */
  left(server: Publisher): void {
    void (this.session ? server.publish(this.session.code, PEER_LEFT) : this.socket?.sendText(PEER_LEFT));
  }
}
