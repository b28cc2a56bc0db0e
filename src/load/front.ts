/**
 * The load tester's front door: arguments → plan → run → signals → exit, and the same for its workers, which are this
 * program again. The only file of it that touches process.*. The exit codes are in outcome.ts.
 */
import { closeSync, openSync } from "node:fs";
import { cpus } from "node:os";
import { version } from "../../package.json" with { type: "json" };
import { versionLine } from "../program/build.ts";
import { ITSELF } from "../program/completions.ts";
import { unknownWord } from "../program/environment.ts";
import { ConfigError } from "../program/options.ts";
import { openFileLimit } from "../program/resources.ts";
import { compare, find, merge } from "./commands.ts";
import { type Asked, isPairs, readAsked } from "./config.ts";
import { Coordinator } from "./coordinator.ts";
import { Display } from "./display.ts";
import { type Expectation, expectationNames, judge, readExpectation } from "./expect.ts";
import findSchema from "./find.schema.json" with { type: "json" };
import { hdrText } from "./hdr.ts";
import { histogramOf } from "./histogram.ts";
import { helpText, LOAD, NAME } from "./manual.ts";
import { meterFor } from "./meter.ts";
import { EXIT, exitCodeOf } from "./outcome.ts";
import { type Library, loadLibrary, reportOf } from "./report.ts";
import resultSchema from "./result.schema.json" with { type: "json" };
import type { Result } from "./result.ts";
import { summaryOf } from "./summary.ts";
import type { Wire } from "./wire.ts";
import { type Order, type Report, Worker } from "./worker.ts";

/** Instead of a scenario: this process is a worker, and takes its orders from the one that started it. */
const WORKER = "worker";
/** Files that a worker has open besides its sockets. */
const OWN_FILES = 100;
/** Where no limit is known. */
const MANY_PEERS = 1_000_000;
/** Where the output is no terminal. */
const COLUMNS = 80;

/** Runs the program with what `process.argv` says. @param wire what the relays speak */
export async function front(wire: Wire): Promise<void> {
  const args = process.argv.slice(2);
  if (args[0] === WORKER && process.send) return work(wire);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupt);
  process.stdout.on("error", () => {}); // of what matters it is told where it is printed
  try {
    if (args.includes("--help") || args.includes("-h") || args[0] === "help")
      return print(helpText(version, expectationNames()));
    if (args.includes("--version") || args.includes("-V")) return print(`${versionLine(NAME)}\n`);
    process.exit(await obey(args));
  } catch (failure) {
    if (!(failure instanceof ConfigError)) throw failure;
    complain(failure.message);
    process.exit(EXIT.refused);
  }
}

/** Does what the first word says. @returns the exit code */
async function obey(args: readonly string[]): Promise<number> {
  const [word, ...rest] = args;
  switch (word) {
    case "find": {
      const { text, json, found, exitCode } = await find(rest, {
        cores: cpus().length,
        run,
        say: print,
        refuseUnwritable,
      });
      const written = [await printWhole(text), await writeOut("--json", json, () => `${JSON.stringify(found)}\n`)];
      return written.every(Boolean) ? exitCode : EXIT.broken;
    }
    case "merge": {
      const { outputs, result } = await merge(rest);
      refuseUnwritable(filesOf(outputs));
      return await writeAll(result, { ...outputs, library: outputs.report === null ? null : await plottingLibrary() });
    }
    case "compare":
      return (await printWhole(await compare(rest))) ? EXIT.good : EXIT.broken;
    case "schema":
      if (rest.length > 1 || (rest[0] !== undefined && rest[0] !== "find"))
        throw new ConfigError(`schema takes nothing, or find, and not ${JSON.stringify(rest.join(" "))}`);
      print(`${JSON.stringify(rest[0] === "find" ? findSchema : resultSchema, null, 2)}\n`);
      return EXIT.good;
    case "print":
      print(itself(rest[0]));
      return EXIT.good;
  }
  const words = LOAD.commands.map(({ name }) => name);
  if (word !== undefined && !word.startsWith("-") && !words.includes(word))
    throw new ConfigError(unknownWord("unknown command", word, words));
  const asked = readAsked(args, cpus().length);
  const { json, report, hdr, expect } = asked.plan;
  const expected = expect.map(readExpectation);
  refuseUnwritable(filesOf({ json, report, hdr }));
  const library = report === null ? null : await plottingLibrary();
  return await writeAll(await run(asked, expected), { json, report, hdr, library });
}

/** Its manual page, or what a shell reads. @throws ConfigError where it is another thing that is asked for */
function itself(what: string | undefined): string {
  const [, write] = Object.entries(ITSELF).find(([name]) => name === what) ?? [];
  if (write === undefined)
    throw new ConfigError(`print ${JSON.stringify(what ?? "")} is not one of ${Object.keys(ITSELF).join(", ")}`);
  return write(LOAD, version);
}

/** Runs it once, and judges it. */
async function run(asked: Asked, expected: readonly Expectation[]): Promise<Result> {
  const { scenario, pairs, workers } = asked.plan;
  if (isPairs(scenario) && Math.ceil(pairs / workers) * 2 > mostPeers())
    throw new ConfigError(
      `--pairs "${pairs}" is more than the ${Math.floor(mostPeers() / 2)} for which a worker may open files`,
    );
  const { isTTY, columns } = process.stdout;
  const display = new Display(print, isTTY, columns || COLUMNS);
  const coordinator = new Coordinator(asked, {
    workerCommand: workerCommand(),
    version,
    meter: await meterFor(asked.plan),
    show: (progress) => display.show(progress),
  });
  running = { coordinator, display };
  if (isInterrupted) coordinator.interrupt();
  const { measured, isBroken } = await coordinator.run().finally(() => display.end());
  running = null;
  const judged = { ...measured, expectations: expected.map((expectation) => judge(expectation, measured)) };
  return { ...judged, exitCode: exitCodeOf(judged, isBroken) };
}

/** Where a result goes; null is nowhere. */
interface Outputs {
  readonly json: string | null;
  readonly report: string | null;
  readonly hdr: string | null;
}

/** The files, by their options. */
function filesOf({ json, report, hdr }: Outputs): Record<string, string | null> {
  return { "--json": json, "--report": report, "--hdr": hdr && hdrFile(hdr, "connect") };
}

/**
 * Prints and writes a result. @returns the exit code: another one where a file could not be written
 * @param library there where a report is
 */
async function writeAll(
  result: Result,
  { json, report, hdr, library }: Outputs & { readonly library: Library | null },
): Promise<number> {
  const written = [
    await printWhole(summaryOf(result)),
    await writeOut("--json", json, () => `${JSON.stringify(result)}\n`),
    library === null || (await writeOut("--report", report, () => reportOf(result, library))),
  ];
  if (hdr !== null)
    for (const [time, data] of Object.entries(result.histograms))
      written.push(await writeOut("--hdr", hdrFile(hdr, time), () => hdrText(histogramOf(data))));
  return written.every(Boolean) ? result.exitCode : EXIT.broken;
}

/** @throws ConfigError where the source runs without it */
async function plottingLibrary(): Promise<Library> {
  try {
    return await loadLibrary();
  } catch {
    throw new ConfigError("--report needs the plotting library, which the binary has in it: from source, bun install");
  }
}

function hdrFile(prefix: string, time: string): string {
  return `${prefix}.${time}.hgrm`;
}

/** @throws ConfigError where a file can't be written, so that no long run ends in vain */
function refuseUnwritable(files: Readonly<Record<string, string | null>>): void {
  const taken = new Map<string, string>();
  for (const [flag, file] of Object.entries(files)) {
    if (file === null) continue;
    const other = taken.get(file);
    if (other !== undefined) throw new ConfigError(`${flag} ${JSON.stringify(file)} is the file of ${other} too`);
    if (!isWritable(file)) throw new ConfigError(`${flag} ${JSON.stringify(file)} can't be written`);
    taken.set(file, flag);
  }
}

function isWritable(file: string): boolean {
  try {
    closeSync(openSync(file, "a"));
    return true;
  } catch {
    return false;
  }
}

/** Says so where the file can't be written after all, such as on a full disk. @returns whether it could */
async function writeOut(flag: string, file: string | null, textOf: () => string): Promise<boolean> {
  if (file === null) return true;
  try {
    await Bun.write(file, textOf());
    return true;
  } catch (failure) {
    complain(`${flag} ${JSON.stringify(file)}: ${failure instanceof Error ? failure.message : failure}`);
    return false;
  }
}

function complain(message: string): void {
  process.stderr.write(`${NAME}: ${message}\n`);
}

/** The run that goes on, and whether it, and what would follow it, is to end. */
let running: { readonly coordinator: Coordinator; readonly display: Display } | null = null;
let isInterrupted = false;

/** By Ctrl-C or SIGTERM: ends what goes on with what was measured; a second time, or where nothing is, at once. */
function interrupt(): void {
  if (isInterrupted) {
    running?.display.end();
    process.exit(EXIT.interrupted);
  }
  isInterrupted = true;
  running?.coordinator.interrupt();
}

/** This program again, from source or as the binary, whose own files lie in a file system of Bun's. */
function workerCommand(): string[] {
  const isBinary = Bun.main.startsWith("/$bunfs/");
  return [process.execPath, ...(isBinary ? [] : [Bun.main]), WORKER];
}

function work(wire: Wire): void {
  const report = (report: Report) => process.send?.(report);
  const worker = new Worker({
    wire,
    mostPeers: mostPeers(),
    report,
    cpuSeconds() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  });
  process.on("message", (order: Order) => worker.obey(order));
  process.on("disconnect", () => process.exit(0));
  // A terminal sends its signals to workers too: they end when they are told to.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {});
  report({ type: "hello" });
}

/** How many sockets one process may have open. */
function mostPeers(): number {
  return (openFileLimit() ?? MANY_PEERS) - OWN_FILES;
}

function print(text: string): void {
  process.stdout.write(text);
}

/** Says so where it can't be printed. @returns whether it could; who closed the pipe wanted no more */
async function printWhole(text: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<Error | null | undefined>();
  process.stdout.write(text, resolve);
  const failure = await promise;
  if (!failure || ("code" in failure && failure.code === "EPIPE")) return true;
  complain(`what was measured could not be printed: ${failure.message}`);
  return false;
}
