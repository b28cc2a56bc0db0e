/** Somebody in a simulated run: joins, speaks, leaves or falls silent, and says what it heard that must never be heard. */
import { FRESH_MS } from "../../../src/cluster/times.ts";
import type { Peer } from "../../../src/core/peer.ts";
import type { ModelNode, Net } from "./model-net.ts";
import type { Ear } from "./model-relay.ts";

/** How often people were told what. */
export type Seen = Record<"ready" | "across" | "told" | "refused", number>;

/** The run that somebody is in. */
export interface Stage {
  readonly net: Net;
  readonly seen: Seen;
  wrong(what: string): void;
  /** By how much the engine's clock was set back since then, if by too little to show: what was held up looks younger. */
  setBackSince(at: number): number;
}

export class Person {
  readonly #run: Stage;
  readonly name: string;
  peer: Peer | null = null;
  node: ModelNode | null = null;
  code = "";
  isInitiator = false;
  token: string | null = null;
  isGhost = false;
  isReady = false;
  joinedAt = -1;
  isAnswered = true;
  #sent = 0;
  #attempts = 0;
  /** By who said it: the last number that was heard since the last ready. */
  #heard = new Map<string, number>();
  heardOf: string | null = null;

  constructor(run: Stage, name: string) {
    this.#run = run;
    this.name = name;
  }

  join(node: ModelNode, code: string, isInitiator: boolean, withToken: boolean): void {
    this.close();
    this.node = node;
    if (this.code !== code || this.isInitiator !== isInitiator) this.token = null;
    [this.code, this.isInitiator, this.isGhost, this.isReady] = [code, isInitiator, false, false];
    this.isAnswered = false;
    this.joinedAt = this.#run.net.time.now;
    const token = withToken ? this.token : null;
    const attempt = ++this.#attempts;
    const isThis = () => this.#attempts === attempt; // a socket that was left behind says nothing to anybody
    const ear: Ear = { hears: (text) => isThis() && this.#hears(text), closed: () => isThis() && this.closed() };
    node.do(() => {
      this.peer = node.relay.connect(ear);
      node.relay.says(this.peer, JSON.stringify({ type: "join", sessionCode: code, isInitiator, token }));
    });
  }

  /** Who it is on this socket: what it said on the one before may still be under way when it sits opposite. */
  get speaker(): string {
    return `${this.name}.${this.#attempts}`;
  }

  speak(): void {
    const { peer, node } = this;
    if (!peer || !node || !this.isReady) return;
    node.do(() => {
      if (this.peer !== peer || !this.isReady) return;
      const data = { from: this.speaker, n: ++this.#sent, at: this.#run.net.time.now };
      node.relay.says(peer, JSON.stringify({ type: "signal", sessionCode: this.code, data }));
    });
  }

  close(): void {
    const { peer, node } = this;
    this.#attempts++;
    this.peer = null;
    this.isAnswered = true;
    this.isReady = false;
    if (peer && node) node.do(() => peer.socket && node.relay.gone(peer));
  }

  #hears(text: string): void {
    if (text === "ping") {
      const { peer, node } = this;
      if (!this.isGhost && peer && node)
        this.#run.net.time.after(5, () =>
          node.do(() => peer === this.peer && node.relay.says(peer, '{"type":"pong"}')),
        );
      return;
    }
    const message = JSON.parse(text);
    if (message.type === "joined") {
      this.token = message.token;
      this.isAnswered = true;
    } else if (message.type === "ready") {
      this.isReady = true;
      this.heardOf = null;
      this.#heard.clear();
      this.#run.seen.ready++;
      if (!this.peer?.session) this.#run.seen.across++;
    } else if (message.type === "peer-left") {
      this.isReady = false;
      this.heardOf = null;
    } else if (message.type === "signal") this.#hear(message.data);
    else if (message.type === "error") {
      if (message.code === "no-peer" || message.code === "not-joined") return;
      this.isAnswered = true;
      if (message.code === "restarting") this.#run.seen.told++;
      else this.#run.seen.refused++;
    }
  }

  #hear({ from, n, at }: { from: string; n: number; at: number }): unknown {
    const { now } = this.#run.net.time;
    if (from === this.speaker) return this.#run.wrong("somebody hears what it said itself");
    if (!this.isReady) return this.#run.wrong("a message without a ready");
    const last = this.#heard.get(from);
    if (last !== undefined && n !== last + 1) this.#run.wrong(`message ${n} comes after ${last}`);
    if (now - at > 2 * FRESH_MS + this.#run.setBackSince(at))
      this.#run.wrong(`a message comes ${now - at} ms after it was sent`);
    this.#heard.set(from, n);
    if (this.heardOf !== null && this.heardOf !== from) this.#run.wrong("two peers speak to one");
    this.heardOf = from;
    return null;
  }

  closed(): void {
    this.peer = null;
    this.isReady = false;
    this.isAnswered = true;
  }

  get isThere(): boolean {
    return this.peer !== null && this.node?.isDead === false;
  }
}
