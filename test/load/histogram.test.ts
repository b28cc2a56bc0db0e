/** The histogram of times: exact enough, the same after a pipe, and never outside what was put in. */
import { expect, test } from "bun:test";
import { Histogram, histogramOf } from "../../src/load/histogram.ts";
import { Random } from "../support/machines/random.ts";

const HOUR_MICROS = 3_600_000_000;

function histogram(...values: number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

test("every value is kept within a thousandth, from a microsecond to an hour", () => {
  for (let value = 1; value < HOUR_MICROS; value = Math.ceil(value * 1.01)) {
    const kept = histogram(value, HOUR_MICROS).percentile(50);
    expect(kept).toBeGreaterThanOrEqual(value);
    expect(kept - value).toBeLessThanOrEqual(value / 1_000);
  }
});

test("mean and deviation are those of the values", () => {
  expect([histogram(1, 3).mean, histogram(1, 3).deviation]).toEqual([2, 1]);
  expect([histogram(7, 7, 7).mean, histogram(7, 7, 7).deviation]).toEqual([7, 0]);
  expect(histogram().deviation).toBe(0);
});

test("percentiles are those of the sorted values", () => {
  const random = new Random(1);
  const values = Array.from({ length: 5_000 }, () => random.below(2 ** random.below(30)));
  const sorted = values.toSorted((a, b) => a - b);
  const all = histogram(...values);
  for (const percent of [1, 25, 50, 90, 99, 99.9, 100]) {
    const exact = sorted[Math.ceil((values.length * percent) / 100) - 1] ?? 0;
    expect(all.percentile(percent)).toBeGreaterThanOrEqual(exact);
    expect(all.percentile(percent)).toBeLessThanOrEqual(exact * 1.001 + 1);
  }
  expect(all.max).toBe(sorted.at(-1) ?? 0);
  expect(all.mean).toBeCloseTo(values.reduce((sum, value) => sum + value) / values.length);
});

test("no percentile is more than the maximum", () => {
  expect(histogram(1_000_003).percentile(99.9)).toBe(1_000_003);
});

test("what is out of range counts at its edge", () => {
  const all = histogram(-5, 2 * HOUR_MICROS);
  expect([all.count, all.percentile(50), all.max]).toEqual([2, 0, HOUR_MICROS]);
});

test("an empty one has nothing to say", () => {
  const empty = new Histogram();
  expect([empty.count, empty.max, empty.mean, empty.percentile(99)]).toEqual([0, 0, 0, 0]);
});

test("the sum of two is as if all had been put into one, even as text", () => {
  const [alice, bob] = [histogram(1, 50, 70_000), histogram(3, 50, 9_000_000)];
  const sum = histogramOf(JSON.parse(JSON.stringify(alice.toData())));
  sum.merge(bob.toData());
  expect(sum.toData()).toEqual(histogram(1, 50, 70_000, 3, 50, 9_000_000).toData());
});

test("after clear it is as new", () => {
  const used = histogram(7, 8);
  used.clear();
  expect(used.toData()).toEqual(new Histogram().toData());
});
