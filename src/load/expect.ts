/**
 * What a run is expected to show, as `--expect` says it: NAME OP VALUE, such as ready.p99<50ms, failed=0, achieved>=95%
 * or errors.refused:session-full<10. An expectation on what was not measured is not met. Pure.
 */
import { ConfigError } from "../program/options.ts";
import { amount, cut, duration, percent, ratioOf, size } from "./figures.ts";
import { histogramOf } from "./histogram.ts";
import { KINDS, wrongKind } from "./kinds.ts";
import { COUNT_MEANINGS, COUNTS, type CountName, errorsOf, type Result, TIME_MEANINGS, TIMES } from "./result.ts";

/** What is measured, before it is judged. */
export type Measured = Omit<Result, "expectations" | "exitCode">;
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

/** The rest of what is measured, by name, with what it is. */
const OTHERS: Readonly<Record<string, Meaning & { readonly what: string }>> = {
  errors: { what: "reasons for failures, of all kinds", units: NO_UNIT, read: errorsOf },
  achieved: {
    what: "sessions or pairs a second, or their share of those offered",
    units: NO_UNIT,
    read: ({ achievedPerSecond }) => achievedPerSecond,
    readShare: ({ achievedPerSecond, offeredPerSecond }) => ratioOf(achievedPerSecond, offeredPerSecond),
  },
  "messages.achieved": {
    what: "messages a second, or their share of those offered",
    units: NO_UNIT,
    read: ({ messagesAchievedPerSecond }) => messagesAchievedPerSecond,
    readShare: ({ messagesAchievedPerSecond: achieved, messagesOfferedPerSecond: offered }) =>
      achieved === null ? null : ratioOf(achieved, offered),
  },
  "storm.p50": stormed("p50"),
  "storm.p95": stormed("p95"),
  "storm.p99": stormed("p99"),
  "storm.p100": stormed("p100"),
  "generator.load": {
    what: "processor cores of the busiest worker",
    units: NO_UNIT,
    read: ({ generator }) => generator.load,
    readShare: ({ generator }) => generator.load,
  },
  "generator.lag": {
    what: "how late the tester itself began things, p99",
    units: TIME_UNITS,
    read: ({ generator }) => generator.lag,
  },
  "generator.queue": {
    what: "how long what came waited in the tester itself, p99",
    units: TIME_UNITS,
    read: ({ generator }) => generator.queue.p99,
  },
  "cost.cpu": {
    what: "the relay's processor time per session",
    units: TIME_UNITS,
    read: ({ cost }) => cost?.cpuMicrosPerSession ?? null,
  },
  "cost.cpu.message": {
    what: "the same per message",
    units: TIME_UNITS,
    read: ({ cost }) => cost?.cpuMicrosPerMessage ?? null,
  },
  "cost.sessions": {
    what: "sessions per processor second of the relay",
    units: NO_UNIT,
    read: ({ cost }) => cost?.sessionsPerCpuSecond ?? null,
  },
  "cost.memory": {
    what: "the relay's resident memory per peer",
    units: SIZE_UNITS,
    read: ({ cost }) => cost?.residentBytesPerPeer ?? null,
  },
  "cost.kernel": {
    what: "the kernel's memory per peer, both ends where the relay is here",
    units: SIZE_UNITS,
    read: ({ cost }) => cost?.kernelBytesPerPeer ?? null,
  },
};

function stormed(share: keyof Result["storms"][number]["back"]): Meaning & { readonly what: string } {
  return {
    what: `until ${share.slice(1)} % of the pairs were back, after the slowest storm`,
    units: TIME_UNITS,
    read({ storms }) {
      const seconds = storms.map(({ back }) => back[share]);
      return seconds.length === 0 || seconds.includes(null) ? null : Math.max(...seconds.map(Number)) * 1e6;
    },
  };
}

/** All names, with what they are, as lines of help. */
export function expectationNames(): string {
  const line = (name: string, what: string) => `  ${name.padEnd(22)}${what}\n`;
  return [
    line("TIME.pN, .max, .mean", `any percentile, such as .p95 or .p99.9; TIME is one of`),
    ...TIMES.map((time) => line(`  ${time}`, TIME_MEANINGS[time])),
    ...COUNTS.map((count) => line(count, COUNT_MEANINGS[count])),
    ...Object.entries(OTHERS).map(([name, { what }]) => line(name, what)),
    line("errors.KIND", "those of one kind:"),
    ...KINDS.map((words) => line("", words)),
  ].join("");
}

/** A name's meaning; undefined where it has none. */
function meaningOf(name: string): Meaning | undefined {
  if (Object.hasOwn(OTHERS, name)) return OTHERS[name];
  const count = COUNTS.find((count) => count === name);
  if (count !== undefined) return countMeaning(count);
  const [, time = "", statistic = ""] = /^([a-z]+)\.(max|mean|p\d{1,3}(?:\.\d{1,4})?)$/.exec(name) ?? [];
  const known = TIMES.find((known) => known === time);
  if (known !== undefined) return timeMeaning(known, statistic);
  const kind = kindIn(name);
  if (kind === null || wrongKind(kind) !== null) return undefined;
  return { units: NO_UNIT, read: ({ errors }) => (Object.hasOwn(errors, kind) ? (errors[kind]?.count ?? 0) : 0) };
}

/** The kind of error whose count a name stands for; null where it is another name. */
function kindIn(name: string): string | null {
  return name.startsWith("errors.") ? name.slice("errors.".length) : null;
}

function countMeaning(name: CountName): Meaning {
  return { units: name === "bytes" ? SIZE_UNITS : NO_UNIT, read: ({ counts }) => counts[name] };
}

function timeMeaning(time: (typeof TIMES)[number], statistic: string): Meaning | undefined {
  const percent = statistic === "p999" ? 99.9 : Number(statistic.slice(1));
  if (statistic.startsWith("p") && !(percent > 0 && percent <= 100)) return undefined;
  return {
    units: TIME_UNITS,
    read({ percentiles, histograms }) {
      const times = percentiles[time];
      if (times === undefined || times.count === 0) return null;
      if (statistic === "max" || statistic === "mean") return times[statistic];
      return histogramOf(histograms[time]).percentile(percent);
    },
  };
}

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
  const meaning = meaningOf(name);
  if (!meaning) throw refused(whyUnknown(name));
  const { units, read, readShare } = meaning;
  if (unit === "%" && readShare) return { text, operator, value: Number(digits) / 100, read: readShare };
  const factor = new Map(Object.entries(units)).get(unit);
  if (factor === undefined) throw refused(`needs ${expectedValue(meaning)} after ${operator}`);
  return { text, operator, value: Number(digits) * factor, read };
}

/** Why a name has no meaning, and what has. */
function whyUnknown(name: string): string {
  const kind = kindIn(name);
  const possible = kind === null ? null : wrongKind(kind);
  if (possible !== null) return `is of an error that there can't be; there can be ${possible}`;
  if (TIMES.some((time) => name.startsWith(`${time}.`) || name === time))
    return "is of a time, so .max, .mean or .pN follows, N above 0 and up to 100; --help lists all names";
  return "has a name that --help does not list";
}

/** Whether what was measured is as expected. `actual` is in us, bytes, a number or a share; null was not measured. */
export function judge({ text, operator, value, read }: Expectation, measured: Measured): Verdict {
  const actual = read(measured);
  return { text, isMet: actual !== null && HOLDS[operator](actual, value), actual };
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

function expectedValue({ units, readShare }: Meaning): string {
  const names = Object.keys(units).filter(Boolean);
  const unit = names.length > 0 ? ` with a unit (${names.join(", ")})` : "";
  return `a number${unit}${readShare ? " or a percentage such as 95%" : ""}`;
}
