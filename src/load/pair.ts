/**
 * Two peers of one session on their way to `ready`, which is the same in every scenario: they connect, join, and hear
 * it. What they do then, and what a failure means, is up to each kind of pair.
 */
import { Flow } from "./flow.ts";
import type { Owner, Peer } from "./peer.ts";
import type { TimeName } from "./result.ts";
import { CORRUPTED, corrupted, MISDELIVERED } from "./seal.ts";
import { DESCRIBES, type Route, type Stage } from "./stage.ts";
import { isOwnWord, type Kind, type SealedKind } from "./wire.ts";

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
  /** What each of them sends. */
  readonly fromInitiator: Flow;
  readonly fromJoiner: Flow;
  #awaited: Awaited = "connect";
  #opened = 0;
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
    this.fromInitiator = new Flow(stage.recorder, stage.plan.timeoutMs);
    this.fromJoiner = new Flow(stage.recorder, stage.plan.timeoutMs);
  }

  /** Connects both peers at once. */
  start(): void {
    this.initiator.connect();
    this.joiner.connect();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether both have heard ready. */
  get isReady(): boolean {
    return this.#awaited === "session";
  }

  other(peer: Peer): Peer {
    return peer === this.initiator ? this.joiner : this.initiator;
  }

  /** The messages that `peer` sends. */
  flowOf(peer: Peer): Flow {
    return peer === this.initiator ? this.fromInitiator : this.fromJoiner;
  }

  opened(peer: Peer): void {
    this.#opened++;
    this.time("connect", this.#age());
    if (this.other(peer).isOpen) this.#awaited = "ready";
    const join = this.stage.script.join[peer.role];
    if (join) peer.send(join.with(this.code));
  }

  text(peer: Peer, bytes: Buffer, start: number, end: number): void {
    const kind = this.stage.wire.kindOf(bytes, start, end);
    if (kind === "offer" || kind === "answer" || kind === "candidate") this.#arrive(peer, kind, bytes, start, end);
    else if (this.#isOver || kind === "own") return;
    else if (kind === "ready") this.#hearReady(peer);
    else {
      const text = Buffer.from(bytes.subarray(start, end)).toString();
      if (kind === "error" && isOwnWord(text))
        this.fail(`refused:${this.stage.wire.errorIn(text)}`, `the relay said ${text}`);
      else if (!isOwnWord(text)) this.damaged(peer, bytes, start, end);
    }
  }

  /** Something came to `peer` that is no message any more; what is left of its seal, as all have it, says which one. */
  damaged(peer: Peer, bytes: Buffer, start: number, end: number): void {
    const sender = this.other(peer);
    const read = this.stage.script.candidate[sender.role].read(bytes, start, end, this.code);
    this.flowOf(sender).arrive(read < 0 ? read : corrupted(read), 0, 0);
  }

  lost(_peer: Peer, kind: string, sentence: string): void {
    this.fail(kind, sentence);
  }

  /** It took too long. */
  expire(): void {
    const seconds = this.stage.plan.timeoutMs / 1_000;
    const meant = { connect: "connected", ready: "ready", session: "done" }[this.#awaited];
    this.fromInitiator.loseAll();
    this.fromJoiner.loseAll();
    this.fail(`timeout:${this.#awaited}`, `a session was not ${meant} ${seconds} s after its intended start`);
  }

  /** Ends it and counts why; the first reason is the one that counts. What it did not reach counts as timed out. */
  fail(kind: string, sentence: string): void {
    if (this.#isOver) return;
    this.stage.recorder.error(kind, sentence);
    for (let missing = this.#opened; missing < 2; missing++) this.timeFailed("connect");
    if (!this.isReady) this.timeFailed("ready");
    this.#end(true);
    this.initiator.cut();
    this.joiner.cut();
    this.failed();
  }

  /** Ends it as clients do. */
  close(): void {
    this.#end(false);
    this.initiator.close();
    this.joiner.close();
  }

  /** Ends it as a network does. */
  cut(): void {
    this.#end(false);
    this.initiator.cut();
    this.joiner.cut();
  }

  /** Times it, unless it is of a kind whose times are nobody's business. @param ms since it was meant to begin */
  protected time(name: TimeName, ms: number): void {
    this.stage.recorder.time(name, ms);
  }

  /** The same of what was never reached: it counts as the time-out, or as what has passed where that is more. */
  protected timeFailed(name: TimeName): void {
    this.stage.recorder.timeFailed(name, Math.max(this.stage.plan.timeoutMs, this.#age()));
  }

  /** One of them has heard ready. */
  protected heardReady(): void {}
  /** Both have heard ready. */
  protected abstract ready(): void;
  /** One of the other peer's messages arrived at `peer`, whole and for the first time. */
  protected abstract relayed(peer: Peer, kind: Kind, number: number, nowMs: number): void;
  /** It has ended, and was not meant to. */
  protected abstract failed(): void;

  /** What comes after the end, in what was read with the last of it, is counted still. */
  #arrive(peer: Peer, kind: SealedKind, bytes: Buffer, start: number, end: number): void {
    const { script } = this.stage;
    const sender = this.other(peer);
    const made = kind === "candidate" ? script.candidate : script.description;
    const isPlausible = kind === "candidate" || kind === DESCRIBES[sender.role];
    const read = made[isPlausible ? sender.role : peer.role].read(bytes, start, end, this.code);
    const number = isPlausible || read === CORRUPTED ? read : MISDELIVERED; // else it is the peer's own, or of a stranger
    const nowMs = performance.now();
    if (this.flowOf(sender).arrive(number, nowMs, end - start) && !this.#isOver)
      this.relayed(peer, kind, number, nowMs);
  }

  #end(isFailure: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.fromInitiator.abandon(isFailure);
    this.fromJoiner.abandon(isFailure);
  }

  #hearReady(peer: Peer): void {
    this.heardReady();
    if (peer === this.initiator) this.#isInitiatorReady = true;
    else this.#isJoinerReady = true;
    if (!this.#isInitiatorReady || !this.#isJoinerReady || this.isReady) return;
    this.#awaited = "session";
    this.time("ready", this.#age());
    this.ready();
  }

  #age(): number {
    return performance.now() - this.intendedMs;
  }
}
