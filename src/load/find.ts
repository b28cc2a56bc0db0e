/**
 * Finds the largest rate at which all that is expected holds: doubles it until something fails, narrows down what lies
 * between, and does so several times, since a machine is never twice the same. It runs nothing itself.
 */
import { amount, NOTHING } from "./figures.ts";
import { type Spread, shownSpread, spreadOf } from "./spread.ts";

/** One run at one rate. */
export interface Step {
  readonly repeat: number;
  readonly rate: number;
  readonly holds: boolean;
  /** The expectations that were not met. */
  readonly missed: readonly string[];
  readonly achievedPerSecond: number;
  /** Of the scenario's main time, in us; null where nothing was timed. */
  readonly p50: number | null;
  readonly p99: number | null;
  /** Whether the tester was the bottleneck, so that the limit may be its own. */
  readonly isBottleneck: boolean;
}

export interface Search {
  readonly from: number;
  readonly repeats: number;
  /** In percent. */
  readonly precision: number;
  /** No larger rate is tried. */
  readonly most: number;
}

export interface Found {
  readonly steps: readonly Step[];
  /** The largest rate that held, by repeat; null where not even 1 did. */
  readonly rates: readonly (number | null)[];
  readonly spread: Spread | null;
  /** Whether the first rate that failed did so where the tester was the bottleneck. */
  readonly isBottleneck: boolean;
}

/** How much lower than what was found last the next repeat begins. */
const SET_BACK = 0.7;

/** @param tried runs at a rate; null where it was interrupted, which ends the search with what was found */
export async function search(
  { from, repeats, precision, most }: Search,
  tried: (rate: number, repeat: number) => Promise<Step | null>,
): Promise<Found> {
  const steps: Step[] = [];
  const rates: (number | null)[] = [];
  let first = from;
  for (let repeat = 0; repeat < repeats; repeat++) {
    let [good, bad] = [0, Number.POSITIVE_INFINITY];
    let rate = first;
    while (rate >= 1 && rate <= most && bad > Math.max(good * (1 + precision / 100), good + 1)) {
      const step = await tried(rate, repeat);
      if (step === null) return found(steps, rates);
      steps.push(step);
      if (step.holds) good = rate;
      else bad = rate;
      if (good === 0) rate = Math.floor(bad / 2);
      else if (bad === Number.POSITIVE_INFINITY) rate = Math.min(good * 2, good === most ? most + 1 : most);
      else rate = Math.max(good + 1, Math.round(Math.sqrt(good * bad)));
      if (rate >= bad) break;
    }
    rates.push(good || null);
    first = Math.max(1, Math.round(good * SET_BACK) || from);
  }
  return found(steps, rates);
}

function found(steps: readonly Step[], rates: readonly (number | null)[]): Found {
  const failed = steps.filter(({ holds }) => !holds);
  const least = Math.min(...failed.map(({ rate }) => rate));
  const isBottleneck = failed.some((step) => step.rate === least && step.isBottleneck);
  return { steps, rates, spread: spreadOf(rates), isBottleneck };
}

/** What was found, as lines. @param unit what the rate is of, such as "sessions a second" */
export function foundText({ spread, rates, steps, isBottleneck }: Found, unit: string): string {
  const none = rates.includes(null) ? ", and in some repeats none did" : "";
  const limit = isBottleneck
    ? "\nWARNING: The tester was the bottleneck where it first failed: the limit may be its own. Use more workers.\n"
    : "\n";
  if (rates.length === 0) return `It ended before a largest rate was found, after ${steps.length} steps.${limit}`;
  if (spread === null) return `No rate held.${limit}`;
  const all = steps.every(({ holds }) => holds) ? " None failed, so it is only the largest that can be tried." : "";
  return `Largest rate that held: ${shownSpread(spread, amount, NOTHING)} ${unit}, in ${rates.length} repeats${none}.${all}${limit}`;
}
