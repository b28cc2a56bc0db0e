/** Which figures of the results make which row of which table of docs/BENCHMARKS.md. Pure. */
import { amount, duration, percent, size } from "../src/load/figures.ts";
import type { Result, TimeName } from "../src/load/result.ts";
import { type Limit, NAMES, type Sample, SESSION_RATE } from "./measurements.ts";
import type { Row } from "./tables.ts";

/** What is made a row of a table: a figure of one measurement's results. */
interface Figure extends Pick<Row, "label" | "better" | "write"> {
  readonly measurement: string;
  readonly of: (result: Result) => number | null;
}

const CPU_PER_SESSION = (result: Result) => result.cost?.cpuMicrosPerSession ?? null;
const BYTES_PER_PEER = (result: Result) => result.cost?.residentBytesPerPeer ?? null;

/** The servers against each other, by what matters most. `growth` is as in Extent. */
export function comparison(samples: readonly Sample[], growth: readonly number[]): Row[] {
  const mostIdle = NAMES.silent(growth.at(-1) ?? 0);
  const sessionTimes = (percentile: "p50" | "p99", label: string) => [
    time(NAMES.times, "ready", percentile, `${label} time until both peers are ready`),
    time(NAMES.times, "session", percentile, `${label} time of a whole session`),
  ];
  return rowsOf(samples, [
    {
      ...{ measurement: NAMES.sessions, label: "sessions per CPU-second", better: "more", write: amount },
      of: (result) => result.cost?.sessionsPerCpuSecond ?? null,
    },
    {
      ...{ measurement: NAMES.times, label: `CPU per session, at ${SESSION_RATE} a second`, better: "less" },
      ...{ write: duration, of: CPU_PER_SESSION },
    },
    cpuPerMessage(NAMES.messages, "CPU per message"),
    { measurement: mostIdle, label: "memory per idle peer", better: "less", write: size, of: BYTES_PER_PEER },
    {
      ...{ measurement: mostIdle, label: "memory before the first peer", better: "less", write: size },
      of: (result) => result.cost?.residentBytesBefore ?? null,
    },
    {
      ...{ measurement: NAMES.sessions, label: "memory at most, as fast as it goes", better: "less", write: size },
      of: (result) => result.cost?.residentBytesPeak ?? null,
    },
    ...sessionTimes("p50", "median"),
    ...sessionTimes("p99", "99th percentile of the"),
    time(NAMES.messages, "message", "p50", "median time of a message"),
    time(NAMES.messages, "message", "p99", "99th percentile of the time of a message"),
    time(NAMES.messages, "message", "p999", "99.9th percentile of the time of a message"),
  ]);
}

/** How each server's figures change with the number of pairs. */
export function growthOf(samples: readonly Sample[], growth: readonly number[]): Record<string, Row[]> {
  const steps = (figure: (pairs: number, label: string) => Figure) =>
    rowsOf(
      samples,
      growth.map((pairs) => figure(pairs, `${amount(pairs)} pairs`)),
    );
  return {
    "Memory per idle peer": steps((pairs, label) => {
      return { measurement: NAMES.silent(pairs), label, better: "less", write: size, of: BYTES_PER_PEER };
    }),
    "CPU per message, each peer sending one a second": steps((pairs, label) =>
      cpuPerMessage(NAMES.talking(pairs), label),
    ),
    "Median time of a message": steps((pairs, label) => time(NAMES.talking(pairs), "message", "p50", label)),
    "99th percentile of the time of a message": steps((pairs, label) =>
      time(NAMES.talking(pairs), "message", "p99", label),
    ),
  };
}

/** What a session costs with TLS and without, and how many times more that is. */
export function tlsOf(samples: readonly Sample[]): Row[] {
  const costs = (measurement: string, label: string): Figure => {
    return { measurement, label, better: "less", write: duration, of: CPU_PER_SESSION };
  };
  const rows = rowsOf(samples, [
    costs(NAMES.sessions, "CPU per session over WS"),
    costs(NAMES.secure, "CPU per session over WSS"),
  ]);
  const [plain, secure] = rows.map(({ values }) => values);
  const times = Object.entries(plain ?? {}).map(([server, without]) => [
    server,
    without.map((cost, round) => {
      const costs = secure?.[server]?.[round] ?? null;
      return cost === null || costs === null ? null : costs / cost;
    }),
  ]);
  return [
    ...rows,
    { label: "WSS as a multiple of WS", better: "less", write: amount, values: Object.fromEntries(times) },
  ];
}

/** The largest rates, and in how many of the searches the load tester was the bottleneck: the first row is theirs. */
export function limitsOf(limits: readonly Limit[]): Row[] {
  if (limits.length === 0) return []; // a first look searches for none
  const servers = [...new Set(limits.map(({ server }) => server))];
  const row = (of: (limit: Limit) => number | null) =>
    Object.fromEntries(servers.map((name) => [name, limits.filter(({ server }) => server === name).map(of)]));
  const bottlenecks = row(({ isBottleneck }) => Number(isBottleneck));
  const share = (values: readonly (number | null)[]) => [
    values.reduce<number>((a, b) => a + (b ?? 0), 0) / values.length,
  ];
  return [
    { label: "largest rate of sessions a second", better: "more", write: amount, values: row(({ rate }) => rate) },
    {
      label: "searches in which the load tester was the bottleneck",
      ...{ better: "less", write: percent },
      values: Object.fromEntries(Object.entries(bottlenecks).map(([name, values]) => [name, share(values)])),
    },
  ];
}

/** How busy the load tester was in each measurement, and how late where it had to be in time. */
export function generatorOf(samples: readonly Sample[]): Row[] {
  const names = [...new Set(samples.map(({ measurement }) => measurement))];
  const load = (measurement: string): Figure => {
    const label = `${measurement}, of a core`;
    return { measurement, label, better: "less", write: percent, of: ({ generator }) => generator.load };
  };
  const lag = (measurement: string): Figure => {
    const label = `${measurement}, late by (99th percentile)`;
    return { measurement, label, better: "less", write: duration, of: ({ generator }) => generator.lag };
  };
  const queue = (measurement: string): Figure => {
    const label = `${measurement}, own queue (99th percentile)`;
    return { measurement, label, better: "less", write: duration, of: ({ generator }) => generator.queue.p99 };
  };
  const timed = [NAMES.times, NAMES.messages];
  return rowsOf(samples, [...names.map(load), ...timed.map(lag), ...timed.map(queue)]);
}

function cpuPerMessage(measurement: string, label: string): Figure {
  const of = ({ cost }: Result) => cost?.cpuMicrosPerMessage ?? null;
  return { measurement, label, better: "less", write: duration, of };
}

function time(measurement: string, name: TimeName, percentile: "p50" | "p99" | "p999", label: string): Figure {
  const of = ({ percentiles }: Result) => percentiles[name]?.[percentile] ?? null;
  return { measurement, label, better: "less", write: duration, of };
}

function rowsOf(samples: readonly Sample[], figures: readonly Figure[]): Row[] {
  const servers = [...new Set(samples.map(({ server }) => server))];
  return figures.map(({ measurement, of, ...row }) => {
    const valuesOf = (name: string) =>
      samples
        .filter((sample) => sample.server === name && sample.measurement === measurement)
        .sort((a, b) => a.round - b.round)
        .map(({ result }) => of(result));
    return { ...row, values: Object.fromEntries(servers.map((server) => [server, valuesOf(server)])) };
  });
}
