/**
 * Pairs that are all cut off at once, as when a network fails or a relay dies, and come back with their old codes. Both
 * peers of a pair are meant to come back at the same time, so that none is counted as waiting for the other.
 */
import { HeldPair, Hold } from "./hold.ts";
import { TIMER_STEP_MS } from "./pacer.ts";
import type { TimeName } from "./result.ts";
import { PROMPT_MS, STROKE_MS } from "./scenario.ts";
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
  #firstReadyMs: number | null = null;

  constructor(stage: Stage, { code, route, intendedMs, tries }: Return, storm: Storm) {
    super(stage, intendedMs, storm, code, route);
    this.tries = tries;
  }

  protected override heardReady(): void {
    this.#firstReadyMs ??= performance.now();
  }

  /** Both are back: a peer that was back alone, and was cut off again, was not. */
  protected override ready(): void {
    const nowMs = performance.now();
    const { recorder } = this.stage;
    recorder.time("return", (this.#firstReadyMs ?? nowMs) - this.intendedMs);
    recorder.time("return", nowMs - this.intendedMs);
    super.ready();
  }

  /** Connecting and being ready again are parts of the return, and not of how pairs were gathered. */
  protected override time(_name: TimeName): void {}
  protected override timeFailed(_name: TimeName): void {}
}

export class Storm extends Hold {
  /** Those that are yet to come back; once sorted, the first one last. */
  #returns: Return[] = [];
  #isSorted = true;
  #storms = 0;
  #cutMs = 0;
  #calmSinceMs: number | null = null;
  #isAsking = false;

  override get tickMs(): number {
    return PROMPT_MS;
  }

  protected override get isBusy(): boolean {
    return this.#returns.length > 0 || this.waiting.size > 0;
  }

  override get isWaiting(): boolean {
    return this.#isAsking;
  }

  override onReady(pair: HeldPair): void {
    super.onReady(pair);
    if (pair instanceof ReturningPair) this.stage.recorder.returned(this.#storms - 1, performance.now() - this.#cutMs);
  }

  override onFailed(pair: HeldPair): void {
    const { recorder, plan } = this.stage;
    if (!(pair instanceof ReturningPair)) {
      super.onFailed(pair);
      return;
    }
    if (!this.waiting.has(pair)) {
      super.onFailed(pair); // it had come back
      return;
    }
    this.waiting.delete(pair);
    const atMs = performance.now() + Math.random() * Math.min(MOST_BACK_OFF_MS, BACK_OFF_MS * 2 ** pair.tries);
    const { code, route, intendedMs, tries } = pair;
    if (atMs <= intendedMs + plan.timeoutMs) {
      this.#returns.push({ code, route, intendedMs, atMs, tries: tries + 1 });
      this.#isSorted = false;
      return;
    }
    recorder.counts.failed++;
    recorder.counts.stranded++;
    for (let peers = 0; peers < 2; peers++) recorder.timeFailed("return", plan.timeoutMs);
  }

  protected override run(nowMs: number): boolean {
    if (!this.#isSorted) this.#returns.sort((a, b) => b.atMs - a.atMs);
    this.#isSorted = true;
    for (let next = this.#returns.at(-1); next && next.atMs <= nowMs; next = this.#returns.at(-1)) {
      this.#returns.pop();
      if (next.tries === 0) this.stage.recorder.lag(Math.max(0, nowMs - next.intendedMs - TIMER_STEP_MS));
      const pair = new ReturningPair(this.stage, next, this);
      this.waiting.add(pair);
      pair.start();
      if (performance.now() >= nowMs + STROKE_MS) break; // a kernel that looks for free ports takes its time
    }
    if (this.isBusy) {
      this.#calmSinceMs = null;
      return false;
    }
    if (this.#storms >= this.stage.plan.storms) return true;
    this.#calmSinceMs ??= nowMs;
    if (nowMs >= this.#calmSinceMs + CALM_MS) this.#isAsking = true;
    return false;
  }

  /** Cuts all off, when every worker is ready for it. */
  override goOn(): void {
    if (!this.#isAsking) return;
    this.#isAsking = false;
    this.#calmSinceMs = null;
    this.#storms++;
    const pairs = [...this.standing];
    this.stage.recorder.cutOff(this.#storms - 1, pairs.length);
    this.standing.clear();
    this.#cutMs = performance.now();
    for (const pair of pairs) pair.cut();
    const cutMs = performance.now(); // thousands of them take a while
    this.#returns = pairs.map(({ code, route }) => {
      const intendedMs = cutMs + Math.random() * this.stage.plan.jitterMs;
      return { code, route, intendedMs, atMs: intendedMs, tries: 0 };
    });
    this.#isSorted = false;
  }
}
