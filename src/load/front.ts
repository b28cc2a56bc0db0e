/**
 * The load tester's front door: arguments → plan → run → signals → exit, and the same for its workers, which are this
 * program again. The only file of it that touches process.*. The exit codes are in outcome.ts.
 */
import { closeSync, constants, openSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { version } from "../../package.json" with { type: "json" };
import { versionLine } from "../program/build.ts";
import { ITSELF } from "../program/completions.ts";
import { unknownWord } from "../program/environment.ts";
import { readOnce } from "../program/kernel-file.ts";
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
import { Printer } from "./printer.ts";
import { type Library, loadLibrary, reportOf } from "./report.ts";
import resultSchema from "./result.schema.json" with { type: "json" };
import type { Result } from "./result.ts";
import { ENDING, isIgnored, withoutEchoes } from "./signals.ts";
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
  const end = withoutEchoes(interrupt, () => performance.now());
  for (const signal of ENDING)
    if (signal !== "SIGHUP" || !isIgnored(signal, readOnce("/proc/self/status"))) process.on(signal, end);
  try {
    process.exit(await obey(args));
  } catch (failure) {
    if (!(failure instanceof ConfigError)) throw failure;
    complain(failure.message);
    process.exit(EXIT.refused);
  }
}

/** Does what the first word says. @returns the exit code */
async function obey(args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h") || args[0] === "help")
    return codeOf(await printWhole(helpText(version, expectationNames())));
  if (args.includes("--version") || args.includes("-V")) return codeOf(await printWhole(`${versionLine(NAME)}\n`));
  const [word, ...rest] = args;
  switch (word) {
    case "find": {
      const { text, json, found, exitCode } = await find(rest, {
        cores: cpus().length,
        run,
        say: (line) => output.show(line),
        refuseUnwritable,
      });
      return await write(text, [{ flag: "--json", file: json, textOf: () => `${JSON.stringify(found)}\n` }], exitCode);
    }
    case "merge": {
      const { outputs, result } = await merge(rest);
      refuseUnwritable(filesOf(outputs));
      return await writeAll(result, { ...outputs, library: outputs.report === null ? null : await plottingLibrary() });
    }
    case "compare":
      return codeOf(await printWhole(await compare(rest)));
    case "schema":
      if (rest.length > 1 || (rest[0] !== undefined && rest[0] !== "find"))
        throw new ConfigError(`schema takes nothing, or find, and not ${JSON.stringify(rest.join(" "))}`);
      return codeOf(await printWhole(`${JSON.stringify(rest[0] === "find" ? findSchema : resultSchema, null, 2)}\n`));
    case "print":
      return codeOf(await printWhole(itself(rest[0])));
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
  heeded = HEEDED_OF_A_RUN;
  const { scenario, pairs, workers } = asked.plan;
  if (isPairs(scenario) && Math.ceil(pairs / workers) * 2 > mostPeers())
    throw new ConfigError(
      `--pairs "${pairs}" is more than the ${Math.floor(mostPeers() / 2)} for which a worker may open files`,
    );
  const { isTTY, columns } = process.stdout;
  const display = new Display((text) => output.show(text), isTTY, columns || COLUMNS);
  const coordinator = new Coordinator(asked, {
    workerCommand: workerCommand(),
    version,
    meter: await meterFor(asked.plan),
    show: (progress) => display.show(progress),
  });
  running = { coordinator, display };
  if (interrupts > 0) coordinator.interrupt();
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

/** @returns the exit code: another one where a file could not be written @param library there where a report is */
async function writeAll(
  result: Result,
  { json, report, hdr, library }: Outputs & { readonly library: Library | null },
): Promise<number> {
  const files: OutFile[] = [{ flag: "--json", file: json, textOf: () => `${JSON.stringify(result)}\n` }];
  if (library !== null) files.push({ flag: "--report", file: report, textOf: () => reportOf(result, library) });
  if (hdr !== null)
    for (const [time, data] of Object.entries(result.histograms))
      files.push({ flag: "--hdr", file: hdrFile(hdr, time), textOf: () => hdrText(histogramOf(data)) });
  return await write(summaryOf(result), files, result.exitCode);
}

interface OutFile {
  readonly flag: string;
  /** Null is nowhere. */
  readonly file: string | null;
  readonly textOf: () => string;
}

/** Writes files and prints what came of it, in this order: who prints may wait for a reader. @returns the exit code */
async function write(summary: string, files: readonly OutFile[], exitCode: number): Promise<number> {
  const complaints: string[] = [];
  heeded = 1;
  for (const { flag, file, textOf } of files) {
    const failure = file === null ? null : await writeOut(file, textOf);
    if (failure !== null) complaints.push(`${flag} ${JSON.stringify(file)}: ${failure}`);
  }
  heeded = 0;
  const isPrinted = await printWhole(summary);
  for (const complaint of complaints) complain(complaint);
  return isPrinted && complaints.length === 0 ? exitCode : EXIT.broken;
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

/** A pipe is not tried: to open it waits for its reader, and to close it tells that one that there is no more. */
function isWritable(file: string): boolean {
  try {
    if (!isPipe(file)) closeSync(openSync(file, "a"));
    return true;
  } catch {
    return false;
  }
}

function isPipe(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFIFO() ?? false;
}

/**
 * Bun.write writes a part twice where a pipe's reader is slow (Bun 1.4.5): the other module's function doesn't.
 * @returns why the file can't be written after all, such as on a full disk; null where it was
 */
async function writeOut(file: string, textOf: () => string): Promise<string | null> {
  try {
    const { O_WRONLY, O_NONBLOCK } = constants;
    const held = isPipe(file) ? openSync(file, O_WRONLY | O_NONBLOCK) : null; // one that nobody reads is waited for by no one
    await writeFile(file, textOf()).finally(() => held === null || closeSync(held));
    return null;
  } catch (failure) {
    return failure instanceof Error ? failure.message : String(failure);
  }
}

const output = new Printer(1);
const errors = new Printer(2);

function complain(message: string): void {
  errors.show(`${NAME}: ${message}\n`);
}

function codeOf(isPrinted: boolean): number {
  return isPrinted ? EXIT.good : EXIT.broken;
}

/** The run that goes on, and how often it, and what would follow it, was told to end. */
let running: { readonly coordinator: Coordinator; readonly display: Display } | null = null;
let interrupts = 0;
/** How often it may be told so before it ends at once: never where all that was measured is written, or nothing was. */
let heeded = 0;
/** The same of a run: once for its end, and once more not to wait for workers. */
const HEEDED_OF_A_RUN = 2;

/** Ends what goes on with what was measured; a second time without waiting for workers, a third time at once. */
function interrupt(): void {
  interrupts++;
  if (interrupts > heeded) {
    running?.display.end();
    process.exit(EXIT.interrupted);
  }
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
  for (const signal of ENDING) process.on(signal, () => {});
  report({ type: "hello" });
}

/** How many sockets one process may have open. */
function mostPeers(): number {
  return (openFileLimit() ?? MANY_PEERS) - OWN_FILES;
}

/** Says so where it can't be printed. @returns whether it could */
async function printWhole(text: string): Promise<boolean> {
  try {
    await output.print(text);
    return true;
  } catch (failure) {
    complain(`what was measured could not be printed: ${failure instanceof Error ? failure.message : failure}`);
    return false;
  }
}
