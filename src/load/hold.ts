/**
 * Pairs that connect, a few at a time, and are then kept as they are; answering pings is the socket's own business.
 */
import { Pacer } from "./pacer.ts";
import { Pair } from "./pair.ts";
import type { Peer } from "./peer.ts";
import { expire, LEISURELY_MS, PROMPT_MS, type Scenario } from "./scenario.ts";
import type { Route, Stage } from "./stage.ts";
import type { Kind } from "./wire.ts";

/** A pair that stays. */
export class HeldPair extends Pair {
  readonly #hold: Hold;
  /** When the messages that are on their way to each peer were meant to be sent, in ms. */
  readonly #toInitiator: number[] = [];
  readonly #toJoiner: number[] = [];

  constructor(stage: Stage, intendedMs: number, hold: Hold, code?: Uint8Array, route?: Route) {
    super(stage, intendedMs, code, route);
    this.#hold = hold;
  }

  /** How many messages were sent and have not arrived. */
  get underway(): number {
    return this.#toInitiator.length + this.#toJoiner.length;
  }

  /** Sends a message that was meant for `intendedMs` from one peer to the other. */
  say(isFromInitiator: boolean, intendedMs: number): void {
    const { script, recorder } = this.stage;
    const from = isFromInitiator ? this.initiator : this.joiner;
    (isFromInitiator ? this.#toJoiner : this.#toInitiator).push(intendedMs);
    from.send(script.message[from.role].with(this.code));
    recorder.counts.sent++;
  }

  protected override ready(): void {
    this.#hold.onReady(this);
  }

  /** Messages arrive in the order in which they were sent, so the oldest one on its way is this one. */
  protected override relayed(peer: Peer, _kind: Kind, sizeBytes: number): void {
    const { recorder } = this.stage;
    const intendedMs = (peer === this.initiator ? this.#toInitiator : this.#toJoiner).shift();
    recorder.counts.received++;
    recorder.counts.bytes += sizeBytes;
    if (intendedMs !== undefined) recorder.time("message", performance.now() - intendedMs);
  }

  protected override failed(): void {
    this.#hold.onFailed(this);
  }
}

export class Hold implements Scenario {
  protected readonly stage: Stage;
  /** The pairs that are ready, while they are. */
  readonly standing = new Set<HeldPair>();
  protected readonly waiting = new Set<HeldPair>();
  protected readonly startMs: number;
  readonly #pacer: Pacer | null;
  #begun = 0;
  #settledMs: number | null = null;

  constructor(stage: Stage, startMs: number) {
    const { rate, rampMs, pairs } = stage.plan;
    this.stage = stage;
    this.startMs = startMs;
    this.#pacer = rate
      ? new Pacer({ perSecond: rate, rampMs, startMs, endMs: Number.POSITIVE_INFINITY, most: pairs })
      : null;
  }

  get isSettled(): boolean {
    return this.#settledMs !== null;
  }

  get tickMs(): number {
    return this.isSettled ? LEISURELY_MS : PROMPT_MS;
  }

  tick(nowMs: number): boolean {
    expire(this.waiting, nowMs, this.stage.plan.timeoutMs);
    if (this.#settledMs === null) {
      this.#gather(nowMs);
      if (this.#begun < this.stage.plan.pairs || this.waiting.size > 0) return false;
      this.#settledMs = nowMs;
    }
    if (!this.run(nowMs, this.#settledMs)) return false;
    this.finish(nowMs);
    return true;
  }

  stop(): void {
    for (const pair of [...this.waiting, ...this.standing]) pair.cut();
  }

  /** What is done once all pairs are there. @returns whether it is over */
  protected run(nowMs: number, settledMs: number): boolean {
    return nowMs >= settledMs + this.stage.plan.durationMs;
  }

  onReady(pair: HeldPair): void {
    this.waiting.delete(pair);
    this.standing.add(pair);
  }

  onFailed(pair: HeldPair): void {
    this.stage.recorder.counts.failed++;
    this.waiting.delete(pair);
    this.standing.delete(pair);
  }

  #gather(nowMs: number): void {
    const { recorder, plan } = this.stage;
    if (!this.#pacer) {
      while (this.#begun < plan.pairs && this.waiting.size < plan.concurrency) {
        recorder.counts.offered++;
        this.#begin(nowMs);
      }
      return;
    }
    recorder.counts.offered += this.#pacer.tick(nowMs, recorder.lag);
    for (let intendedMs = this.#pacer.next(); intendedMs !== null; intendedMs = this.#pacer.next())
      this.#begin(intendedMs);
  }

  #begin(intendedMs: number): void {
    const pair = new HeldPair(this.stage, intendedMs, this);
    this.#begun++;
    this.stage.recorder.counts.started++;
    this.waiting.add(pair);
    pair.start();
  }

  /** Hangs up, and counts those that are still there. */
  protected finish(nowMs: number): void {
    for (const pair of this.standing) {
      pair.close();
      this.stage.recorder.done(nowMs - this.startMs);
    }
    this.standing.clear();
  }
}
