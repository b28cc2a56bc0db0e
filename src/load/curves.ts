/**
 * Which plots a result gives: latency by percentile and over time, and what went on meanwhile. It gives points and what
 * they are; how they are drawn is not its business. Pure.
 */
import { measuredTimes } from "./facts.ts";
import { amount, duration, percent, ratioOf } from "./figures.ts";
import { histogramOf } from "./histogram.ts";
import { RETURN_STEP_MS, type Result, type Second, TIMES } from "./result.ts";

export interface Series {
  readonly name: string;
  /** The name of its colour in the page's style. */
  readonly colour: string;
  /** A guide is a broad line for others to run on. */
  readonly shape: "line" | "guide" | "area";
  /** One for each x; where the value is null, the line has a gap. */
  readonly values: readonly (number | null)[];
}

export interface Plot {
  readonly title: string;
  /** What x is: seconds, or nines of a percentile, so that 2 stands for 99 %. */
  readonly across: "seconds" | "nines";
  /** What the values are: microseconds, a number of things, or a share of 1. */
  readonly unit: keyof typeof UNITS;
  /** Whether the values differ so much that only a logarithmic axis shows them. */
  readonly isLogarithmic: boolean;
  readonly x: readonly number[];
  readonly series: readonly Series[];
}

const UNITS = { duration, amount, share: percent } as const;
/** Where the percentiles are read: so many times between 90 and 99, between 99 and 99.9, and so on. */
const READINGS_PER_NINE = 25;
/** Values that differ by more than this factor can't be read off one linear axis. */
const LINEAR_RANGE = 20;

/** One line for each time that was measured, the main one on top of the others. */
export function percentilePlot(result: Result): Plot {
  const [main, ...others] = measuredTimes(result);
  const times = (main ? [...others, main] : []).map(({ name, times }) => {
    return { name, nines: Math.log10(times.count), histogram: histogramOf(result.histograms[name]) };
  });
  const most = Math.max(0, ...times.map(({ nines }) => nines));
  const grid = Array.from({ length: Math.ceil(most * READINGS_PER_NINE) }, (_, i) => i / READINGS_PER_NINE);
  const x = [...new Set([...grid, ...times.map(({ nines }) => nines)])].sort((a, b) => a - b);
  const series = times.map(({ name, nines, histogram }): Series => {
    const reading = (at: number) => (at === nines ? histogram.max : histogram.percentile(100 - 100 * 10 ** -at));
    const values = x.map((at) => (at > nines ? null : reading(at)));
    return { name, colour: `c${TIMES.indexOf(name) + 1}`, shape: "line", values };
  });
  return plotOf("Latency by percentile", "nines", "duration", x, series);
}

/** The scenario's main time in each interval, and the tester's own queue beside it. */
export function latencyPlot(result: Result): Plot {
  return overTime(`Latency over time: ${result.main}`, "duration", result, [
    seriesOf(result, "max", "c6", "line", ({ max }) => max),
    seriesOf(result, "own queue p99", "c5", "line", ({ generatorQueue }) => generatorQueue || null),
    seriesOf(result, "p99", "c2", "line", ({ p99 }) => p99),
    seriesOf(result, "p50", "c1", "line", ({ p50 }) => p50),
  ]);
}

/** What went on meanwhile: recovery, the pace, messages where they are what it is about, peers, and the generator. */
export function coursePlots(result: Result): Plot[] {
  const paceOf = (name: string, colour: string, shape: Series["shape"], read: (second: Second) => number) =>
    seriesOf(result, name, colour, shape, (second, seconds) => ratioOf(read(second), seconds));
  const sessions = overTime("Sessions a second", "amount", result, [
    paceOf("errors", "bad", "area", ({ errors }) => errors),
    paceOf("offered", "c6", "guide", ({ counts }) => counts.offered),
    paceOf("achieved", "c1", "line", ({ counts }) => counts.done),
  ]);
  const messages = overTime("Messages a second", "amount", result, [
    paceOf("lost", "bad", "area", ({ counts }) => counts.lost),
    paceOf("sent", "c6", "guide", ({ counts }) => counts.sent),
    paceOf("received", "c1", "line", ({ counts }) => counts.received),
  ]);
  return [
    ...recoveryPlots(result),
    ...(result.main === "message" ? [messages, sessions] : [sessions]),
    overTime("Connected peers, the most and the least", "amount", result, [
      seriesOf(result, "most", "c1", "area", ({ mostPeers }) => mostPeers),
      seriesOf(result, "least", "c2", "line", ({ leastPeers }) => leastPeers),
    ]),
    overTime("The generator's busiest worker", "share", result, [
      seriesOf(result, "share of a core", "c5", "area", ({ generatorLoad }) => generatorLoad),
    ]),
  ];
}

/** How the pairs of each storm came back. */
function recoveryPlots({ storms }: Result): Plot[] {
  const steps = Math.max(0, ...storms.map(({ curve }) => curve.length));
  if (steps === 0) return [];
  const x = Array.from({ length: steps + 1 }, (_, i) => (i * RETURN_STEP_MS) / 1_000);
  const series = storms.map(({ pairs, curve }, i): Series => {
    const shares = [0, ...curve].map((back) => back / Math.max(1, pairs));
    return {
      name: storms.length > 1 ? `storm ${i + 1}` : "back",
      colour: `c${(i % 6) + 1}`,
      shape: "line",
      values: x.map((_, at) => shares[at] ?? shares.at(-1) ?? 0),
    };
  });
  return [plotOf("Pairs that were back, since the cut", "seconds", "share", x, series)];
}

/** What a plot shows, for those who can't see it. */
export function described({ title, unit, series }: Plot): string {
  const ranges = series.flatMap(({ name, values }) => {
    const there = values.filter((value) => value !== null);
    if (there.length === 0) return [];
    const [least, most] = [there.reduce((a, b) => Math.min(a, b)), there.reduce((a, b) => Math.max(a, b))];
    return `${name}: ${UNITS[unit](least)} to ${UNITS[unit](most)}`;
  });
  return `${title}. ${ranges.join("; ")}.`;
}

/** Whether there is anything to see. */
export function hasValues({ series }: Plot): boolean {
  return series.some(({ values }) => values.some((value) => value !== null));
}

function overTime(title: string, unit: Plot["unit"], { timeline }: Result, series: readonly Series[]): Plot {
  const x = timeline.map(({ at }) => at);
  return plotOf(title, "seconds", unit, x, series);
}

function plotOf(
  title: string,
  across: Plot["across"],
  unit: Plot["unit"],
  x: readonly number[],
  series: readonly Series[],
): Plot {
  const positive = series.flatMap(({ values }) => values.filter((value) => value !== null && value > 0)).map(Number);
  const [least, most] = [Math.min(...positive), Math.max(...positive)];
  return { title, across, unit, isLogarithmic: unit === "duration" && most > least * LINEAR_RANGE, x, series };
}

/** A value for each interval; `read` is also given how long that was, in s, for they need not be equally long. */
function seriesOf(
  { timeline }: Result,
  name: string,
  colour: string,
  shape: Series["shape"],
  read: (second: Second, seconds: number) => number | null,
): Series {
  const values = timeline.map((second, i) => read(second, second.at - (timeline[i - 1]?.at ?? 0)));
  return { name, colour, shape, values };
}
