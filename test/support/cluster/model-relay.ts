/** The edge of a relay without a server: the real reducer and the real bridge, and sockets that are lists of words. */

import type { Bridge, Host } from "../../../src/cluster/bridge.ts";
import { type Effect, type Event, newState, opposite, step } from "../../../src/core/admission.ts";
import { newAddressTable } from "../../../src/core/limits.ts";
import { Peer, type Socket } from "../../../src/core/peer.ts";
import { ERRORS, type ErrorName, error, joined, parse, ready } from "../../../src/core/protocol.ts";
import { readConfig } from "../../../src/program/config.ts";

const LIMITS = readConfig([], {});
const TABLE = newAddressTable(LIMITS, 7);

/** What a peer's socket says to it. */
export interface Ear {
  hears(text: string): unknown;
  closed(name: string): unknown;
}

class ModelSocket implements Socket {
  data: Peer;
  readyState: 0 | 1 | 2 | 3 = WebSocket.OPEN;
  readonly #ear: Ear;
  readonly #relay: ModelRelay;

  constructor(peer: Peer, ear: Ear, relay: ModelRelay) {
    this.data = peer;
    this.#ear = ear;
    this.#relay = relay;
  }
  sendText(text: string): number {
    if (this.readyState === WebSocket.OPEN) this.#ear.hears(text);
    return text.length;
  }
  publishText(topic: string, text: string): number {
    return this.#relay.host.server.publish(topic, text);
  }
  close(_code?: number, reason = ""): void {
    if (this.readyState !== WebSocket.OPEN) return;
    this.readyState = WebSocket.CLOSED;
    this.#ear.closed(reason);
    this.#relay.gone(this.data);
  }
  subscribe(): boolean {
    return true;
  }
  unsubscribe(): boolean {
    return true;
  }
  terminate(): void {
    this.close();
  }
  getBufferedAmount(): number {
    return 0;
  }
  ping(): number {
    this.#ear.hears("ping");
    return 0;
  }
}

export class ModelRelay {
  readonly state = newState(LIMITS, true);
  readonly #bridge: Bridge;
  readonly #now: () => number;
  readonly #token: () => string;
  readonly host: Host;

  constructor(bridge: Bridge, now: () => number, token: () => string) {
    this.#bridge = bridge;
    this.#now = now;
    this.#token = token;
    this.host = {
      apply: (event) => this.apply(event),
      refuse: (peer, name) => this.#refuse(peer, name),
      take: (socket, text) => void this.says(socket.data, text),
      part: (peer) => this.gone(peer),
      server: {
        publish: (topic, text) => {
          if (topic === "") throw new Error("publish requires a topic string"); // as Bun's does
          const session = this.state.sessions.get(topic);
          for (const peer of [session?.initiator, session?.joiner])
            if (peer?.isHere && peer !== this.#speaker) peer.socket?.sendText(text);
          return text.length;
        },
      },
      clock: { now },
      config: LIMITS,
      guestAccount: TABLE.exempt,
    };
    bridge.serve(this.host);
  }
  #speaker: Peer | null = null;

  connect(ear: Ear): Peer {
    const peer = new Peer(TABLE.exempt);
    peer.socket = new ModelSocket(peer, ear, this);
    this.apply({ type: "connect", peer });
    return peer;
  }

  /** What relay.ts does with a frame. */
  says(peer: Peer, text: string): unknown {
    if (peer.phase === "gone" || peer.socket === null) return null;
    this.#bridge.watch();
    peer.heardAt = this.#now();
    const message = parse(text);
    if (typeof message === "string") throw new Error(`a bad message: ${text}`);
    if (message.type === "pong") {
      if (peer.newcomers !== null) peer.home?.heard();
      return this.apply({ type: "heard", peer });
    }
    if (message.type === "join") return this.apply({ type: "join", peer, join: message, token: this.#token() });
    if (message.type === "leave" || message.type === "ping") throw new Error("not said here");
    const { session, home, socket } = peer;
    if (socket === null) return null;
    if (home !== null) return home.text(text, socket, 0);
    if (session === null) return this.#refuse(peer, "not-joined");
    const other = opposite(peer);
    if (other === null) return this.#refuse(peer, "no-peer");
    session.activeAt = this.#now();
    this.#speaker = peer;
    other.text(text, socket, 0);
    this.#speaker = null;
    return null;
  }

  gone(peer: Peer): void {
    peer.socket = null;
    this.apply({ type: "gone", peer });
  }

  tick(): void {
    this.apply({ type: "tick" });
  }

  apply(event: Event): void {
    for (const effect of step(this.state, event, this.#now())) this.#perform(effect);
  }

  #perform(effect: Effect): void {
    if (effect.do === "seat") {
      const { peer } = effect;
      peer.socket?.sendText(joined(peer.token, LIMITS.sessionTtlMs, opposite(peer) !== null));
    } else if (effect.do === "ready") {
      for (const peer of [effect.session.initiator, effect.session.joiner])
        peer?.socket?.sendText(ready(peer.instance === null ? null : effect.session.pairing, null));
    } else if (effect.do === "left") effect.peer.left(this.host.server);
    else if (effect.do === "probe") effect.peer.probe();
    else if (effect.do === "refuse") this.#refuse(effect.peer, effect.name);
    else if (effect.do === "ask")
      this.#bridge.ask(effect.join, effect.peer, (answer) => this.apply({ ...effect, type: "answer", answer }));
    else if (effect.do === "withdraw") this.#bridge.withdraw(effect.join);
    else if (effect.do === "give back") this.#bridge.giveBack(effect.seat);
  }

  #refuse(peer: Peer, name: ErrorName): void {
    if (peer.socket?.readyState !== WebSocket.OPEN) return;
    peer.socket.sendText(error(name));
    const { close } = ERRORS[name];
    if (close !== null) peer.socket.close(close, name);
  }
}
