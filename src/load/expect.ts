/**
 * What a run is expected to show, as `--expect` says it: NAME OP VALUE, such as ready.p99<50ms, failed=0, achieved>=95%
 * or errors.refused:session-full<10. An expectation on what was not measured is not met. Pure.
 *
 * | NAME                                            | of                                               | VALUE          |
 * |-------------------------------------------------|--------------------------------------------------|----------------|
 * | TIME.p50, .p90, .p99, .p999, .p99.9, .max, .mean | connect, ready, answer, session, message, return | us, ms, s      |
 * | offered, started, done, failed, sent, received, hostile | the whole run                             | a number       |
 * | bytes                                           | the whole run                                    | B, KiB, MiB    |
 * | errors, errors.KIND                             | all, or those of one kind                        | a number       |
 * | achieved                                        | sessions a second, or the share of those offered | a number or %  |
 * | generator.load                                  | processor cores of the busiest worker            | a number or %  |
 * | generator.lag                                   | how late the generator itself was, p99           | us, ms, s      |
 * | cost.cpu, cost.cpu.message                      | the relay's processor time per session, message  | us, ms, s      |
 * | cost.sessions                                   | sessions per processor second                    | a number       |
 * | cost.memory or memory, cost.kernel              | resident and kernel memory per peer              | B, KiB, MiB    |
 *
 * OP is <, <=, =, >= or >. There are no spaces.
 */
import { ConfigError } from "../program/options.ts";
import { amount, cut, duration, percent, ratioOf, size } from "./figures.ts";
import { COUNTS, type CountName, type Percentiles, type Result, TIMES } from "./result.ts";

/** What is measured, before it is judged. */
export type Measured = Omit<Result, "expectations">;
export type Verdict = Result["expectations"][number];

const OPERATORS = ["<", "<=", "=", ">=", ">"] as const;
type Operator = (typeof OPERATORS)[number];
/** Finds the figure, in us, bytes, a number or a share; null where it was not measured. */
type Reading = (measured: Measured) => number | null;

export interface Expectation {
  /** As it was written. */
  readonly text: string;
  readonly operator: Operator;
  /** In us or bytes; of a percentage the share, so that 95% is 0.95. */
  readonly value: number;
  readonly read: Reading;
}

const HOLDS: Readonly<Record<Operator, (actual: number, value: number) => boolean>> = {
  "<": (actual, value) => actual < value,
  "<=": (actual, value) => actual <= value,
  "=": (actual, value) => actual === value,
  ">=": (actual, value) => actual >= value,
  ">": (actual, value) => actual > value,
};

/** A name has no operator in it; the value is a number without sign or exponent, and what follows it is the unit. */
const SHAPE = /^([^<>=\s]+)(<=|>=|<|>|=)(\d{1,15}(?:\.\d{1,9})?)([A-Za-z%]*)$/;
/** Of a refused value, in its message. */
const SHOWN_LENGTH = 80;

/** A percentage has no factor here: it is divided, so that 99.9% is exactly the nearest share. */
type Units = Readonly<Record<string, number>>;
const TIME_UNITS: Units = { us: 1, ms: 1_000, s: 1_000_000 };
const SIZE_UNITS: Units = { B: 1, KiB: 1_024, MiB: 1_048_576 };
const NO_UNIT: Units = { "": 1 };

/** What a name stands for. */
interface Meaning {
  readonly units: Units;
  readonly read: Reading;
  /** What it is where the value is a percentage; where this is missing the value can't be one. */
  readonly readShare?: Reading;
}

const STATISTICS: Readonly<Record<string, Exclude<keyof Percentiles, "count">>> = {
  p50: "p50",
  p90: "p90",
  p99: "p99",
  p999: "p999",
  "p99.9": "p999",
  max: "max",
  mean: "mean",
};

const times = TIMES.flatMap((time) =>
  Object.entries(STATISTICS).map(([name, statistic]): [string, Meaning] => [
    `${time}.${name}`,
    { units: TIME_UNITS, read: ({ percentiles }) => (percentiles[time]?.count ? percentiles[time][statistic] : null) },
  ]),
);
const counts = COUNTS.map((name: CountName): [string, Meaning] => [
  name,
  { units: name === "bytes" ? SIZE_UNITS : NO_UNIT, read: ({ counts }) => counts[name] },
]);
const residentMemory: Meaning = { units: SIZE_UNITS, read: ({ cost }) => cost?.residentBytesPerPeer ?? null };
const load: Reading = ({ generator }) => generator.load;

const MEANINGS: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ...times,
  ...counts,
  [
    "errors",
    { units: NO_UNIT, read: ({ errors }) => Object.values(errors).reduce((sum, { count }) => sum + count, 0) },
  ],
  [
    "achieved",
    {
      units: NO_UNIT,
      read: ({ achievedPerSecond }) => achievedPerSecond,
      readShare: ({ achievedPerSecond, offeredPerSecond }) => ratioOf(achievedPerSecond, offeredPerSecond),
    },
  ],
  ["generator.load", { units: NO_UNIT, read: load, readShare: load }],
  ["generator.lag", { units: TIME_UNITS, read: ({ generator }) => generator.lag }],
  ["cost.cpu", { units: TIME_UNITS, read: ({ cost }) => cost?.cpuMicrosPerSession ?? null }],
  ["cost.cpu.message", { units: TIME_UNITS, read: ({ cost }) => cost?.cpuMicrosPerMessage ?? null }],
  ["cost.sessions", { units: NO_UNIT, read: ({ cost }) => cost?.sessionsPerCpuSecond ?? null }],
  ["cost.memory", residentMemory],
  ["memory", residentMemory],
  ["cost.kernel", { units: SIZE_UNITS, read: ({ cost }) => cost?.kernelBytesPerPeer ?? null }],
]);
const NAMES = [
  `${TIMES.join(", ")} with ${Object.keys(STATISTICS)
    .map((name) => `.${name}`)
    .join(" ")}`,
  ...[...MEANINGS.keys()].filter((name) => !times.some(([time]) => time === name)),
  "errors.KIND",
].join(", ");

/**
 * Reads one expectation.
 * @throws ConfigError with one line that says what may stand where
 */
export function readExpectation(text: string): Expectation {
  const refused = (why: string) => new ConfigError(`--expect ${JSON.stringify(cut(text, SHOWN_LENGTH))} ${why}`);
  const [, name = "", sign = "", digits = "", unit = ""] = SHAPE.exec(text) ?? [];
  const operator = OPERATORS.find((operator) => operator === sign);
  if (!operator)
    throw refused(`is not NAME OP VALUE without spaces, such as ready.p99<50ms (OP: ${OPERATORS.join(" ")})`);
  const meaning = MEANINGS.get(name) ?? errorsOfKind(name);
  if (!meaning) throw refused(`names none of ${NAMES}`);
  const { units, read, readShare } = meaning;
  if (unit === "%" && readShare) return { text, operator, value: Number(digits) / 100, read: readShare };
  const factor = new Map(Object.entries(units)).get(unit);
  if (factor === undefined) throw refused(`needs ${expectedValue(meaning)} after ${operator}`);
  return { text, operator, value: Number(digits) * factor, read };
}

/** Whether what was measured is as expected. `actual` is in us, bytes, a number or a share; null was not measured. */
export function judge({ text, operator, value, read }: Expectation, measured: Measured): Verdict {
  const actual = read(measured);
  return { text, isMet: actual !== null && HOLDS[operator](actual, value), actual };
}

/** How many errors there were, of all kinds. */
export function errorsOf({ errors }: Pick<Result, "errors">): number {
  return Object.values(errors).reduce((sum, { count }) => sum + count, 0);
}

/** What was measured, in the kind of unit in which the expectation was written. */
export function shownActual({ text, actual }: Verdict): string {
  const [, , , , unit = ""] = SHAPE.exec(text) ?? [];
  if (actual === null) return "not measured";
  if (unit === "%") return percent(actual);
  return Object.hasOwn(TIME_UNITS, unit)
    ? duration(actual)
    : Object.hasOwn(SIZE_UNITS, unit)
      ? size(actual)
      : amount(actual);
}

function errorsOfKind(name: string): Meaning | undefined {
  const [, kind] = /^errors\.(.+)$/.exec(name) ?? [];
  return kind === undefined
    ? undefined
    : { units: NO_UNIT, read: ({ errors }) => (Object.hasOwn(errors, kind) ? (errors[kind]?.count ?? 0) : 0) };
}

function expectedValue({ units, readShare }: Meaning): string {
  const names = Object.keys(units).filter(Boolean);
  const unit = names.length > 0 ? ` with a unit (${names.join(", ")})` : "";
  return `a number${unit}${readShare ? " or a percentage such as 95%" : ""}`;
}
