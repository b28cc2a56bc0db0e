/**
 * Pairs that send each other messages, each peer at the same steady rate, and all of them spread evenly over time. What
 * a pair would have sent that is not there, or no longer, is meant all the same, and so is missing from what was sent.
 */
import { type HeldPair, Hold } from "./hold.ts";
import { Pacer } from "./pacer.ts";
import { PROMPT_MS, STROKE_MS } from "./scenario.ts";

/** How often what is lost is looked for, in ms. */
const SWEEP_MS = 100;
/** So many are sent between two looks at the clock. */
const BETWEEN_LOOKS = 64;
/** So long after the last message nothing more should come, in ms; what does is counted. */
const LINGER_MS = 200;

export class Exchange extends Hold {
  #pacer: Pacer | null = null;
  /** Both ends of all pairs, in the order in which they speak; of those that never became ready, nobody. */
  #speakers: (readonly [pair: HeldPair, isInitiator: boolean] | null)[] = [];
  #next = 0;
  #sweptMs = 0;
  #quietSinceMs: number | null = null;

  override get tickMs(): number {
    return PROMPT_MS;
  }

  protected override run(nowMs: number, settledMs: number): boolean {
    const { plan, recorder } = this.stage;
    const endMs = settledMs + plan.durationMs;
    this.#pacer ??= this.#begin(settledMs, endMs);
    recorder.counts.meant += this.#pacer.tick(nowMs, recorder.lag);
    this.#speak(this.#pacer, nowMs);
    this.#sweep(nowMs);
    return nowMs >= endMs && !this.#pacer.isOwed && this.#isQuiet(nowMs);
  }

  /** Sends what is due; what could not be sent within its time-out is not: it is missing from what was, and timed out. */
  #speak(pacer: Pacer, nowMs: number): void {
    const tooLateMs = nowMs - this.stage.plan.timeoutMs;
    for (let intendedMs = pacer.next(); intendedMs !== null; intendedMs = pacer.next()) {
      const speaker = this.#speakers[this.#next++ % this.#speakers.length];
      if (speaker && !speaker[0].isOver) {
        if (intendedMs > tooLateMs) speaker[0].say(speaker[1], intendedMs);
        else this.stage.recorder.timeFailed("message", this.stage.plan.timeoutMs);
      }
      if (this.#next % BETWEEN_LOOKS === 0 && performance.now() >= nowMs + STROKE_MS) return;
    }
  }

  #sweep(nowMs: number): void {
    if (nowMs < this.#sweptMs + SWEEP_MS) return;
    this.#sweptMs = nowMs;
    for (const pair of this.standing) {
      pair.fromInitiator.expire(nowMs);
      pair.fromJoiner.expire(nowMs);
    }
  }

  #isQuiet(nowMs: number): boolean {
    for (const pair of this.standing) if (pair.underway > 0) return false;
    this.#quietSinceMs ??= nowMs;
    return nowMs >= this.#quietSinceMs + LINGER_MS;
  }

  #begin(startMs: number, endMs: number): Pacer {
    const { messageRate, rampMs, pairs } = this.stage.plan;
    const standing = [...this.standing, ...Array.from({ length: pairs - this.standing.size }, () => null)];
    this.#speakers = [true, false].flatMap((isInitiator) =>
      standing.map((pair) => pair && ([pair, isInitiator] as const)),
    );
    const perSecond = this.#speakers.length * messageRate;
    return new Pacer({ perSecond, rampMs, startMs, endMs, most: Number.POSITIVE_INFINITY });
  }
}
