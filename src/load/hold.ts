/**
 * Pairs that connect, a few at a time, and are then kept as they are; answering pings is the socket's own business. At the
 * end each peer pings once itself: a relay that stands still keeps its connections, and would be taken for a good one.
 */
import { Pacer } from "./pacer.ts";
import { Pair } from "./pair.ts";
import { expire, LEISURELY_MS, PROMPT_MS, type Scenario, STROKE_MS } from "./scenario.ts";
import type { Route, Stage } from "./stage.ts";

/** A pair that stays. */
export class HeldPair extends Pair {
  readonly #hold: Hold;

  constructor(stage: Stage, intendedMs: number, hold: Hold, code?: Uint8Array, route?: Route) {
    super(stage, intendedMs, code, route);
    this.#hold = hold;
  }

  /** How many messages were sent and have neither arrived nor been given up. */
  get underway(): number {
    return this.fromInitiator.underway + this.fromJoiner.underway;
  }

  /** Sends a message that was meant for `intendedMs` from one peer to the other. */
  say(isFromInitiator: boolean, intendedMs: number): void {
    const from = isFromInitiator ? this.initiator : this.joiner;
    from.send(this.stage.script.candidate[from.role].with(this.code, this.flowOf(from).send(intendedMs)));
  }

  /** Asks the relay whether it is there still. */
  ask(): void {
    this.initiator.ask();
    this.joiner.ask();
  }

  get hasAnswer(): boolean {
    return this.initiator.hasAnswer && this.joiner.hasAnswer;
  }

  protected override ready(): void {
    this.#hold.onReady(this);
  }

  protected override relayed(): void {}

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
  #askedMs: number | null = null;
  /** Since when pairs wait and none became ready; null where none waits. */
  #vainSinceMs: number | null = null;

  constructor(stage: Stage, startMs: number) {
    const { rate, rampMs, pairs } = stage.plan;
    this.stage = stage;
    this.startMs = startMs;
    this.#pacer = rate
      ? new Pacer({ perSecond: rate, rampMs, startMs, endMs: Number.POSITIVE_INFINITY, most: pairs })
      : null;
  }

  get isWaiting(): boolean {
    return false;
  }

  goOn(): void {}

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
    if (this.standing.size === 0 && !this.isBusy) return true; // nothing is left that could be waited for
    if (!this.run(nowMs, this.#settledMs)) return false;
    this.finish(nowMs);
    return true;
  }

  stop(): void {
    for (const pair of [...this.waiting, ...this.standing]) pair.cut();
  }

  /** Whether something goes on though no pair stands. */
  protected get isBusy(): boolean {
    return false;
  }

  /** What is done once all pairs are there. @returns whether it is over */
  protected run(nowMs: number, settledMs: number): boolean {
    return nowMs >= settledMs + this.stage.plan.durationMs && this.#haveAnswered(nowMs);
  }

  /** Asks for all, and fails those that got no answer in time. @returns whether that is over */
  #haveAnswered(nowMs: number): boolean {
    const { timeoutMs } = this.stage.plan;
    if (this.#askedMs === null) for (const pair of this.standing) pair.ask();
    this.#askedMs ??= nowMs;
    const silent = [...this.standing].filter(({ hasAnswer }) => !hasAnswer);
    if (silent.length > 0 && nowMs < this.#askedMs + timeoutMs) return false;
    for (const pair of silent) pair.fail("timeout:pong", `at the end no pong came within ${timeoutMs / 1_000} s`);
    return true;
  }

  onReady(pair: HeldPair): void {
    this.waiting.delete(pair);
    this.standing.add(pair);
    this.#vainSinceMs = this.waiting.size > 0 ? performance.now() : null;
  }

  onFailed(pair: HeldPair): void {
    const { counts } = this.stage.recorder;
    counts.failed++;
    if (pair.isReady) counts.dropped++;
    this.waiting.delete(pair);
    this.standing.delete(pair);
  }

  #gather(nowMs: number): void {
    const { recorder, plan } = this.stage;
    if (this.#vainSinceMs !== null && nowMs >= this.#vainSinceMs + plan.timeoutMs) {
      this.#giveUp(plan.pairs - this.#begun);
      return;
    }
    if (!this.#pacer) {
      while (this.#begun < plan.pairs && this.waiting.size < plan.concurrency) {
        recorder.counts.offered++;
        this.#begin(nowMs);
      }
      return;
    }
    recorder.counts.offered += this.#pacer.tick(nowMs, recorder.lag);
    while (this.#pacer.isOwed && performance.now() < nowMs + STROKE_MS) this.#begin(this.#pacer.next() ?? nowMs);
  }

  /** For a whole time-out no pair has become ready: the others would only wait in turn for the same. */
  #giveUp(pairs: number): void {
    const { recorder, plan } = this.stage;
    recorder.counts.offered += plan.pairs - (this.#pacer?.due ?? this.#begun);
    recorder.counts.failed += pairs;
    this.#begun += pairs;
    const sentence = `for ${plan.timeoutMs / 1_000} s no pair became ready, so the others were not begun`;
    if (pairs > 0) recorder.error("timeout:begin", sentence, pairs);
    recorder.timeFailed("connect", plan.timeoutMs, 2 * pairs);
    recorder.timeFailed("ready", plan.timeoutMs, pairs);
  }

  #begin(intendedMs: number): void {
    const pair = new HeldPair(this.stage, intendedMs, this);
    this.#begun++;
    this.stage.recorder.counts.started++;
    this.waiting.add(pair);
    this.#vainSinceMs ??= performance.now();
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
