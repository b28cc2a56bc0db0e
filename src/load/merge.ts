/**
 * One result of several, of machines that loaded one relay at the same time. What can be summed is; of what can't be, the
 * worst of them stands for all, and what they don't agree on is said. Pure.
 */

import { ASIDE } from "./config.ts";
import type { Measured } from "./expect.ts";
import { Histogram } from "./histogram.ts";
import { COUNTS, percentilesOf, type Result, type Second, TIMES } from "./result.ts";
import { stormOf } from "./tally.ts";

/** So much later than the first one, in s, another one did not load the relay at the same time. */
const TOGETHER_SECONDS = 1;

/** @param results at least one */
export function merged(results: readonly [Result, ...Result[]]): Measured {
  const [first] = results;
  const startMs = Math.min(...results.map(({ startedAt }) => Date.parse(startedAt)));
  const offsetOf = ({ startedAt }: Result) => (Date.parse(startedAt) - startMs) / 1_000;
  const sum = (read: (result: Result) => number) => results.reduce((all, result) => all + read(result), 0);
  const most = (read: (result: Result) => number) => Math.max(...results.map(read));
  const sumOrNull = (read: (result: Result) => number | null) =>
    results.some((result) => read(result) === null) ? null : sum((result) => read(result) ?? 0);
  const costly = results.some(({ cost }) => cost !== null)
    ? ["What the relay spent is left out: one machine saw it, and the load of all is what it was spent on."]
    : [];
  return {
    ...first,
    targets: [...new Set(results.flatMap(({ targets }) => targets))],
    startedAt: new Date(startMs).toISOString(),
    seconds: most((result) => offsetOf(result) + result.seconds),
    interrupted: results.some(({ interrupted }) => interrupted),
    troubles: [
      ...new Set([...results.flatMap(({ troubles }) => troubles), ...differences(results, most(offsetOf)), ...costly]),
    ],
    counts: sumOf(results.map(({ counts }) => counts)),
    offeredPerSecond: sumOrNull(({ offeredPerSecond }) => offeredPerSecond),
    achievedPerSecond: sum(({ achievedPerSecond }) => achievedPerSecond),
    messagesOfferedPerSecond: sumOrNull(({ messagesOfferedPerSecond }) => messagesOfferedPerSecond),
    messagesAchievedPerSecond: sumOrNull(({ messagesAchievedPerSecond }) => messagesAchievedPerSecond),
    ...timesOf(results),
    errors: errorsOf(results),
    peakPeers: sum(({ peakPeers }) => peakPeers),
    storms: Array.from({ length: most(({ storms }) => storms.length) }, (_, i) => {
      const all = results.flatMap(({ storms }) => storms[i] ?? []);
      const times = new Histogram();
      for (const storm of all) times.merge(storm.times);
      return stormOf(
        all.reduce((sum, { pairs }) => sum + pairs, 0),
        times,
      );
    }),
    timeline: timelineOf(results, offsetOf),
    generator: {
      workers: sum(({ generator }) => generator.workers),
      cpuSeconds: sum(({ generator }) => generator.cpuSeconds),
      load: most(({ generator }) => generator.load),
      lag: most(({ generator }) => generator.lag),
      queue: {
        p50: most(({ generator }) => generator.queue.p50),
        p99: most(({ generator }) => generator.queue.p99),
        max: most(({ generator }) => generator.queue.max),
      },
      isBottleneck: results.some(({ generator }) => generator.isBottleneck),
    },
    cost: null,
    machine: { ...first.machine, cpu: [...new Set(results.map(({ machine }) => machine.cpu))].join("; ") },
  };
}

function differences(results: readonly Result[], apartSeconds: number): string[] {
  const differing = (read: (result: Result) => string) => new Set(results.map(read)).size > 1;
  const names = new Set(results.flatMap(({ options }) => Object.keys(options)));
  const options = [...names].filter((name) => !ASIDE.includes(name) && differing(({ options }) => options[name] ?? ""));
  return [
    ...(apartSeconds > TOGETHER_SECONDS
      ? [`The runs began up to ${apartSeconds.toFixed(1)} s apart, so they did not load the relay together.`]
      : []),
    ...(options.length > 0 ? [`The runs were asked for differently in: ${options.join(", ")}.`] : []),
    ...(differing(({ version }) => version) ? ["The runs are of different versions of the tester."] : []),
  ];
}

function sumOf(all: readonly Result["counts"][]): Result["counts"] {
  const summed = COUNTS.map((name) => [name, all.reduce((sum, counts) => sum + counts[name], 0)]);
  return Object.fromEntries(summed) as Result["counts"];
}

function timesOf(results: readonly Result[]): Pick<Result, "percentiles" | "histograms"> {
  const times = TIMES.flatMap((time) => {
    const data = results.flatMap(({ histograms }) => histograms[time] ?? []);
    if (data.length === 0) return [];
    const histogram = new Histogram();
    for (const one of data) histogram.merge(one);
    const failed = results.reduce((sum, { percentiles }) => sum + (percentiles[time]?.failed ?? 0), 0);
    return [{ time, histogram, failed }];
  });
  return {
    percentiles: Object.fromEntries(
      times.map(({ time, histogram, failed }) => [time, percentilesOf(histogram, failed)]),
    ),
    histograms: Object.fromEntries(times.map(({ time, histogram }) => [time, histogram.toData()])),
  };
}

function errorsOf(results: readonly Result[]): Result["errors"] {
  const errors = new Map<string, { count: number; first: string }>();
  for (const [kind, { count, first }] of results.flatMap(({ errors }) => Object.entries(errors))) {
    const known = errors.get(kind);
    errors.set(kind, { count: count + (known?.count ?? 0), first: known?.first ?? first });
  }
  return Object.fromEntries([...errors].sort(([, a], [, b]) => b.count - a.count));
}

/** Second by second since the first one began: sums, and of times the worst. */
function timelineOf(results: readonly Result[], offsetOf: (result: Result) => number): Second[] {
  const bins = new Map<number, Second[]>();
  for (const result of results)
    for (const second of result.timeline) {
      const at = Math.max(1, Math.round(second.at + offsetOf(result)));
      bins.set(at, [...(bins.get(at) ?? []), second]);
    }
  return [...bins]
    .sort(([a], [b]) => a - b)
    .map(([at, seconds]) => {
      const sum = (read: (second: Second) => number) => seconds.reduce((all, second) => all + read(second), 0);
      const worst = (read: (second: Second) => number | null) => {
        const values = seconds.map(read).filter((value) => value !== null);
        return values.length === 0 ? null : Math.max(...values);
      };
      return {
        at,
        counts: sumOf(seconds.map(({ counts }) => counts)),
        errors: sum(({ errors }) => errors),
        peers: sum(({ peers }) => peers),
        mostPeers: sum(({ mostPeers }) => mostPeers),
        leastPeers: sum(({ leastPeers }) => leastPeers),
        p50: worst(({ p50 }) => p50),
        p99: worst(({ p99 }) => p99),
        max: worst(({ max }) => max),
        generatorLoad: worst(({ generatorLoad }) => generatorLoad) ?? 0,
        generatorQueue: worst(({ generatorQueue }) => generatorQueue) ?? 0,
      };
    });
}
