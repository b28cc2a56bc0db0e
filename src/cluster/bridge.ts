/**
 * Between the core and the state machine: the core asks it as its directory, and it tells the core what comes of that. A
 * peer of another node whose session is here is a `Guest`, which the core takes for any other peer; a peer here whose
 * session is elsewhere has a `Way` to it, which the core takes for whoever sits opposite. It decides nothing, and it
 * never speaks to the engine: how that is done, it is given.
 */
import type { Answer, Event as CoreEvent, Seat } from "../core/admission.ts";
import type { Account } from "../core/limits.ts";
import { type Opposite, Peer, type Socket } from "../core/peer.ts";
import { ERRORS, type ErrorName, type JoinMessage, PEER_LEFT } from "../core/protocol.ts";
import type { Directory } from "../core/relay.ts";
import { isSafe, step } from "./directory.ts";
import type { Kind, Link, Packet, Roll } from "./links.ts";
import type { Ask, Effect, Event, Home, Node } from "./node.ts";
import type { Call } from "./script.ts";

/** What the relay offers to other nodes; see `forNodes` in relay.ts. */
export interface Host {
  apply(event: CoreEvent): void;
  refuse(peer: Peer, name: ErrorName): void;
  /** Something was said on this socket. */
  take(socket: Socket, text: string): void;
  /** It is gone. */
  part(peer: Peer): void;
  readonly server: { publish(sessionCode: string, text: string): number };
  readonly clock: { now(): number };
  readonly config: { readonly maxBufferedBytes: number };
  /** On which guests count: each is counted by its own node. */
  readonly guestAccount: Account;
}

/** The way to engine and nodes. None of it waits, fails or answers: answers come as events. */
export interface Transport {
  call(id: number, call: Call): void;
  packet(id: number, link: Link, packet: Packet): void;
  roll(to: string, roll: Roll): void;
  /** What `packet` asks for is not here. */
  nope(to: string, packet: Packet): void;
}

const READY_START = '{"type":"ready"';
type Send = (link: Link, kind: Kind, text?: string) => void;

/** The socket of a guest, as the core uses one: what is written to it goes over the link. */
class GuestSocket implements Socket {
  data: Peer;
  readyState: 0 | 1 | 2 | 3 = WebSocket.OPEN;
  readonly #link: Link;
  readonly #send: Send;
  readonly #host: Host;
  readonly #closed: () => void;

  constructor(peer: Peer, link: Link, send: Send, host: Host, closed: () => void) {
    this.data = peer;
    this.#link = link;
    this.#send = send;
    this.#host = host;
    this.#closed = closed;
  }

  sendText(text: string): number {
    if (text.startsWith(READY_START)) this.#send(this.#link, "ready", text);
    else this.#send(this.#link, "say", text);
    return text.length;
  }

  publishText(topic: string, text: string): number {
    return this.#host.server.publish(topic, text);
  }

  close(_code?: number, reason = ""): void {
    this.readyState = WebSocket.CLOSED;
    this.#send(this.#link, "close", reason);
    this.#closed();
  }

  terminate(): void {}
  subscribe(): boolean {
    return true;
  }
  unsubscribe(): boolean {
    return true;
  }
  getBufferedAmount(): number {
    return 0;
  }
  ping(): number {
    return 0;
  }
}

/** A peer of another node whose session is here. */
class Guest extends Peer {
  override readonly isHere = false;
  readonly #link: Link;
  readonly #send: Send;

  constructor(account: Account, link: Link, send: Send) {
    super(account);
    this.#link = link;
    this.#send = send;
  }

  override text(text: string): boolean {
    this.#send(this.#link, "pass", text);
    return true;
  }
  override probe(): void {
    this.#send(this.#link, "probe");
  }
  override left(): void {
    this.#send(this.#link, "peer-left", PEER_LEFT);
  }
  /** Its own node sees to that it is there. */
  override ping(): void {}
}

/** From a peer here to its session elsewhere. */
class Way implements Opposite {
  readonly #link: Link;
  readonly #send: Send;

  constructor(link: Link, send: Send) {
    this.#link = link;
    this.#send = send;
  }

  text(text: string): boolean {
    this.#send(this.#link, "text", text);
    return true;
  }
  probe(): void {}
  heard(): void {
    this.#send(this.#link, "heard");
  }
  left(): void {
    this.#send(this.#link, "left");
  }
}

interface Asking {
  readonly join: JoinMessage;
  readonly peer: Peer;
  readonly answer: (answer: Answer) => void;
}

export class Bridge implements Directory {
  readonly node: Node;
  readonly #transport: Transport;
  readonly #now: () => number;
  readonly #later: (run: () => void) => void;
  #host: Host | null = null;
  readonly #asks = new Map<Ask, Asking>();
  readonly #byJoin = new Map<JoinMessage, Ask>();
  readonly #guests = new Map<Link, Guest>();
  readonly #away = new Map<Link, Asking>();
  /** What is to be told to the core, which may be in the middle of a step. */
  readonly #queue: (() => void)[] = [];
  #isScheduled = false;

  /** @param later runs something after what is being done now, and before anything else */
  constructor(node: Node, transport: Transport, now: () => number, later: (run: () => void) => void) {
    this.node = node;
    this.#transport = transport;
    this.#now = now;
    this.#later = later;
  }

  /** The relay is there only after the directory that it is given. */
  serve(host: Host): void {
    this.#host = host;
  }

  get guests(): number {
    return this.#guests.size;
  }

  get away(): number {
    return this.#away.size;
  }

  ask(join: JoinMessage, peer: Peer, answer: (answer: Answer) => void): void {
    const ask: Ask = { code: join.sessionCode, join: JSON.stringify(join) };
    this.#asks.set(ask, { join, peer, answer });
    this.#byJoin.set(join, ask);
    this.#inside({ type: "ask", ask });
  }

  withdraw(join: JoinMessage): void {
    const ask = this.#byJoin.get(join);
    if (!ask) return;
    this.#byJoin.delete(join);
    this.#asks.delete(ask);
    this.#inside({ type: "withdraw", ask });
  }

  giveBack({ sessionCode }: Seat): void {
    this.#inside({ type: "give back", code: sessionCode });
  }

  watch(): void {
    if (!isSafe(this.node, this.#now())) this.happen({ type: "tick" });
  }

  /** Something has come from engine or nodes, or time has passed: never in the middle of a step of the core. */
  happen(event: Event): void {
    this.#inside(event);
    this.#drain();
  }

  /** The same in the middle of one: what the core is to hear of it, it hears later. */
  #inside(event: Event): void {
    for (const effect of step(this.node, event, this.#now())) this.#perform(effect);
    this.#schedule();
  }

  #soon(run: () => void): void {
    this.#queue.push(run);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#queue.length === 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    this.#later(() => {
      this.#isScheduled = false;
      this.#drain();
    });
  }

  #drain(): void {
    for (let run = this.#queue.shift(); run; run = this.#queue.shift()) run();
  }

  readonly #send: Send = (link, kind, text = "") => this.#inside({ type: "send", link, kind, text });

  #perform(effect: Effect): void {
    const host = this.#host;
    if (effect.do === "call") this.#transport.call(effect.id, effect.call);
    else if (effect.do === "packet") this.#transport.packet(effect.id, effect.link, effect.packet);
    else if (effect.do === "roll") this.#transport.roll(effect.to, effect.roll);
    else if (effect.do === "nope") this.#transport.nope(effect.to, effect.packet);
    else if (host) this.#queue.push(() => this.#tell(host, effect));
  }

  #tell(host: Host, effect: Effect): void {
    switch (effect.do) {
      case "answer":
        this.#answered(effect.ask, effect.home);
        break;
      case "away":
        this.#sendAway(effect.ask, effect.link);
        break;
      case "guest":
        this.#welcome(host, effect.link, effect.text);
        break;
      case "deliver":
        if (effect.link.isHome) this.#hear(host, effect.link, effect.kind, effect.text);
        else this.#say(host, effect.link, effect.kind, effect.text);
        break;
      case "broken":
        this.#part(host, effect.link);
        break;
      case "lose":
        host.apply({ type: "lost", sessionCode: effect.code });
    }
  }

  #answered(ask: Ask, home: Home | null): void {
    const asking = this.#take(ask);
    const isHere = home !== null && this.node.homes.get(ask.code) === home; // it may be lost by now
    if (asking) asking.answer(isHere ? null : "at-capacity");
    else if (isHere) this.#inside({ type: "give back", code: ask.code });
  }

  #take(ask: Ask): Asking | null {
    const asking = this.#asks.get(ask);
    this.#asks.delete(ask);
    if (asking) this.#byJoin.delete(asking.join);
    return asking ?? null;
  }

  #sendAway(ask: Ask, link: Link): void {
    const asking = this.#take(ask);
    const way = new Way(link, (...words) => {
      if (words[1] === "left") this.#away.delete(link);
      this.#send(...words);
    });
    if (!asking) return void way.left();
    this.#away.set(link, asking);
    asking.answer(way);
  }

  #welcome(host: Host, link: Link, join: string): void {
    const guest = new Guest(host.guestAccount, link, this.#send);
    guest.socket = new GuestSocket(guest, link, this.#send, host, () => this.#soon(() => this.#exit(host, link)));
    this.#guests.set(link, guest);
    host.apply({ type: "connect", peer: guest });
    host.take(guest.socket, join);
  }

  #exit(host: Host, link: Link): void {
    const guest = this.#guests.get(link);
    this.#guests.delete(link);
    if (guest) host.part(guest);
  }

  #hear(host: Host, link: Link, kind: Kind, text: string): void {
    const guest = this.#guests.get(link);
    if (!guest) return;
    if (kind === "left") this.#exit(host, link);
    else if (kind === "text" && guest.socket) host.take(guest.socket, text);
    else if (kind === "heard") {
      guest.heardAt = host.clock.now();
      host.apply({ type: "heard", peer: guest });
    }
  }

  #say(host: Host, link: Link, kind: Kind, text: string): void {
    const peer = this.#away.get(link)?.peer;
    if (!peer) return;
    if (kind === "close") this.#dismiss(host, link, peer, text);
    else if (kind === "probe") host.apply({ type: "probe", peer });
    else if (!peer.isTaken(peer.socket?.sendText(text) ?? 1, host.config.maxBufferedBytes)) host.refuse(peer, "slow");
    if (kind === "ready" || kind === "peer-left") host.apply({ type: "met", peer, isMet: kind === "ready" });
  }

  /** It was told why, by the node of its session. */
  #dismiss(host: Host, link: Link, peer: Peer, reason: string): void {
    this.#away.delete(link);
    const name = Object.hasOwn(ERRORS, reason) ? (reason as ErrorName) : "restarting";
    if (name === "session-full" || name === "role-taken") peer.account.failures.take(host.clock.now());
    peer.closedFor = name;
    peer.socket?.close(ERRORS[name].close ?? undefined, name);
  }

  /** The other end is gone, or can't be reached. */
  #part(host: Host, link: Link): void {
    const away = this.#away.get(link);
    this.#away.delete(link);
    if (away) away.answer("restarting");
    if (!link.isHome) return;
    if (!this.node.isUp) host.apply({ type: "lost", sessionCode: link.code }); // who sits here can't be reached, either
    this.#exit(host, link);
  }
}
