/**
 * The exit codes: what a run comes to, in one number for scripts. A failure that an expectation names is judged by that
 * expectation and by nothing else, in a run in which anything was done. Pure.
 */
import type { CountName, Result } from "./result.ts";

export const EXIT = {
  good: 0,
  missed: 1,
  refused: 2,
  nothing: 3,
  failed: 4,
  dropped: 5,
  broken: 6,
  interrupted: 130,
} as const;

/** What each code means, for help and docs; where several fit, the first in this order is the one. */
export const EXIT_MEANINGS: readonly (readonly [code: number, what: string])[] = [
  [EXIT.refused, "it was asked for wrongly, and nothing was done"],
  [EXIT.broken, "the tester itself failed: a worker ended or stood still, or a file could not be written"],
  [EXIT.interrupted, "it was interrupted, by Ctrl-C, SIGTERM, SIGHUP (its terminal is gone) or SIGQUIT"],
  [EXIT.missed, "an expectation was not met"],
  [EXIT.nothing, "nothing was done: no session ended well, no pair became ready, no message arrived"],
  [EXIT.dropped, "pairs that had been ready were lost, or did not come back after a storm"],
  [EXIT.failed, "sessions failed, or messages were lost, duplicated, reordered, corrupted or misdelivered"],
  [EXIT.good, "work was done, and nothing failed but what --expect allows by its name"],
];

/** What may be wrong with a message. */
export const FAULTS = ["lost", "duplicated", "reordered", "corrupted", "misdelivered"] as const satisfies CountName[];

/** What of a result the code is made from. */
type Judged = Pick<
  Result,
  "scenario" | "counts" | "errors" | "interrupted" | "troubles" | "percentiles" | "expectations"
>;

/** @param isBroken whether the tester itself failed */
export function exitCodeOf(result: Judged, isBroken: boolean): number {
  const { counts, expectations, interrupted } = result;
  const named = new Set(expectations.map(({ text }) => /^[^<>=]+/.exec(text)?.[0] ?? ""));
  const isOpen = (...names: CountName[]) => names.some((name) => counts[name] > 0 && !named.has(name));
  if (isBroken) return EXIT.broken;
  if (interrupted) return EXIT.interrupted;
  if (expectations.some(({ isMet }) => !isMet)) return EXIT.missed;
  if (isNothing(result)) return EXIT.nothing;
  if (isOpen("stranded") || (isOpen("dropped") && !isNamed(result, named))) return EXIT.dropped;
  const isPairNamed = (name: "dropped" | "stranded") => (named.has(name) ? counts[name] : 0);
  const unnamed = counts.failed - isPairNamed("dropped") - isPairNamed("stranded");
  if (isOpen(...FAULTS) || (unnamed > 0 && !isNamed(result, named))) return EXIT.failed;
  return EXIT.good;
}

/** Whether all that failed is named by an expectation: as failures, as errors, or as every kind of error there was. */
function isNamed({ errors }: Judged, named: ReadonlySet<string>): boolean {
  const kinds = Object.keys(errors);
  return (
    named.has("failed") ||
    named.has("errors") ||
    (kinds.length > 0 && kinds.every((kind) => named.has(`errors.${kind}`)))
  );
}

function isNothing({ scenario, counts, percentiles: { ready } }: Judged): boolean {
  if (scenario === "handshake" || scenario === "hostile") return counts.done === 0;
  if (ready === undefined || ready.count === ready.failed) return true;
  return scenario === "relay" && counts.received === 0;
}
