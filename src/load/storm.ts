/**
 * Pairs that are all cut off at once, as when a network fails or a relay dies, and come back with their old codes. Both
 * peers of a pair are meant to come back at the same time, so that none is counted as waiting for the other.
 */
import { HeldPair, Hold } from "./hold.ts";
import { TIMER_STEP_MS } from "./pacer.ts";
import { PROMPT_MS } from "./scenario.ts";
import type { Route, Stage } from "./stage.ts";

/** How long all is quiet before a storm, in ms. */
const CALM_MS = 1_000;
/** The longest pause before the second try, in ms; it doubles each time, up to the longest of all. */
const BACK_OFF_MS = 100;
const MOST_BACK_OFF_MS = 2_000;

/** Where a pair is on its way back. */
interface Return {
  readonly code: Uint8Array;
  readonly route: Route;
  readonly intendedMs: number;
  /** When it tries. */
  readonly atMs: number;
  readonly tries: number;
}

class ReturningPair extends HeldPair {
  readonly tries: number;

  constructor(stage: Stage, { code, route, intendedMs, tries }: Return, storm: Storm) {
    super(stage, intendedMs, storm, code, route);
    this.tries = tries;
  }

  protected override heardReady(): void {
    this.stage.recorder.time("return", performance.now() - this.intendedMs);
  }
}

export class Storm extends Hold {
  /** Those that are yet to come back; once sorted, the first one last. */
  #returns: Return[] = [];
  #isSorted = true;
  #storms = 0;
  #calmSinceMs: number | null = null;

  override get tickMs(): number {
    return PROMPT_MS;
  }

  override onReady(pair: HeldPair): void {
    super.onReady(pair);
    this.stage.recorder.done(performance.now() - this.startMs);
  }

  override onFailed(pair: HeldPair): void {
    const { timeoutMs } = this.stage.plan;
    const nowMs = performance.now();
    const isReturning = pair instanceof ReturningPair && this.waiting.delete(pair);
    const atMs = isReturning ? nowMs + Math.random() * Math.min(MOST_BACK_OFF_MS, BACK_OFF_MS * 2 ** pair.tries) : 0;
    if (isReturning && atMs <= pair.intendedMs + timeoutMs) {
      const { code, route, intendedMs, tries } = pair;
      this.#returns.push({ code, route, intendedMs, atMs, tries: tries + 1 });
      this.#isSorted = false;
    } else super.onFailed(pair);
  }

  protected override run(nowMs: number): boolean {
    if (!this.#isSorted) this.#returns.sort((a, b) => b.atMs - a.atMs);
    this.#isSorted = true;
    for (let next = this.#returns.at(-1); next && next.atMs <= nowMs; next = this.#returns.at(-1)) {
      this.#returns.pop();
      if (next.tries === 0) this.#arrive(next, nowMs);
      const pair = new ReturningPair(this.stage, next, this);
      this.waiting.add(pair);
      pair.start();
    }
    if (this.#returns.length > 0 || this.waiting.size > 0) {
      this.#calmSinceMs = null;
      return false;
    }
    if (this.#storms >= this.stage.plan.storms) return true;
    this.#calmSinceMs ??= nowMs;
    if (nowMs >= this.#calmSinceMs + CALM_MS) this.#break();
    return false;
  }

  /** Those that came back have been counted already. */
  protected override finish(): void {
    for (const pair of this.standing) pair.close();
    this.standing.clear();
  }

  #arrive({ intendedMs }: Return, nowMs: number): void {
    const { counts } = this.stage.recorder;
    counts.offered++;
    counts.started++;
    this.stage.recorder.lag(Math.max(0, nowMs - intendedMs - TIMER_STEP_MS));
  }

  #break(): void {
    this.#storms++;
    const pairs = [...this.standing];
    this.standing.clear();
    for (const pair of pairs) pair.cut();
    const cutMs = performance.now(); // thousands of them take a while
    this.#returns = pairs.map(({ code, route }) => {
      const intendedMs = cutMs + Math.random() * this.stage.plan.jitterMs;
      return { code, route, intendedMs, atMs: intendedMs, tries: 0 };
    });
    this.#isSorted = false;
  }
}
