/**
 * What is done with results that were written by --json: merge, compare; and find, which runs many. It reads files and
 * gives text and exit codes; what is printed and written is the front's business.
 */
import { ConfigError, readOptions } from "../program/options.ts";
import { comparison, differences, doubtsOf } from "./compare.ts";
import { type Asked, FIND_OPTIONS, isPairs, mostMessageRate, OPTIONS, readAsked } from "./config.ts";
import { type Expectation, judge, readExpectation } from "./expect.ts";
import { cut, duration, printable } from "./figures.ts";
import { type Found, foundText, type Step, search } from "./find.ts";
import { MERGE_OPTIONS } from "./manual.ts";
import { merged } from "./merge.ts";
import { EXIT, exitCodeOf } from "./outcome.ts";
import resultSchema from "./result.schema.json" with { type: "json" };
import { type Result, SCHEMA } from "./result.ts";
import { UNKNOWN, wrongIn } from "./schema.ts";
import { alignedText } from "./summary.ts";

/** What find goes by where no --expect is given. */
const USUAL_EXPECTATIONS = ["failed=0", "achieved>=95%"];
const USUAL_OF_MESSAGES = ["lost=0", "messages.achieved>=95%"];
/** Between two runs, so that what is left of one is not in the next, in ms. */
const REST_MS = 500;

/** Of what is wrong with a file, in its message. */
const SHOWN_LENGTH = 200;

/** Files first, then options. */
function split(args: readonly string[]): [files: readonly string[], flags: readonly string[]] {
  const first = args.findIndex((arg) => arg.startsWith("-"));
  return first < 0 ? [args, []] : [args.slice(0, first), args.slice(first)];
}

/** @throws ConfigError where a file is no result of this version's kind, or one of them is given twice */
async function read(files: readonly string[]): Promise<Result[]> {
  const twice = files.find((file, i) => files.indexOf(file) < i);
  if (twice !== undefined) throw new ConfigError(`${JSON.stringify(twice)} is given twice`);
  const results: Result[] = [];
  for (const file of files) {
    const refused = (why: string) => new ConfigError(`${JSON.stringify(file)} ${why}`);
    const result = await Bun.file(file)
      .json()
      .catch(() => {
        throw refused("can't be read, or is no JSON");
      });
    if (result?.schema !== SCHEMA)
      throw refused(`is not what --json of this version writes: its schema is not ${SCHEMA}`);
    const wrong = wrongIn(result, resultSchema).find((line) => !line.endsWith(UNKNOWN));
    if (wrong !== undefined) throw refused(`is not what --json writes: ${cut(wrong, SHOWN_LENGTH)}`);
    results.push(result as Result);
  }
  return results;
}

/** Of merge: one result, and where it goes. */
export async function merge(args: readonly string[]) {
  const [files, flags] = split(args);
  const outputs = readOptions(MERGE_OPTIONS, flags, {});
  const expected = outputs.expect.map(readExpectation);
  const [first, ...others] = await read(files);
  if (first === undefined) throw new ConfigError("merge takes the files that --json wrote");
  if (others.some(({ scenario }) => scenario !== first.scenario))
    throw new ConfigError("merge takes results of one scenario only");
  const measured = merged([first, ...others]);
  const judged = { ...measured, expectations: expected.map((expectation) => judge(expectation, measured)) };
  const isBroken = [first, ...others].some(({ exitCode }) => exitCode === EXIT.broken);
  return { outputs, result: { ...judged, exitCode: exitCodeOf(judged, isBroken) } satisfies Result };
}

/** Of compare: what to print. */
export async function compare(args: readonly string[]): Promise<string> {
  const results = await read(args);
  const rows = comparison(results).map(({ name, first, second, ratio }) => [name, first, second, ratio]);
  const turns = results.length / 2;
  const note =
    turns > 1 ? `median of ${turns} turns (least to most)` : "one turn, so without a spread: A B A B has one";
  const warnings = [
    ...differences(results).map((line) => `they were asked for differently: ${line}`),
    ...results.flatMap((result, i) => doubtsOf(result).map((doubt) => `${args[i]} ${doubt}`)),
  ].map((line) => `WARNING: ${printable(line)}\n`);
  return `${results[0]?.scenario}: ${note}\n${alignedText([["", "A", "B", "B / A"], ...rows], 3)}${warnings.join("")}`;
}

/** What find needs of who runs it. */
export interface Runner {
  /** Of this machine. */
  readonly cores: number;
  run(asked: Asked, expected: readonly Expectation[]): Promise<Result>;
  /** Tells of a step. */
  say(line: string): void;
  /** @throws ConfigError where a file, by its option, can't be written */
  refuseUnwritable(files: Readonly<Record<string, string | null>>): void;
}

/** Of find: what to print, what --json gets, and the exit code. */
export async function find(args: readonly string[], { cores, run, say, refuseUnwritable }: Runner) {
  const own = Object.values(FIND_OPTIONS).map(({ flag }) => flag as string);
  const ownArgs: string[] = [];
  const others: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (own.includes(arg)) ownArgs.push(arg, ...args.slice(++i, i + 1));
    else (own.some((flag) => arg.startsWith(`${flag}=`)) ? ownArgs : others).push(arg);
  }
  const options = readOptions(FIND_OPTIONS, ownArgs, {});
  const given = readAsked(others, cores);
  const isTalk = given.plan.scenario === "relay";
  const searched = isTalk ? "message-rate" : "rate";
  const [set] = [searched, ...(isTalk ? [] : ["concurrency"])].filter((name) => name in given.options);
  if (set !== undefined) throw new ConfigError(`--${set} is not given with find, which sets --${searched}; see --from`);
  const { json, report, hdr } = given.plan;
  if (report !== null || hdr !== null) throw new ConfigError("find writes --json only");
  refuseUnwritable({ "--json": json });
  const texts = given.plan.expect.length > 0 ? given.plan.expect : isTalk ? USUAL_OF_MESSAGES : USUAL_EXPECTATIONS;
  const expected = texts.map(readExpectation);

  let isBroken = false;
  let hasRun = false;
  async function tried(rate: number, repeat: number): Promise<Step | null> {
    const askedArgs = [...others, `--${searched}`, `${rate}`];
    const asked = readAsked(askedArgs, cores);
    const result = await run({ ...asked, plan: { ...asked.plan, json: null } }, expected).catch((failure) => {
      if (!hasRun || !(failure instanceof ConfigError)) throw failure;
      say(`WARNING: The search was ended: ${failure.message}.\n`); // the process of --pid is gone by now, say
      return null;
    });
    hasRun = true;
    isBroken = result === null || result.exitCode === EXIT.broken;
    if (result === null || result.interrupted || isBroken) return null;
    const times = result.percentiles[result.main];
    const missed = result.expectations.filter(({ isMet }) => !isMet).map(({ text }) => text);
    const step: Step = {
      ...{ repeat, rate, holds: missed.length === 0 && result.exitCode !== EXIT.nothing, missed },
      achievedPerSecond: result.messagesAchievedPerSecond ?? result.achievedPerSecond,
      ...{ p50: times?.p50 ?? null, p99: times?.p99 ?? null, isBottleneck: result.generator.isBottleneck },
    };
    const verdict = step.holds ? "holds" : `fails: ${missed.join(", ") || "nothing was done"}`;
    say(`${searched}=${rate} p50=${duration(step.p50)} p99=${duration(step.p99)} ${verdict}\n`);
    await Bun.sleep(REST_MS);
    return step;
  }
  const most = isTalk ? mostMessageRate(given.plan.pairs) : Number(OPTIONS.rate.max);
  const found: Found = await search({ ...options, most }, tried);
  const unit = isTalk
    ? "messages a second from each peer"
    : isPairs(given.plan.scenario)
      ? "pairs a second"
      : "sessions a second";
  const isWhole = found.rates.length === options.repeats;
  return {
    text: foundText(found, unit),
    json,
    found: { schema: SCHEMA, of: searched, scenario: given.plan.scenario, expectations: texts, ...found },
    exitCode: isBroken ? EXIT.broken : !isWhole ? EXIT.interrupted : found.spread === null ? EXIT.missed : EXIT.good,
  };
}
