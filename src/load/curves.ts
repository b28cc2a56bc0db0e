/**
 * Which plots a result gives: latency by percentile and over time, and what went on meanwhile. It gives axes and points;
 * how they are drawn is not its business. Pure.
 */
import { linearAxis, percentAt, percentileAxis, timeAxis, valueAxis } from "./axis.ts";
import { measuredTimes } from "./facts.ts";
import { amount, duration, percent, ratioOf } from "./figures.ts";
import { type Histogram, histogramOf } from "./histogram.ts";
import type { Plot, Series } from "./plot.ts";
import { type Result, type Second, TIMES } from "./result.ts";

/** Where the percentiles are read: so many times between 90 and 99, between 99 and 99.9, and so on. */
const READINGS_PER_NINE = 25;
/** A whole core. */
const FULL_LOAD = 1;

/** One line for each time that was measured, the main one on top of the others. */
export function percentilePlot(result: Result): Plot {
  const [main, ...others] = measuredTimes(result);
  const times = main ? [...others, main] : [];
  const series = times.map(({ name }): Series => {
    const points = percentilesOf(histogramOf(result.histograms[name]));
    return { name, colour: `c${TIMES.indexOf(name) + 1}`, shape: "line", points };
  });
  const largest = Math.max(1, ...times.map(({ times }) => times.count));
  return {
    title: "Latency by percentile",
    x: percentileAxis(largest),
    y: valueAxis(valuesOf(series), duration),
    series,
  };
}

/** The last point is the largest value, which all others don't exceed. */
function percentilesOf(histogram: Histogram): [percent: number, micros: number][] {
  const nines = Math.log10(Math.max(1, histogram.count));
  const readings = Array.from({ length: Math.ceil(nines * READINGS_PER_NINE) }, (_, i) => {
    const percent = percentAt(i / READINGS_PER_NINE);
    return [percent, histogram.percentile(percent)] as [number, number];
  });
  return [...readings, [percentAt(nines), histogram.max]];
}

/** The scenario's main time in each interval. */
export function latencyPlot(result: Result): Plot {
  const series = [
    seriesOf(result, "max", "c6", "line", ({ max }) => max),
    seriesOf(result, "p99", "c2", "line", ({ p99 }) => p99),
    seriesOf(result, "p50", "c1", "line", ({ p50 }) => p50),
  ];
  const y = valueAxis(valuesOf(series), duration);
  return { title: `Latency over time: ${result.main}`, x: timeAxis(result.seconds), y, series };
}

/** What went on meanwhile: the pace, messages where they are what the scenario is about, peers, and the generator. */
export function coursePlots(result: Result): Plot[] {
  const plotOf = (title: string, series: Series[], format = amount, least = 0): Plot => {
    const most = valuesOf(series).reduce((a, b) => Math.max(a, b), least);
    return { title, x: timeAxis(result.seconds), y: linearAxis(most, format), series };
  };
  const paceOf = (name: string, colour: string, shape: Series["shape"], read: (second: Second) => number) =>
    seriesOf(result, name, colour, shape, (second, seconds) => ratioOf(read(second), seconds));
  const sessions = plotOf("Sessions a second", [
    paceOf("errors", "bad", "area", ({ errors }) => errors),
    paceOf("offered", "c6", "guide", ({ counts }) => counts.offered),
    paceOf("achieved", "c1", "line", ({ counts }) => counts.done),
  ]);
  const messages = plotOf("Messages a second", [
    paceOf("sent", "c6", "guide", ({ counts }) => counts.sent),
    paceOf("received", "c1", "line", ({ counts }) => counts.received),
  ]);
  const loads = seriesOf(result, "share of a core", "c5", "area", ({ generatorLoad }) => generatorLoad);
  return [
    ...(result.main === "message" ? [messages, sessions] : [sessions]),
    plotOf("Connected peers", [seriesOf(result, "peers", "c1", "area", ({ peers }) => peers)]),
    plotOf("The generator's busiest worker", [loads], percent, FULL_LOAD),
  ];
}

/** A point for each interval; `read` is also given how long that was, in s, for they need not be equally long. */
function seriesOf(
  { timeline }: Result,
  name: string,
  colour: string,
  shape: Series["shape"],
  read: (second: Second, seconds: number) => number | null,
): Series {
  const points = timeline.map((second, i): [number, number | null] => {
    return [second.at, read(second, second.at - (timeline[i - 1]?.at ?? 0))];
  });
  return { name, colour, shape, points };
}

function valuesOf(series: readonly Series[]): number[] {
  return series.flatMap(({ points }) => points.flatMap(([, value]) => (value === null ? [] : [value])));
}
