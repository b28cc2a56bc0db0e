/**
 * Whole sessions as clients hold them, each with a new code; begun at a rate, or as others end.
 */
import { Pacer } from "./pacer.ts";
import { Pair } from "./pair.ts";
import type { Peer } from "./peer.ts";
import { expire, LEISURELY_MS, PROMPT_MS, type Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";
import type { Kind } from "./wire.ts";

/** So long a place stays empty after a failure, in ms: a relay that refuses all is not knocked at in a tight loop. */
const REST_MS = 100;

/** A session that ends when both peers have all that the other one sent. */
class Session extends Pair {
  readonly #handshake: Handshake;
  #initiatorGot = 0;
  #joinerGot = 0;

  constructor(stage: Stage, intendedMs: number, handshake: Handshake) {
    super(stage, intendedMs);
    this.#handshake = handshake;
  }

  protected override ready(): void {
    const { script, recorder, plan } = this.stage;
    this.initiator.send(script.offer.with(this.code));
    recorder.counts.sent += 1 + plan.candidates;
    this.#handshake.onReady(this);
  }

  protected override relayed(peer: Peer, kind: Kind, sizeBytes: number): void {
    const { script, recorder, plan } = this.stage;
    recorder.counts.received++;
    recorder.counts.bytes += sizeBytes;
    if (peer === this.initiator) this.#initiatorGot++;
    else this.#joinerGot++;
    if (kind === "offer") {
      peer.send(script.answer.with(this.code));
      recorder.counts.sent += 1 + plan.candidates;
    } else if (kind === "answer") recorder.time("answer", performance.now() - this.intendedMs);
    const all = 1 + plan.candidates;
    if (this.#initiatorGot < all || this.#joinerGot < all) return;
    this.close();
    this.#handshake.onDone(this);
  }

  protected override failed(): void {
    this.#handshake.onFailed(this);
  }
}

export class Handshake implements Scenario {
  readonly isSettled = true;
  protected readonly stage: Stage;
  readonly #live = new Set<Session>();
  readonly #pacer: Pacer | null;
  readonly #startMs: number;
  readonly #endMs: number;
  readonly #most: number;
  readonly #mostLive: number;
  #begun = 0;
  #resting = 0;

  constructor(stage: Stage, startMs: number) {
    const { rate, rampMs, sessions, durationMs, concurrency, worker, workers } = stage.plan;
    this.stage = stage;
    this.#startMs = startMs;
    this.#most = sessions || Number.POSITIVE_INFINITY;
    this.#endMs = sessions ? Number.POSITIVE_INFINITY : startMs + durationMs;
    this.#mostLive = Math.min(Math.floor(stage.mostPeers / 2), rate ? Number.POSITIVE_INFINITY : concurrency);
    const firstMs = startMs + (worker / workers) * (1_000 / rate); // workers take turns
    const pace = { perSecond: rate, rampMs, startMs: firstMs, endMs: this.#endMs, most: this.#most };
    this.#pacer = rate ? new Pacer(pace) : null;
  }

  get tickMs(): number {
    return this.#pacer ? PROMPT_MS : LEISURELY_MS;
  }

  tick(nowMs: number): boolean {
    expire(this.#live, nowMs, this.stage.plan.timeoutMs);
    if (this.#pacer) this.#beginDue(this.#pacer, nowMs);
    else this.#refill(nowMs);
    const hasBegunAll = this.#pacer?.isOver ?? (this.#begun >= this.#most || nowMs >= this.#endMs);
    return this.#live.size === 0 && hasBegunAll;
  }

  stop(): void {
    for (const session of this.#live) session.cut();
    this.#live.clear();
  }

  /** Begins one arrival that was meant for `intendedMs`. */
  protected begin(intendedMs: number): void {
    this.stage.recorder.counts.started++;
    const session = new Session(this.stage, intendedMs, this);
    this.#live.add(session);
    session.start();
  }

  /** A pair is ready and exchanges its messages now. */
  onReady(_pair: Pair): void {}

  onDone(session: Session): void {
    const { recorder } = this.stage;
    const nowMs = performance.now();
    recorder.time("session", nowMs - session.intendedMs);
    recorder.done(nowMs - this.#startMs);
    this.#live.delete(session);
    if (!this.#pacer) this.#refill(nowMs);
  }

  onFailed(session: Session): void {
    this.stage.recorder.counts.failed++;
    this.#live.delete(session);
    if (this.#pacer) return;
    this.#resting++;
    setTimeout(() => this.#resting--, REST_MS);
  }

  #beginDue(pacer: Pacer, nowMs: number): void {
    const { recorder } = this.stage;
    recorder.counts.offered += pacer.tick(nowMs, recorder.lag);
    while (this.#live.size < this.#mostLive) {
      const intendedMs = pacer.next();
      if (intendedMs === null) return;
      this.begin(intendedMs);
    }
  }

  #refill(nowMs: number): void {
    while (this.#live.size + this.#resting < this.#mostLive && this.#begun < this.#most && nowMs < this.#endMs) {
      this.#begun++;
      this.stage.recorder.counts.offered++;
      this.begin(nowMs);
    }
  }
}
