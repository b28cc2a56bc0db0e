/**
 * What a result says, in words: the headline, the warnings and the tables that the summary and the report both show.
 * All of it is text as it was given; whoever shows it makes it harmless for where it is shown. Pure.
 */
import { errorsOf, shownActual } from "./expect.ts";
import { amount, cut, duration, NOTHING, percent, rate, ratioOf, size } from "./figures.ts";
import { type Percentiles, type Result, TIMES, type TimeName } from "./result.ts";

/** A relay's words may be endless; --json has all of them. */
const LONGEST_SENTENCE = 300;

export interface Table {
  readonly title: string;
  /** The names of the columns, none where the first column says it. */
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** How many columns, from the second on, are figures. */
  readonly figures: number;
}

export interface Figure {
  readonly label: string;
  readonly value: string;
  readonly note: string;
}

/** The figures that matter, the most important first. */
export function headlineOf(result: Result): Figure[] {
  const { achievedPerSecond, offeredPerSecond, counts, main, percentiles, seconds, peakPeers, cost } = result;
  const times = percentiles[main];
  const share = percent(ratioOf(achievedPerSecond, offeredPerSecond));
  const sessions: Figure = {
    label: "sessions achieved",
    value: rate(achievedPerSecond),
    note: offeredPerSecond === null ? `${amount(counts.done)} in all` : `${share} of ${rate(offeredPerSecond)} offered`,
  };
  const messages = counts.received > 0 && {
    label: "messages",
    value: rate(ratioOf(counts.received, seconds)),
    note: `${amount(counts.received)} received`,
  };
  const figures: (Figure | false | null)[] = [
    ...(main === "message" ? [messages, sessions] : [sessions, messages]),
    { label: `${main}, median`, value: duration(times?.p50), note: `90 % within ${duration(times?.p90)}` },
    {
      label: `${main}, p99`,
      value: duration(times?.p99),
      note: `p99.9 ${duration(times?.p999)}, max ${duration(times?.max)}`,
    },
    { label: "sessions failed", value: amount(counts.failed), note: `${amount(errorsOf(result))} errors` },
    { label: "peers at once", value: amount(peakPeers), note: "at the peak" },
    cost && {
      label: "CPU per session",
      value: duration(cost.cpuMicrosPerSession),
      note: `${amount(cost.sessionsPerCpuSecond)} per CPU second`,
    },
    cost && {
      label: "memory per peer",
      value: size(cost.residentBytesPerPeer),
      note: `and ${size(cost.kernelBytesPerPeer)} in the kernel`,
    },
  ];
  return figures.filter((figure) => figure !== false && figure !== null);
}

/** What casts doubt on the figures or on the relay, as sentences; none where all is well. */
export function warningsOf({ interrupted, seconds, generator, expectations }: Result): string[] {
  const missed = expectations.filter(({ isMet }) => !isMet).length;
  const warnings: (string | false)[] = [
    interrupted && `Interrupted after ${duration(seconds * 1e6)}: these figures are of that part only.`,
    generator.isBottleneck &&
      `The generator was the bottleneck: its busiest worker used ${percent(generator.load)} of a core and was up to ` +
        `${duration(generator.lag)} late (p99), so these times are partly its own. Use more workers, another machine ` +
        "or a lower rate.",
    missed > 0 && `${missed} of ${expectations.length} expectations not met.`,
  ];
  return warnings.filter((warning) => warning !== false);
}

/** The percentiles of each time that was measured, in the order of `measuredTimes`. */
export function timesTable(result: Result): Table {
  const rows = measuredTimes(result).map(({ name, times }) => [
    name,
    ...[times.p50, times.p90, times.p99, times.p999, times.max, times.mean].map(duration),
    amount(times.count),
  ]);
  const head = ["time", "p50", "p90", "p99", "p99.9", "max", "mean", "count"];
  return { title: "Times", head, rows, figures: 7 };
}

/** The other tables, those that have rows, in the order in which they are read. */
export function tablesOf(result: Result): Table[] {
  const tables = [countsTable, errorsTable, costTable, generatorTable, optionsTable, expectationsTable];
  return tables.map((table) => table(result)).filter(({ rows }) => rows.length > 0);
}

/** The times that were measured, the main one first. */
export function measuredTimes({ main, percentiles }: Result): { name: TimeName; times: Percentiles }[] {
  return [main, ...TIMES.filter((name) => name !== main)].flatMap((name) => {
    const times = percentiles[name];
    return times && times.count > 0 ? [{ name, times }] : [];
  });
}

function countsTable({ counts, seconds, peakPeers }: Result): Table {
  const { offered, started, done, failed, sent, received, bytes, hostile } = counts;
  const counted = (name: string, count: number) => [name, amount(count), rate(ratioOf(count, seconds))];
  const rows = [
    counted("sessions offered", offered),
    counted("sessions started", started),
    counted("sessions done", done),
    counted("sessions failed", failed),
    counted("messages sent", sent),
    counted("messages received", received),
    ["bytes received", size(bytes), seconds > 0 ? `${size(bytes / seconds)}/s` : NOTHING],
    ...(hostile > 0 ? [counted("hostile acts", hostile)] : []),
    ["peers at once", amount(peakPeers), ""],
  ];
  return { title: "Counts", head: ["count", "in all", "a second"], rows, figures: 2 };
}

function errorsTable({ errors }: Result): Table {
  const sorted = Object.entries(errors).sort(([, a], [, b]) => b.count - a.count);
  const rows = sorted.map(([kind, { count, first }]) => [kind, amount(count), cut(first, LONGEST_SENTENCE)]);
  return { title: "Errors", head: ["kind", "count", "the first of them"], rows, figures: 1 };
}

function expectationsTable({ expectations }: Result): Table {
  const rows = expectations.map((verdict) => [verdict.isMet ? "met" : "NOT MET", verdict.text, shownActual(verdict)]);
  return { title: "Expectations", head: ["", "expected", "actual"], rows, figures: 0 };
}

function costTable({ cost }: Result): Table {
  const rows = cost
    ? [
        ["CPU", duration(cost.cpuSeconds * 1e6)],
        ["CPU per session", duration(cost.cpuMicrosPerSession)],
        ["CPU per message", duration(cost.cpuMicrosPerMessage)],
        ["sessions per CPU second", amount(cost.sessionsPerCpuSecond)],
        ["resident memory before", size(cost.residentBytesBefore)],
        ["resident memory at the peak", size(cost.residentBytesPeak)],
        ["resident memory per peer", size(cost.residentBytesPerPeer)],
        ["kernel memory per peer, both ends where local", size(cost.kernelBytesPerPeer)],
      ]
    : [];
  return { title: "Cost to the relay", head: [], rows, figures: 1 };
}

function generatorTable({ generator, machine }: Result): Table {
  const rows = [
    ["workers", amount(generator.workers)],
    ["CPU", duration(generator.cpuSeconds * 1e6)],
    ["busiest worker", `${percent(generator.load)} of a core`],
    ["late by (p99)", duration(generator.lag)],
    ["machine", `${machine.cpu}, ${amount(machine.cores)} cores`],
    ["software", `Linux ${machine.kernel}, Bun ${machine.bun}`],
  ];
  return { title: "The generator", head: [], rows, figures: 0 };
}

function optionsTable({ options }: Result): Table {
  return { title: "Options", head: [], rows: Object.entries(options), figures: 0 };
}
