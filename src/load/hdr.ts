/**
 * A histogram as HdrHistogram's own tools print and plot it: the percentile distribution of its Java class, in ms. Pure.
 */
import type { Histogram } from "./histogram.ts";

/** As many lines for each halving of the distance to 100 %, as is usual. */
const TICKS_PER_HALF = 5;
const PER_MS = 1_000;

/** The text of a .hgrm file. */
export function hdrText(histogram: Histogram): string {
  const { count, mean, max, deviation } = histogram;
  const percents = percentages(count);
  const reaches = percents.map((percent) => histogram.countUpTo(percent === 100 ? max : histogram.percentile(percent)));
  const whole = reaches.indexOf(count); // what follows would say the same again, but for the last line
  const lines = [...percents.slice(0, whole + 1), 100].map((percent, i) => {
    const share = percent / 100;
    const value = (percent === 100 ? max : histogram.percentile(percent)) / PER_MS;
    const upTo = reaches[i] ?? count;
    const rest = share < 1 ? ` ${(1 / (1 - share)).toFixed(2).padStart(14)}` : ""; // infinite, which no plot can show
    return `${value.toFixed(3).padStart(12)} ${share.toFixed(12)} ${String(upTo).padStart(10)}${rest}`;
  });
  const foot = (a: string, x: number, b: string, y: string) =>
    `#[${a} = ${x.toFixed(3).padStart(12)}, ${b} = ${y.padStart(12)}]`;
  return [
    `${"Value".padStart(12)} ${"Percentile".padStart(14)} ${"TotalCount".padStart(10)} ${"1/(1-Percentile)".padStart(14)}`,
    "",
    ...(count > 0 ? lines : []),
    foot("Mean   ", mean / PER_MS, "StdDeviation  ", (deviation / PER_MS).toFixed(3)),
    foot("Max    ", max / PER_MS, "Total count   ", String(count)),
    `#[Buckets = ${"22".padStart(12)}, SubBuckets     = ${"2048".padStart(12)}]`,
    "",
  ].join("\n");
}

/** From 0 to where each single value stands, in ever smaller steps, and 100. */
function percentages(count: number): number[] {
  const all: number[] = [];
  for (let half = 0, percent = 0; 100 - percent > 100 / Math.max(1, 2 * count); half++) {
    const step = 100 / 2 ** (half + 1) / TICKS_PER_HALF;
    for (let tick = 0; tick < TICKS_PER_HALF; tick++, percent += step) all.push(percent);
  }
  return [...all, 100];
}
