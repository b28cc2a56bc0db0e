/**
 * The slowest messages at half load, of the relay beside the hardest rival, in turns: how the samples are taken, and the
 * table of docs/BENCHMARKS.md. It starts nothing itself.
 */
import { amount, duration, percent } from "../src/load/figures.ts";
import type { Result } from "../src/load/result.ts";
import { SERVERS, type ServerName } from "./servers.ts";
import { figureTable, type Row, ratioTable } from "./tables.ts";

export const TAIL_ROUNDS = 10;
const PAIRS = 200;
/** Messages a second from each peer with which half load is looked for. */
const FIRST_RATE = 50;
/** Half load: so much of its core the relay uses, unless the load tester would use more than so much of its own. */
const RELAY_SHARE = 0.5;
const TESTER_SHARE = 0.7;
/** Where the load tester is the bottleneck all the same, since a machine does other things too, this part of it is tried. */
const LOWER = 0.7;

/** One run against a freshly started server. */
export interface TailSample {
  readonly server: ServerName;
  readonly round: number;
  readonly result: Result;
}

/** @returns the load tester's options. @param rate messages a second from each peer */
export function talk(rate: number, seconds: number): string[] {
  return ["relay", "--pairs", `${PAIRS}`, "--message-rate", `${rate}`, "--duration", `${seconds}s`];
}

/** Messages a second from each peer that are half load for the relay. */
export async function halfLoad(measured: (rate: number) => Promise<Result>): Promise<number> {
  const result = await measured(FIRST_RATE);
  const share = shareOf(result) ?? RELAY_SHARE;
  const wanted = FIRST_RATE * Math.min(RELAY_SHARE / share, TESTER_SHARE / result.generator.load);
  let rate = Math.max(1, Math.floor(wanted));
  while (rate > 1 && (await measured(rate)).generator.isBottleneck) rate = Math.floor(rate * LOWER);
  return rate;
}

/** What of a core the server used for its messages. */
function shareOf({ cost, messagesAchievedPerSecond }: Result): number | null {
  const micros = cost?.cpuMicrosPerMessage ?? null;
  return micros === null || messagesAchievedPerSecond === null ? null : (micros * messagesAchievedPerSecond) / 1e6;
}

/** The block of the page. */
export function tailOf(samples: readonly TailSample[]): string {
  const names = [...new Set(samples.map(({ server }) => server))];
  if (!names.includes("relay") || names.length < 2) return "No rival could be measured beside it.";
  const columns = Object.fromEntries(names.map((name) => [name, SERVERS[name].title]));
  const row = (label: string, write: Row["write"], read: (result: Result) => number | null): Row => {
    const of = (name: ServerName) => samples.filter(({ server }) => server === name).map(({ result }) => read(result));
    return { label, better: "less", write, values: Object.fromEntries(names.map((name) => [name, of(name)])) };
  };
  const time = (label: string, name: "p50" | "p99" | "p999") =>
    row(label, duration, ({ percentiles }) => percentiles.message?.[name] ?? null);
  const times = [
    time("median time of a message", "p50"),
    time("99th percentile", "p99"),
    time("99.9th percentile", "p999"),
  ];
  const load = [
    row("the server's processor, of a core", percent, shareOf),
    row("the load tester's own queue, 99th percentile", duration, ({ generator }) => generator.queue.p99),
  ];
  const offered = samples[0]?.result.messagesOfferedPerSecond ?? 0;
  const rounds = samples.filter(({ server }) => server === "relay").length;
  return [
    `Messages a second: ${amount(Math.round(offered))}; rounds: ${rounds}.`,
    figureTable(columns, [...times, ...load]),
    "How many times better, round by round:",
    ratioTable(columns, times),
  ].join("\n\n");
}
