/**
 * What a result says, in words: the headline, the warnings and the tables that the summary and the report both show.
 * All of it is text as it was given; whoever shows it makes it harmless for where it is shown. Pure.
 */
import { isPairs } from "./config.ts";
import { shownActual } from "./expect.ts";
import { amount, cut, duration, NOTHING, optionText, percent, rate, ratioOf, size } from "./figures.ts";
import { FAULTS } from "./outcome.ts";
import { errorsOf, NO_PORT_CODES, type Percentiles, type Result, TIMES, type TimeName } from "./result.ts";

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
  const { achievedPerSecond, offeredPerSecond, counts, main, percentiles, seconds, peakPeers, cost, generator } =
    result;
  const { messagesOfferedPerSecond, messagesAchievedPerSecond } = result;
  const times = percentiles[main];
  const share = percent(ratioOf(achievedPerSecond, offeredPerSecond));
  const sessions: Figure = {
    label: "sessions achieved",
    value: rate(achievedPerSecond),
    note: offeredPerSecond === null ? `${amount(counts.done)} in all` : `${share} of ${rate(offeredPerSecond)} offered`,
  };
  const messages = counts.received > 0 && {
    label: "messages",
    value: rate(messagesAchievedPerSecond ?? ratioOf(counts.received, seconds)),
    note:
      messagesOfferedPerSecond === null
        ? `${amount(counts.received)} received`
        : `${percent(ratioOf(messagesAchievedPerSecond ?? 0, messagesOfferedPerSecond))} of ${rate(messagesOfferedPerSecond)} offered`,
  };
  const faults = FAULTS.filter((fault) => counts[fault] > 0).map((fault) => `${amount(counts[fault])} ${fault}`);
  const figures: (Figure | false | null)[] = [
    ...(main === "message" ? [messages, sessions] : [sessions, messages]),
    { label: `${main}, median`, value: duration(times?.p50), note: `90 % within ${duration(times?.p90)}` },
    {
      label: `${main}, p99`,
      value: duration(times?.p99),
      note: `p99.9 ${duration(times?.p999)}, max ${duration(times?.max)}; in the tester's own queue ${duration(generator.queue.p99)}`,
    },
    { label: "sessions failed", value: amount(counts.failed), note: `${amount(errorsOf(result))} errors` },
    {
      label: "messages at fault",
      value: amount(FAULTS.reduce((sum, fault) => sum + counts[fault], 0)),
      note: faults.join(", ") || `${amount(counts.received)} came as they were sent`,
    },
    { label: "peers at once", value: amount(peakPeers), note: "at the peak" },
    ...(cost ? expenseOf(cost) : []),
  ];
  return figures.filter((figure) => figure !== false && figure !== null);
}

/** Only what was measured: a message where no session is what it is about, and memory where peers stay. */
function expenseOf(cost: NonNullable<Result["cost"]>): Figure[] {
  const { cpuMicrosPerSession, cpuMicrosPerMessage, sessionsPerCpuSecond, residentBytesPerPeer, kernelBytesPerPeer } =
    cost;
  const figures: (Figure | false)[] = [
    cpuMicrosPerSession !== null && {
      label: "CPU per session",
      value: duration(cpuMicrosPerSession),
      note: `${amount(sessionsPerCpuSecond)} per CPU second`,
    },
    cpuMicrosPerSession === null &&
      cpuMicrosPerMessage !== null && {
        label: "CPU per message",
        value: duration(cpuMicrosPerMessage),
        note: `${duration(cost.cpuSeconds * 1e6)} in all`,
      },
    residentBytesPerPeer !== null && {
      label: "memory per peer",
      value: size(residentBytesPerPeer),
      note: kernelBytesPerPeer === null ? "of the process" : `and ${size(kernelBytesPerPeer)} in the kernel`,
    },
  ];
  return figures.filter((figure) => figure !== false);
}

/** What casts doubt on the figures or on the relay, as sentences; none where all is well. */
export function warningsOf(result: Result): string[] {
  const { interrupted, seconds, generator, expectations, counts, main, percentiles, troubles, scenario, cost, errors } =
    result;
  const missed = expectations.filter(({ isMet }) => !isMet).length;
  const times = percentiles[main];
  const missing = counts.meant - counts.sent;
  const warnings: (string | false)[] = [
    ...troubles,
    interrupted && `Interrupted after ${duration(seconds * 1e6)}: these figures are of that part only.`,
    generator.isBottleneck &&
      `The generator was the bottleneck: its busiest worker used ${percent(generator.load)} of a core, was up to ` +
        `${duration(generator.lag)} late (p99), and let what came wait ${duration(generator.queue.p99)} (p99), so these ` +
        "times are partly its own. Use more workers, another machine or a lower rate.",
    NO_PORT_CODES.some((code) => Object.hasOwn(errors, `connect:${code}`)) &&
      "This machine ran out of ports to connect from, or has not the address of --source: give several --source, or several URLs.",
    times !== undefined &&
      times.failed > 0 &&
      `${amount(times.failed)} of the ${amount(times.count)} times of ${main} are of what failed, and count as the time-out.`,
    ...FAULTS.map(
      (fault) => counts[fault] > 0 && `${amount(counts[fault])} of ${amount(counts.sent)} messages were ${fault}.`,
    ),
    counts.dropped > 0 && `${amount(counts.dropped)} pairs that had been ready were lost.`,
    missing > 0 &&
      `${amount(missing)} of ${amount(counts.meant)} messages were not sent, as ` +
        `${counts.failed > 0 ? "their pairs were not there (any more)" : "the tester did not get to them in time"}.`,
    counts.stranded > 0 && `${amount(counts.stranded)} of ${amount(counts.thrown)} pairs did not come back.`,
    scenario === "storm" &&
      !interrupted &&
      counts.thrown === 0 &&
      "There was no storm: no pair was there to be cut off.",
    ...Object.entries(cost?.leftOut ?? {}).map(([name, why]) => `${LEFT_OUT[name] ?? name} is left out: ${why}.`),
    missed > 0 && `${missed} of ${expectations.length} expectations not met.`,
  ];
  return warnings.filter((warning) => warning !== false);
}

/** What a figure that is left out is called. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  residentBytesPerPeer: "Resident memory per peer",
  kernelBytesPerPeer: "Kernel memory per peer",
};

/** The percentiles of each time that was measured, in the order of `measuredTimes`. */
export function timesTable(result: Result): Table {
  const rows = measuredTimes(result).map(({ name, times }) => [
    name,
    ...[times.p50, times.p90, times.p95, times.p99, times.p999, times.max, times.mean].map(duration),
    amount(times.count),
    amount(times.failed),
  ]);
  const { queue } = result.generator;
  const own = ["own queue", duration(queue.p50), NOTHING, NOTHING, duration(queue.p99), NOTHING, duration(queue.max)];
  const head = ["time", "p50", "p90", "p95", "p99", "p99.9", "max", "mean", "count", "failed"];
  const all = rows.length > 0 ? [...rows, [...own, NOTHING, NOTHING, NOTHING]] : [];
  return { title: "Times", head, rows: all, figures: 9 };
}

/** The other tables, those that have rows, in the order in which they are read. */
export function tablesOf(result: Result): Table[] {
  const tables = [countsTable, stormsTable, errorsTable, costTable, generatorTable, optionsTable, expectationsTable];
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
  const counted = (name: string, count: number) => [name, amount(count), rate(ratioOf(count, seconds))];
  const some = (name: string, count: number) => (count > 0 ? [counted(name, count)] : []);
  const rows = [
    counted("sessions offered", counts.offered),
    counted("sessions started", counts.started),
    counted("sessions done", counts.done),
    counted("sessions failed", counts.failed),
    ...some("pairs lost that had been ready", counts.dropped),
    ...some("pairs cut off by storms", counts.thrown),
    ...some("pairs that came back", counts.returned),
    ...some("pairs that did not come back", counts.stranded),
    ...some("messages offered", counts.meant),
    counted("messages sent", counts.sent),
    counted("messages received", counts.received),
    ...FAULTS.flatMap((fault) => some(`messages ${fault}`, counts[fault])),
    ...some("messages that came after they were lost", counts.late),
    ...some("messages unfinished at their pair's end", counts.unfinished),
    ["bytes received", size(counts.bytes), seconds > 0 ? `${size(counts.bytes / seconds)}/s` : NOTHING],
    ...some("hostile acts", counts.hostile),
    ["peers at once", amount(peakPeers), ""],
  ];
  return { title: "Counts", head: ["count", "in all", "a second"], rows, figures: 2 };
}

function stormsTable({ storms }: Result): Table {
  const seconds = (value: number | null) => (value === null ? "never" : duration(value * 1e6));
  const rows = storms.map(({ pairs, back }, i) => [
    amount(i + 1),
    amount(pairs),
    ...[back.p50, back.p95, back.p99, back.p100].map(seconds),
  ]);
  const head = ["storm", "pairs", "50 % back", "95 % back", "99 % back", "all back"];
  return { title: "Storms, from the cut", head, rows, figures: 5 };
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

function costTable({ cost, scenario }: Result): Table {
  const row = (name: string, value: number | null, write: (value: number) => string) =>
    value === null ? [] : [[name, write(value)]];
  const rows = cost
    ? [
        ["CPU", duration(cost.cpuSeconds * 1e6)],
        ...row("CPU per session", cost.cpuMicrosPerSession, duration),
        ...row("CPU per message", cost.cpuMicrosPerMessage, duration),
        ...row("sessions per CPU second", cost.sessionsPerCpuSecond, amount),
        ["resident memory before", size(cost.residentBytesBefore)],
        ["resident memory at the peak", size(cost.residentBytesPeak)],
        ...row("resident memory per peer", cost.residentBytesPerPeer, size),
        ...row("kernel memory per peer, both ends where local", cost.kernelBytesPerPeer, size),
        ...(isPairs(scenario) ? [] : [[`memory per peer, left out as peers come and go in ${scenario}`, NOTHING]]),
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
    [
      "own queue (p50, p99, max)",
      [generator.queue.p50, generator.queue.p99, generator.queue.max].map(duration).join(", "),
    ],
    ["machine", `${machine.cpu}, ${amount(machine.cores)} cores`],
    ["software", `Linux ${machine.kernel}, Bun ${machine.bun}`],
  ];
  return { title: "The generator", head: [], rows, figures: 0 };
}

function optionsTable({ options }: Result): Table {
  const rows = Object.entries(options).map(([name, given]) => [name, optionText(given)]);
  return { title: "Options", head: [], rows, figures: 0 };
}
