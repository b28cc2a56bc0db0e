/** What has to be so in every result of the load tester, and in those of relays whose delays are known. */
import { expect } from "bun:test";
import { histogramOf } from "../../../src/load/histogram.ts";
import { COUNTS, percentilesOf, type Result, type TimeName } from "../../../src/load/result.ts";
import { countsOf, stalledResult } from "./results.ts";

/** What a busy machine may add to the shortest time of a run, to its median and to its longest, in ms. */
const LEAST_ERROR_MS = 100;
const MEDIAN_ERROR_MS = 400;
const MOST_ERROR_MS = 2_000;
/** A worker that doesn't get the processor begins late, and measures that; so many of the waits have to be there. */
const SHARE_OF_WAITS = 0.9;

/** The fields of a result, with those of what is in it. */
function fieldsOf({ counts, generator, machine, timeline }: Result) {
  const [second] = timeline;
  return [counts, generator, machine, second ?? {}].map((part) => Object.keys(part).sort());
}

/** That a result, as `--json` writes it, is whole and adds up. */
export function expectWhole(result: Result): void {
  const sample = stalledResult();
  expect(Object.keys(result).sort()).toEqual(Object.keys(sample).sort());
  expect(fieldsOf(result)).toEqual(fieldsOf(sample));
  const percentiles = Object.entries(result.histograms).map(([name, data]) => {
    return [name, percentilesOf(histogramOf(data), result.percentiles[name as TimeName]?.failed)];
  });
  expect(result.percentiles).toEqual(Object.fromEntries(percentiles));
  const summed = COUNTS.map((name) => [name, result.timeline.reduce((sum, { counts }) => sum + counts[name], 0)]);
  expect(result.counts).toEqual(countsOf(Object.fromEntries(summed)));
  const { sent, received, lost, corrupted, unfinished } = result.counts;
  if (!result.interrupted) expect(received + lost + corrupted + unfinished).toBeGreaterThanOrEqual(sent);
  const errors = Object.values(result.errors).map(({ count }) => count);
  expect(result.timeline.reduce((sum, { errors }) => sum + errors, 0)).toBe(errors.reduce((a, b) => a + b, 0));
}

/** That a time was measured which a relay's delays add up to: never less, and not much more. */
export function expectDelay({ histograms, percentiles }: Result, name: TimeName, delayMs: number): void {
  const shortest = histogramOf(histograms[name]).percentile(0);
  expect(shortest).toBeGreaterThanOrEqual(delayMs * 1_000);
  expect(shortest).toBeLessThan((delayMs + LEAST_ERROR_MS) * 1_000);
  expect(percentiles[name]?.p50).toBeLessThan((delayMs + MEDIAN_ERROR_MS) * 1_000);
  expect(percentiles[name]?.max).toBeLessThan((delayMs + MOST_ERROR_MS) * 1_000);
}

/**
 * That a stall was measured for what it was, with nothing left out: of what was meant to happen while it lasted, each
 * waited for its end, so that the waits are spread evenly from nothing to all of it.
 */
export function expectStall({ histograms, percentiles, main }: Result, perSecond: number, stalledMs: number): void {
  const times = percentiles[main];
  expect(times?.p50).toBeLessThan((stalledMs / 2) * 1_000);
  expect(times?.p999).toBeGreaterThanOrEqual(0.9 * stalledMs * 1_000);
  expect(times?.max).toBeLessThan((stalledMs + MOST_ERROR_MS) * 1_000);
  const histogram = histogramOf(histograms[main]);
  for (const share of [0.25, 0.5, 0.75]) {
    const waited = (1 - share) * (stalledMs / 1_000) * perSecond * SHARE_OF_WAITS;
    const percent = 100 * (1 - waited / histogram.count);
    expect(histogram.percentile(percent)).toBeGreaterThanOrEqual(share * stalledMs * 1_000);
  }
}
