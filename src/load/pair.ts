/**
 * Two peers of one session on their way to `ready`, which is the same in every scenario: they connect, join, and hear
 * it. What they do then, and what a failure means, is up to each kind of pair.
 */
import type { Owner, Peer } from "./peer.ts";
import type { Route, Stage } from "./stage.ts";
import type { Kind } from "./wire.ts";

/** What a pair waits for; a timeout is counted under it. */
type Awaited = "connect" | "ready" | "session";

export abstract class Pair implements Owner {
  readonly stage: Stage;
  readonly code: Uint8Array;
  readonly route: Route;
  /** When it was meant to begin, in ms. */
  readonly intendedMs: number;
  readonly initiator: Peer;
  readonly joiner: Peer;
  #awaited: Awaited = "connect";
  #isInitiatorReady = false;
  #isJoinerReady = false;
  #isOver = false;

  constructor(stage: Stage, intendedMs: number, code = stage.newCode(), route = stage.nextRoute()) {
    this.stage = stage;
    this.intendedMs = intendedMs;
    this.code = code;
    this.route = route;
    this.initiator = stage.newPeer(this, "initiator", code, route);
    this.joiner = stage.newPeer(this, "joiner", code, route);
  }

  /** Connects both peers at once. */
  start(): void {
    this.initiator.connect();
    this.joiner.connect();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  other(peer: Peer): Peer {
    return peer === this.initiator ? this.joiner : this.initiator;
  }

  opened(peer: Peer): void {
    this.stage.recorder.time("connect", this.#age());
    if (this.other(peer).isOpen) this.#awaited = "ready";
    const join = this.stage.script.join[peer.role];
    if (join) peer.send(join.with(this.code));
  }

  text(peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    if (this.#isOver) return;
    const kind = this.stage.wire.kindOf(bytes, start, end);
    if (kind === "ready") this.#hearReady(peer);
    else if (kind === "error") {
      const text = Buffer.from(bytes.subarray(start, end)).toString();
      this.fail(`refused:${this.stage.wire.errorIn(text)}`, `the relay said ${text}`);
    } else if (kind !== "other") this.relayed(peer, kind, end - start);
  }

  lost(_peer: Peer, kind: string, sentence: string): void {
    this.fail(kind, sentence);
  }

  /** It took too long. */
  expire(): void {
    const seconds = this.stage.plan.timeoutMs / 1_000;
    const meant = { connect: "connected", ready: "ready", session: "done" }[this.#awaited];
    this.fail(`timeout:${this.#awaited}`, `a session was not ${meant} ${seconds} s after its intended start`);
  }

  /** Ends it and counts why; the first reason is the one that counts. */
  fail(kind: string, sentence: string): void {
    if (this.#isOver) return;
    this.stage.recorder.error(kind, sentence);
    this.cut();
    this.failed();
  }

  /** Ends it as clients do. */
  close(): void {
    this.#isOver = true;
    this.initiator.close();
    this.joiner.close();
  }

  /** Ends it as a network does. */
  cut(): void {
    this.#isOver = true;
    this.initiator.cut();
    this.joiner.cut();
  }

  /** One of them has heard ready. */
  protected heardReady(): void {}
  /** Both have heard ready. */
  protected abstract ready(): void;
  /** One of the other peer's messages arrived at `peer`. */
  protected abstract relayed(peer: Peer, kind: Kind, sizeBytes: number): void;
  /** It has ended, and was not meant to. */
  protected abstract failed(): void;

  #hearReady(peer: Peer): void {
    this.heardReady();
    if (peer === this.initiator) this.#isInitiatorReady = true;
    else this.#isJoinerReady = true;
    if (!this.#isInitiatorReady || !this.#isJoinerReady || this.#awaited === "session") return;
    this.#awaited = "session";
    this.stage.recorder.time("ready", this.#age());
    this.ready();
  }

  #age(): number {
    return performance.now() - this.intendedMs;
  }
}
