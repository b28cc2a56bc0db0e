/**
 * Pairs that send each other messages, each peer at the same steady rate, and all of them spread evenly over time.
 */
import { type HeldPair, Hold } from "./hold.ts";
import { Pacer } from "./pacer.ts";
import { PROMPT_MS } from "./scenario.ts";

export class Exchange extends Hold {
  #pacer: Pacer | null = null;
  /** Both ends of all pairs, in the order in which they speak. */
  #speakers: (readonly [pair: HeldPair, isInitiator: boolean])[] = [];
  #next = 0;

  override get tickMs(): number {
    return PROMPT_MS;
  }

  protected override run(nowMs: number, settledMs: number): boolean {
    const { plan, recorder } = this.stage;
    const endMs = settledMs + plan.durationMs;
    this.#pacer ??= this.#begin(settledMs, endMs);
    this.#pacer.tick(nowMs, recorder.lag);
    for (let intendedMs = this.#pacer.next(); intendedMs !== null; intendedMs = this.#pacer.next()) {
      const speaker = this.#speakers[this.#next++ % this.#speakers.length];
      if (speaker && !speaker[0].isOver) speaker[0].say(speaker[1], intendedMs);
    }
    return nowMs >= endMs && this.#haveArrived(nowMs >= endMs + plan.timeoutMs);
  }

  /** Whether nothing is on its way any more; `isTooLate` gives up what is. */
  #haveArrived(isTooLate: boolean): boolean {
    for (const pair of this.standing) {
      if (pair.underway === 0) continue;
      if (!isTooLate) return false;
      const seconds = this.stage.plan.timeoutMs / 1_000;
      pair.fail("timeout:message", `${pair.underway} messages of a pair had not arrived ${seconds} s after its last`);
    }
    return true;
  }

  #begin(startMs: number, endMs: number): Pacer {
    const { messageRate, rampMs } = this.stage.plan;
    const pairs = [...this.standing];
    this.#speakers = [true, false].flatMap((isInitiator) => pairs.map((pair) => [pair, isInitiator] as const));
    const perSecond = Math.max(1, this.#speakers.length) * messageRate;
    return new Pacer({ perSecond, rampMs, startMs, endMs, most: Number.POSITIVE_INFINITY });
  }
}
