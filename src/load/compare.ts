/**
 * Two series of results held against each other, measured in turns: for each figure the second as a multiple of the first,
 * turn by turn, so that what disturbed the machine disturbed both. Pure.
 */
import { ConfigError } from "../program/options.ts";
import { ASIDE } from "./config.ts";
import { amount, duration, NOTHING, optionText, rate, size } from "./figures.ts";
import { FAULTS } from "./outcome.ts";
import type { Result } from "./result.ts";
import { shownSpread, spreadOf, timesOf } from "./spread.ts";

interface Figure {
  readonly name: string;
  readonly write: (value: number) => string;
  readonly read: (result: Result) => number | null;
}

const time = (statistic: "p50" | "p90" | "p95" | "p99" | "p999" | "max", label: string): Figure => ({
  name: label,
  write: duration,
  read: ({ main, percentiles }) => percentiles[main]?.[statistic] ?? null,
});

const FIGURES: readonly Figure[] = [
  { name: "sessions achieved", write: rate, read: ({ achievedPerSecond }) => achievedPerSecond },
  { name: "messages achieved", write: rate, read: ({ messagesAchievedPerSecond: achieved }) => achieved },
  time("p50", "median"),
  time("p90", "p90"),
  time("p95", "p95"),
  time("p99", "p99"),
  time("p999", "p99.9"),
  time("max", "max"),
  { name: "CPU per session", write: duration, read: ({ cost }) => cost?.cpuMicrosPerSession ?? null },
  { name: "CPU per message", write: duration, read: ({ cost }) => cost?.cpuMicrosPerMessage ?? null },
  { name: "memory before", write: size, read: ({ cost }) => cost?.residentBytesBefore ?? null },
  { name: "memory per peer", write: size, read: ({ cost }) => cost?.residentBytesPerPeer ?? null },
  { name: "tester's own queue, p99", write: duration, read: ({ generator }) => generator.queue.p99 },
];

/** One figure in both series. */
export interface Comparison {
  readonly name: string;
  readonly first: string;
  readonly second: string;
  /** The second as a multiple of the first. */
  readonly ratio: string;
}

/**
 * @param results in turns: first, second, first, second…
 * @throws ConfigError where they can't be compared
 */
export function comparison(results: readonly Result[]): Comparison[] {
  const turns = results.length / 2;
  if (turns < 1 || !Number.isInteger(turns))
    throw new ConfigError("compare takes files in turns: A B, or A B A B and so on");
  const [first] = results;
  if (results.some(({ scenario }) => scenario !== first?.scenario))
    throw new ConfigError("compare takes results of one scenario only");
  return FIGURES.flatMap(({ name, write, read }) => {
    const of = (offset: number) =>
      Array.from({ length: turns }, (_, turn) => figureOf(results[2 * turn + offset], read));
    const [a, b] = [of(0), of(1)];
    if (spreadOf(a) === null && spreadOf(b) === null) return [];
    const ratios = a.map((value, turn) => timesOf(b[turn] ?? null, value));
    const shown = (values: readonly (number | null)[]) => shownSpread(spreadOf(values), write, NOTHING);
    return [{ name, first: shown(a), second: shown(b), ratio: shownSpread(spreadOf(ratios), amount, NOTHING) }];
  });
}

function figureOf(result: Result | undefined, read: Figure["read"]): number | null {
  return result ? read(result) : null;
}

/** Options in which any of them differ, as lines. */
export function differences(results: readonly Result[]): string[] {
  const names = [...new Set(results.flatMap(({ options }) => Object.keys(options)))];
  return names
    .filter((name) => !ASIDE.includes(name))
    .flatMap((name) => {
      const values = [...new Set(results.map(({ options }) => optionText(options[name] ?? "default")))];
      return values.length > 1 ? [`${name}: ${values.join(" and ")}`] : [];
    });
}

/** Why the figures of one may be worth nothing, as ends of a sentence that its name begins. */
export function doubtsOf({ interrupted, generator, counts, troubles }: Result): string[] {
  const faults = FAULTS.reduce((sum, fault) => sum + counts[fault], 0);
  const doubts: (string | false)[] = [
    interrupted && "was interrupted",
    generator.isBottleneck && "has times of the tester's own: it was the bottleneck",
    counts.failed > 0 && `has ${amount(counts.failed)} failed sessions, which count as their time-out`,
    faults > 0 && `has ${amount(faults)} messages at fault`,
    ...troubles.map((trouble) => `says: ${trouble}`),
  ];
  return doubts.filter((doubt) => doubt !== false);
}
