/**
 * What the load tester is asked to do: its scenarios and options in one table, read into a plan that its workers
 * understand. Pure: it reads only what it is given.
 */
import { isIP } from "node:net";
import { ConfigError, chosenOptions, type OptionTable, readOptions, type ValuesOf } from "../program/options.ts";
import type { TimeName } from "./result.ts";
import { LEAST_MESSAGE } from "./wire.ts";

export const SCENARIOS = {
  handshake: { main: "session", what: "whole sessions, one after another: connect, join, offer, answer, candidates" },
  hold: {
    main: "ready",
    what: "pairs that connect and then only answer the relay's pings, and ping it once at the end",
  },
  relay: { main: "message", what: "pairs that send each other messages at a steady rate" },
  storm: { main: "return", what: "pairs that are all cut off at once and come back" },
  hostile: { main: "session", what: "whole sessions, amid peers that misbehave" },
} as const satisfies Record<string, { main: TimeName; what: string }>;
export type ScenarioName = keyof typeof SCENARIOS;

/** Whether a scenario is about a number of pairs that stay, and not about sessions that begin and end. */
export function isPairs(scenario: string): boolean {
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
    what: "sessions in all, as long as some end well; 0: as many as --duration leaves room for",
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
    what: "what is not over (a pair not ready, a message not there) so long after it was meant to begin has failed",
  },
  sdpBytes: {
    flag: "--sdp",
    kind: "bytes",
    default: "572B",
    min: LEAST_MESSAGE,
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
  trickle: {
    flag: "--trickle",
    kind: "choice",
    choices: ["on", "off"],
    default: "on",
    what: "whether candidates come by and by, as browsers find them, or all at once with their offer or answer",
  },
  candidateBytes: {
    flag: "--candidate",
    kind: "bytes",
    default: "241B",
    min: LEAST_MESSAGE,
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
    min: LEAST_MESSAGE,
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
    default: "0",
    min: "0",
    max: "256",
    what: "processes that make the load, each on at most one core; auto or 0: as many as the load and the cores ask for",
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
  shard: {
    flag: "--shard",
    kind: "switch",
    default: "off",
    what: "adds ?s= and 3 hex digits to the URL, the same for both peers of a session, for balancers that go by them",
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
  pidOfPort: {
    flag: "--pid-of-port",
    kind: "count",
    default: "0",
    min: "0",
    max: "65535",
    what: "the same of the process that listens on this port of this machine; 0: none",
  },
  metrics: {
    flag: "--metrics",
    kind: "text",
    default: "off",
    what: "the URL of a relay's metrics, wherever it runs: what it says that it spends is measured",
  },
  startAt: {
    flag: "--start-at",
    kind: "text",
    default: "now",
    what: "when to begin, such as 2026-01-02T03:04:05Z: for several machines at once, whose results are then merged",
  },
  expect: {
    flag: "--expect",
    kind: "list",
    default: "none",
    what: "what has to be so at the end, such as ready.p99<50ms; the names are above; may be repeated",
  },
  json: { flag: "--json", kind: "file", default: "off", what: "file for everything that was measured" },
  report: { flag: "--report", kind: "file", default: "off", what: "file for a page with plots of it" },
  hdr: {
    flag: "--hdr",
    kind: "file",
    default: "off",
    what: "begin of the names of files, .session.hgrm and so on, for each time as HdrHistogram writes it",
  },
} as const satisfies OptionTable;

/** Of find, besides those. */
export const FIND_OPTIONS = {
  from: { flag: "--from", kind: "count", default: "100", min: "1", max: "1000000", what: "the first rate to try" },
  repeats: { flag: "--repeats", kind: "count", default: "3", min: "1", max: "20", what: "how often the rate is found" },
  precision: {
    flag: "--precision",
    kind: "count",
    default: "5",
    min: "1",
    max: "50",
    what: "how far, in percent, the least rate that failed may be above the largest that held",
  },
} as const satisfies OptionTable;

/** More messages a second, of all pairs, are more than any tester sends. */
const MOST_MESSAGES = 1_000_000;

/** The largest --message-rate for so many pairs. */
export function mostMessageRate(pairs: number): number {
  return Math.floor(MOST_MESSAGES / (2 * pairs));
}

/** Options that say where results go and how they are judged, and nothing of the load. */
export const ASIDE = ["json", "report", "hdr", "expect", "start-at", "pid"];

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

/** Words that stand for a number. */
const WORDS: Readonly<Record<string, Readonly<Record<string, string>>>> = { "--workers": { auto: "0" } };

/** The arguments, with numbers in place of words. */
function inNumbers(args: readonly string[]): string[] {
  return args.map((arg, i) => {
    const [flag = "", value] = arg.split("=", 2);
    const word = value === undefined ? undefined : WORDS[flag]?.[value];
    return word === undefined ? (WORDS[args[i - 1] ?? ""]?.[arg] ?? arg) : `${flag}=${word}`;
  });
}

/**
 * Reads `SCENARIO URL... [OPTIONS]`.
 * @param cores of this machine, for --workers auto
 * @throws ConfigError where that can't be run
 */
export function readAsked(args: readonly string[], cores = 1): Asked {
  const scenario = Object.keys(SCENARIOS).find((name) => name === args[0]) as ScenarioName | undefined;
  if (scenario === undefined)
    throw new ConfigError(`scenario ${JSON.stringify(args[0] ?? "")} is not ${Object.keys(SCENARIOS).join(" or ")}`);
  const rest = inNumbers(args.slice(1));
  const first = rest.findIndex((arg) => arg.startsWith("-"));
  const [targets, flags] = first < 0 ? [rest, []] : [rest.slice(0, first), rest.slice(first)];
  if (targets.length === 0) throw new ConfigError("no URL is given; such as ws://127.0.0.1:8000");
  for (const target of targets)
    if (!/^wss?:$/.test(URL.parse(target)?.protocol ?? ""))
      throw new ConfigError(`target ${JSON.stringify(target)} is not a ws:// or wss:// URL`);
  const config = readOptions(OPTIONS, flags, {});
  const chosen = chosenOptions(OPTIONS, flags, {});
  const options = chosen["workers"] === "0" ? { ...chosen, workers: "auto" } : chosen;
  if ("rate" in options && "concurrency" in options)
    throw new ConfigError("--rate and --concurrency are not given together: one follows from the other");
  const meters = ["pid", "pid-of-port", "metrics"].filter((name) => name in options);
  if (meters.length > 1) throw new ConfigError(`--${meters.join(" and --")} are not given together`);
  for (const header of config.header)
    if (!/^[!-9;-~]+: [ -~]*$/.test(header))
      throw new ConfigError(`--header ${JSON.stringify(header)} is not a line such as 'Name: value'`);
  for (const source of config.source)
    if (isIP(source) === 0) throw new ConfigError(`--source ${JSON.stringify(source)} is not an IP address`);
  for (const target of targets)
    for (const source of config.source)
      if (isIP(source) + familyOf(target) === 10)
        throw new ConfigError(`--source ${JSON.stringify(source)} is not of the kind of address that ${target} has`);
  if (config.metrics !== "off" && !/^https?:$/.test(URL.parse(config.metrics)?.protocol ?? ""))
    throw new ConfigError(`--metrics ${JSON.stringify(config.metrics)} is not an http:// or https:// URL, or off`);
  if (config.shard)
    for (const target of targets)
      if (URL.parse(target)?.searchParams.has("s"))
        throw new ConfigError(`--shard: target ${JSON.stringify(target)} has its own ?s=`);
  if (config.startAt !== "now" && !(ZONED_TIME.test(config.startAt) && Date.parse(config.startAt)))
    throw new ConfigError(`--start-at ${JSON.stringify(config.startAt)} is not a time such as 2026-01-02T03:04:05Z`);
  if (scenario === "relay" && config.messageRate > mostMessageRate(config.pairs))
    throw new ConfigError(
      `--message-rate "${config.messageRate}" is more than ${mostMessageRate(config.pairs)}, so more than ${MOST_MESSAGES} messages a second of --pairs "${config.pairs}"`,
    );
  const asked = { ...config, scenario, targets, worker: 0 };
  const plan = { ...asked, workers: config.workers || fittingWorkers(asked, cores) };
  refuseIdleWorkers(plan);
  return { plan, options };
}

/** 4 or 6; 0 where the URL has a name. */
function familyOf(target: string): number {
  return isIP(URL.parse(target)?.hostname.replace(/^\[|\]$/g, "") ?? "");
}

/** A time that is the same one on every machine. */
const ZONED_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/** What the workers must share among them, and so be no more than. */
function bounds({ scenario, rate, concurrency, pairs, sessions }: Plan): [flag: string, most: number][] {
  const all: [string, number][] = [];
  if (isPairs(scenario)) all.push(["--pairs", pairs]);
  else if (sessions > 0) all.push(["--sessions", sessions]);
  if (rate === 0) all.push(["--concurrency", concurrency]);
  return all;
}

function refuseIdleWorkers(plan: Plan): void {
  for (const [flag, most] of bounds(plan))
    if (plan.workers > most) throw new ConfigError(`--workers "${plan.workers}" is more than ${flag} "${most}"`);
}

/** What one worker does with a core to spare, of sessions and of messages a second, and how many pairs it holds. */
const RATE_OF_A_WORKER = 1_000;
const MESSAGES_OF_A_WORKER = 8_000;
const PAIRS_OF_A_WORKER = 5_000;

/** One core is left for a relay on this machine; a load that one worker can make is made by one. */
function fittingWorkers(plan: Plan, cores: number): number {
  const isHere = plan.targets.some((target) => /^(localhost|127\..*|\[::1\])$/.test(URL.parse(target)?.hostname ?? ""));
  const needs = isPairs(plan.scenario)
    ? Math.max(
        plan.pairs / PAIRS_OF_A_WORKER,
        plan.scenario === "relay" ? (2 * plan.pairs * plan.messageRate) / MESSAGES_OF_A_WORKER : 0,
      )
    : plan.rate
      ? plan.rate / RATE_OF_A_WORKER
      : cores;
  const most = Math.min(Math.max(1, cores - (isHere ? 1 : 0)), ...bounds(plan).map(([, bound]) => bound));
  return Math.max(1, Math.min(most, Math.ceil(needs)));
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
