/** The exit code: a failure that an expectation names is judged by that alone, and each other one counts. */
import { expect, test } from "bun:test";
import { Histogram } from "../../src/load/histogram.ts";
import { EXIT, exitCodeOf } from "../../src/load/outcome.ts";
import type { Result } from "../../src/load/result.ts";
import { percentilesOf } from "../../src/load/result.ts";
import { countsOf, EMPTY } from "../support/machines/results.ts";

/** Pairs that were ready, of which some were lost or did not come back. */
function stormed(counts: Partial<Result["counts"]>, ...expected: string[]): Result {
  const ready = { ...percentilesOf(new Histogram()), count: 10 };
  const expectations = expected.map((text) => ({ text, isMet: true, actual: 0 }));
  const errors = { "closed:1006": { count: 1, first: "" } };
  return { ...EMPTY, scenario: "storm", percentiles: { ready }, counts: countsOf(counts), errors, expectations };
}

/** Sessions of which none ended well. */
function inVain(counts: Partial<Result["counts"]>, ...expected: string[]): Result {
  const expectations = expected.map((text) => ({ text, isMet: true, actual: 0 }));
  const errors = { "refused:503": { count: counts.failed ?? 0, first: "" } };
  return { ...EMPTY, counts: countsOf(counts), errors, expectations };
}

test.each<[string, Result, number]>([
  ["all failed", inVain({ offered: 5, failed: 5 }), EXIT.nothing],
  ["all failed as expected", inVain({ offered: 5, failed: 5 }, "failed<=5"), EXIT.nothing],
  ["all failed in the way that was expected", inVain({ offered: 5, failed: 5 }, "errors.refused:503=5"), EXIT.nothing],
  ["none failed as expected, since none was begun", inVain({ hostile: 5 }, "failed=0"), EXIT.nothing],
  ["all stayed", stormed({ done: 10 }), EXIT.good],
  ["one was lost", stormed({ done: 9, failed: 1, dropped: 1 }), EXIT.dropped],
  ["one did not come back", stormed({ done: 9, failed: 1, stranded: 1 }), EXIT.dropped],
  ["one was lost as expected", stormed({ done: 9, failed: 1, dropped: 1 }, "dropped<=1"), EXIT.good],
  ["one did not come back as expected", stormed({ done: 9, failed: 1, stranded: 1 }, "stranded<=1"), EXIT.good],
  ["one more failed than is named", stormed({ done: 8, failed: 2, dropped: 1 }, "dropped<=1"), EXIT.failed],
  ["another kind is named", stormed({ done: 9, failed: 1, stranded: 1 }, "dropped<=1"), EXIT.dropped],
])("%s", (_, result, code) => {
  expect(exitCodeOf(result, false)).toBe(code);
});
