/**
 * What the load tester is asked to do: its scenarios and options in one table, read into a plan that its workers
 * understand. Pure: it reads only what it is given.
 */
import {
  ConfigError,
  chosenOptions,
  helpFor,
  type OptionTable,
  readOptions,
  type ValuesOf,
} from "../program/options.ts";
import type { TimeName } from "./result.ts";

export const SCENARIOS = {
  handshake: { main: "session", what: "whole sessions, one after another: connect, join, offer, answer, candidates" },
  hold: { main: "ready", what: "pairs that connect and then only answer the relay's pings" },
  relay: { main: "message", what: "pairs that send each other messages at a steady rate" },
  storm: { main: "return", what: "pairs that are all cut off at once and come back" },
  hostile: { main: "session", what: "whole sessions, amid peers that misbehave" },
} as const satisfies Record<string, { main: TimeName; what: string }>;
export type ScenarioName = keyof typeof SCENARIOS;

/** Whether a scenario is about a number of pairs that stay, and not about sessions that begin and end. */
export function isPairs(scenario: ScenarioName): boolean {
  return scenario === "hold" || scenario === "relay" || scenario === "storm";
}

/** Sizes and numbers of messages are those of a session between two browsers over a data channel. */
export const OPTIONS = {
  rate: {
    flag: "--rate",
    kind: "count",
    default: "0",
    min: "0",
    max: "1000000",
    what: "sessions (or pairs) begun a second, whatever becomes of them; 0: as fast as others end",
  },
  concurrency: {
    flag: "--concurrency",
    kind: "count",
    default: "50",
    min: "1",
    max: "1000000",
    what: "without --rate: sessions (or pairs that connect) at once",
  },
  sessions: {
    flag: "--sessions",
    kind: "count",
    default: "0",
    min: "0",
    max: "1000000000",
    what: "sessions in all, however long that takes; 0: as many as --duration leaves room for",
  },
  durationMs: {
    flag: "--duration",
    kind: "ms",
    default: "10s",
    min: "100ms",
    max: "24h",
    what: "how long sessions are begun, or pairs are kept once they are all connected",
  },
  rampMs: {
    flag: "--ramp",
    kind: "ms",
    default: "0s",
    min: "0s",
    max: "1h",
    what: "how long it takes to reach --rate or --message-rate",
  },
  timeoutMs: {
    flag: "--timeout",
    kind: "ms",
    default: "10s",
    min: "10ms",
    max: "10m",
    what: "a session that is not over (a pair that is not ready) so long after its intended start has failed",
  },
  sdpBytes: {
    flag: "--sdp",
    kind: "bytes",
    default: "572B",
    min: "100B",
    max: "1MiB",
    what: "size of an offer and of an answer",
  },
  candidates: {
    flag: "--candidates",
    kind: "count",
    default: "2",
    min: "0",
    max: "1000",
    what: "candidates that each peer sends",
  },
  candidateBytes: {
    flag: "--candidate",
    kind: "bytes",
    default: "241B",
    min: "120B",
    max: "1MiB",
    what: "size of a candidate",
  },
  pairs: {
    flag: "--pairs",
    kind: "count",
    default: "100",
    min: "1",
    max: "10000000",
    what: "pairs to hold, relay and storm with",
  },
  messageRate: {
    flag: "--message-rate",
    kind: "count",
    default: "10",
    min: "1",
    max: "1000000",
    what: "relay: messages a second from each peer",
  },
  sizeBytes: {
    flag: "--size",
    kind: "bytes",
    default: "256B",
    min: "120B",
    max: "1MiB",
    what: "relay: size of a message",
  },
  storms: { flag: "--storms", kind: "count", default: "1", min: "1", max: "1000", what: "storm: how often" },
  jitterMs: {
    flag: "--jitter",
    kind: "ms",
    default: "0s",
    min: "0s",
    max: "10m",
    what: "storm: the time over which peers come back, at random; 0s: all at once",
  },
  share: {
    flag: "--share",
    kind: "count",
    default: "20",
    min: "0",
    max: "90",
    what: "hostile: how many of a hundred arrivals are hostile",
  },
  workers: {
    flag: "--workers",
    kind: "count",
    default: "1",
    min: "1",
    max: "256",
    what: "processes that make the load; each keeps at most one core busy",
  },
  source: {
    flag: "--source",
    kind: "list",
    default: "none",
    what: "an address of this machine to connect from; may be repeated, for more ports or more addresses",
  },
  header: {
    flag: "--header",
    kind: "list",
    default: "none",
    what: "a line such as 'Origin: https://example.org' to add to every upgrade; may be repeated",
  },
  insecure: {
    flag: "--insecure",
    kind: "switch",
    default: "off",
    what: "take any certificate",
  },
  pid: {
    flag: "--pid",
    kind: "count",
    default: "0",
    min: "0",
    max: "4194304",
    what: "the relay's process on this machine: what it spends is measured; 0: none",
  },
  expect: {
    flag: "--expect",
    kind: "list",
    default: "none",
    what: "what has to be so at the end, or the exit code is 1; may be repeated",
  },
  json: { flag: "--json", kind: "file", default: "off", what: "file for everything that was measured" },
  report: { flag: "--report", kind: "file", default: "off", what: "file for a page with plots of it" },
} as const satisfies OptionTable;

/** The options' values, in the units that their names say. */
export type Config = ValuesOf<typeof OPTIONS>;

/** All that a worker has to know. */
export interface Plan extends Config {
  readonly scenario: ScenarioName;
  readonly targets: readonly string[];
  /** Which worker of how many this is. */
  readonly worker: number;
}

/** Everything that was asked for. */
export interface Asked {
  readonly plan: Plan;
  /** The options as they were given. */
  readonly options: Readonly<Record<string, string>>;
}

/**
 * Reads `SCENARIO URL... [OPTIONS]`.
 * @throws ConfigError where that can't be run
 */
export function readAsked(args: readonly string[]): Asked {
  const scenario = Object.keys(SCENARIOS).find((name) => name === args[0]) as ScenarioName | undefined;
  if (scenario === undefined)
    throw new ConfigError(`scenario ${JSON.stringify(args[0] ?? "")} is not ${Object.keys(SCENARIOS).join(" or ")}`);
  const rest = args.slice(1);
  const first = rest.findIndex((arg) => arg.startsWith("-"));
  const [targets, flags] = first < 0 ? [rest, []] : [rest.slice(0, first), rest.slice(first)];
  if (targets.length === 0) throw new ConfigError("no URL is given; such as ws://127.0.0.1:8000");
  for (const target of targets)
    if (!/^wss?:$/.test(URL.parse(target)?.protocol ?? ""))
      throw new ConfigError(`target ${JSON.stringify(target)} is not a ws:// or wss:// URL`);
  const config = readOptions(OPTIONS, flags, {});
  const options = chosenOptions(OPTIONS, flags, {});
  if ("rate" in options && "concurrency" in options)
    throw new ConfigError("--rate and --concurrency are not given together: one follows from the other");
  for (const header of config.header)
    if (!/^[!-9;-~]+: [ -~]*$/.test(header))
      throw new ConfigError(`--header ${JSON.stringify(header)} is not a line such as 'Name: value'`);
  const plan = { ...config, scenario, targets, worker: 0 };
  refuseIdleWorkers(plan);
  return { plan, options };
}

function refuseIdleWorkers({ scenario, workers, rate, concurrency, pairs, sessions }: Plan): void {
  const bounds: [string, number][] = [];
  if (isPairs(scenario)) bounds.push(["--pairs", pairs]);
  else if (sessions > 0) bounds.push(["--sessions", sessions]);
  if (rate === 0) bounds.push(["--concurrency", concurrency]);
  for (const [flag, most] of bounds)
    if (workers > most) throw new ConfigError(`--workers "${workers}" is more than ${flag} "${most}"`);
}

/** What falls to one worker; together they do what was asked. */
export function shareOf(plan: Plan, worker: number): Plan {
  const part = (whole: number) => Math.floor(whole / plan.workers) + (worker < whole % plan.workers ? 1 : 0);
  return {
    ...plan,
    worker,
    rate: plan.rate / plan.workers,
    concurrency: part(plan.concurrency),
    sessions: part(plan.sessions),
    pairs: part(plan.pairs),
  };
}

export function helpText(name: string, version: string): string {
  const scenarios = Object.entries(SCENARIOS).map(([scenario, { what }]) => `  ${scenario.padEnd(11)}${what}\n`);
  return `${name} ${version}: loads a signaling relay over its public wire, and measures it.

Usage:
  ${name} SCENARIO URL... [OPTIONS]
  ${name} --help
  ${name} --version

Scenarios:
${scenarios.join("")}
Several URLs are taken in turns, a session at a time: on one machine, 127.0.0.1 and 127.0.0.2 have ports of their own.
A name in a URL is looked up for each connection, which an address saves. With wss: the load costs as much as serving it.
Times count from when things were meant to begin. Exit codes: 0, 1 (an expectation was not met, or nothing could be
connected), 2 (bad options).

Options, and in brackets the default and the bounds:
${helpFor(OPTIONS, false)}`;
}
