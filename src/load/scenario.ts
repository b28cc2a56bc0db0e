/**
 * What a worker asks of a scenario.
 */

/** The shortest that a timer waits, in ms: for what is begun at a set time. */
export const PROMPT_MS = 1;
/** So long things are begun at a stroke, in ms; then it is read what came. */
export const STROKE_MS = 50;
/** Enough to notice what took too long; a tick costs some 30 microseconds of processor time. */
export const LEISURELY_MS = 20;

export interface Scenario {
  /** Begins what is due, and ends what took too long. @returns whether all is over */
  tick(nowMs: number): boolean;
  /** How long it may be left alone between two ticks, in ms. */
  readonly tickMs: number;
  /** Hangs up, without counting what was not over yet as failed. */
  stop(): void;
  /** Whether the load that was asked for has been reached, and so what is measured from now on is it. */
  readonly isSettled: boolean;
  /** Whether it waits for the other workers before it goes on. */
  readonly isWaiting: boolean;
  /** All workers wait: it may go on. */
  goOn(): void;
}

/** Ends pairs that have waited too long. @param waiting the oldest first, as they were added */
export function expire(
  waiting: Iterable<{ readonly intendedMs: number; expire(): void }>,
  nowMs: number,
  timeoutMs: number,
): void {
  for (const pair of waiting) {
    if (pair.intendedMs + timeoutMs > nowMs) return;
    pair.expire();
  }
}
