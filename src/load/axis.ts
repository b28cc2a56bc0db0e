/**
 * The axes of the report's plots: where on it a value stands, from 0 at its start to 1 at its end, and the round values
 * that are marked. Pure.
 */
import { amount } from "./figures.ts";

export interface Axis {
  /** From 0 to 1; what is beyond an end stands there. */
  place(value: number): number;
  /** A value of this axis as people read it. */
  readonly format: (value: number) => string;
  readonly ticks: readonly number[];
}

/** Values that differ by more than this factor can't be read off one linear axis. */
const LINEAR_RANGE = 20;
/** Fewer powers of ten than these leave room to mark 2 and 5 times each. */
const FEW_DECADES = 3;
/** As many steps as can be read at a glance. */
const MAX_STEPS = 6;
/** How time is cut up, in s. */
const TIME_STEPS = [
  0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400,
];
const ROUND = [1, 2, 5, 10];

/** An axis for values of any size: from 0 where that can be read, logarithmic where they differ too much. */
export function valueAxis(values: readonly number[], format: Axis["format"]): Axis {
  const positive = values.filter((value) => value > 0);
  const least = positive.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const most = positive.reduce((a, b) => Math.max(a, b), 0);
  return most > least * LINEAR_RANGE ? logarithmicAxis(least, most, format) : linearAxis(most, format);
}

/** From 0 to the round value above `most`. */
export function linearAxis(most: number, format: Axis["format"] = amount): Axis {
  const step = most > 0 ? roundAbove(most / MAX_STEPS) : 1;
  const steps = Math.max(1, Math.ceil(most / step));
  return {
    place: (value) => within(value / (steps * step)),
    format,
    ticks: Array.from({ length: steps + 1 }, (_, i) => i * step),
  };
}

/** From the round value below `least` to the one above `most`, both more than 0. */
function logarithmicAxis(least: number, most: number, format: Axis["format"]): Axis {
  const round: number[] = [];
  for (let decade = 10 ** Math.floor(Math.log10(least)); decade <= most * 10; decade *= 10)
    round.push(decade, 2 * decade, 5 * decade);
  const first = round.findLast((tick) => tick <= least) ?? least;
  const last = round.find((tick) => tick >= most) ?? most;
  const isFew = last < first * 10 ** FEW_DECADES;
  return {
    place: (value) => within(Math.log(value / first) / Math.log(last / first)),
    format,
    ticks: round.filter((tick, i) => tick >= first && tick <= last && (isFew || i % 3 === 0)),
  };
}

/** Seconds of a run, from 0 to its end. */
export function timeAxis(seconds: number): Axis {
  const step = TIME_STEPS.find((step) => seconds / step <= MAX_STEPS) ?? roundAbove(seconds / MAX_STEPS);
  const [unit, factor] = step < 60 ? ["s", 1] : step < 3_600 ? ["min", 60] : ["h", 3_600];
  return {
    place: (value) => within(value / (seconds || 1)),
    format: (value) => `${amount(value / factor)} ${unit}`,
    ticks: Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => i * step),
  };
}

/** Percentages of `count` values, each further nine as far from the last as the one before. */
export function percentileAxis(count: number): Axis {
  const decades = Math.max(1, Math.log10(count));
  const nines = Array.from({ length: Math.floor(decades + 1e-9) }, (_, i) => percentAt(i + 1));
  return {
    place: (percent) => within(decadesOf(percent) / decades),
    format: (percent) => `${percent} %`,
    ticks: [50, ...nines],
  };
}

/** The percentage that leaves out one in 10 to the power of `decades`: 90 for 1, 99 for 2. */
export function percentAt(decades: number): number {
  return Number((100 - 100 * 10 ** -decades).toFixed(10));
}

function decadesOf(percent: number): number {
  return -Math.log10(Math.max(1e-12, 1 - percent / 100));
}

/** 1, 2 or 5 times a power of ten. */
function roundAbove(value: number): number {
  const decade = 10 ** Math.floor(Math.log10(value));
  return decade * (ROUND.find((factor) => factor * decade >= value) ?? 10);
}

function within(place: number): number {
  return Number.isNaN(place) ? 0 : Math.min(1, Math.max(0, place));
}
