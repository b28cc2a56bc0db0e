/**
 * The load tester's front door: arguments → plan → run → signals → exit, and the same for its workers, which are this
 * program again. The only file of it that touches process.*.
 * Exit codes: 0 all well, 1 an expectation was not met or nothing could be connected, 2 it was asked for wrongly.
 */
import { closeSync, openSync } from "node:fs";
import { version } from "../../package.json" with { type: "json" };
import { ConfigError } from "../program/options.ts";
import { openFileLimit } from "../program/resources.ts";
import { type Asked, helpText, isPairs, readAsked } from "./config.ts";
import { Coordinator, RunFailed } from "./coordinator.ts";
import { Display } from "./display.ts";
import { judge, readExpectation } from "./expect.ts";
import { reportOf } from "./report.ts";
import type { Result } from "./result.ts";
import { summaryOf } from "./summary.ts";
import type { Wire } from "./wire.ts";
import { type Order, type Report, Worker } from "./worker.ts";

const NAME = "whisper-load";
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
  try {
    if (args.includes("--help")) return print(helpText(NAME, version));
    if (args.includes("--version")) return print(`${NAME} ${version} (Bun ${Bun.version})\n`);
    process.exit((await run(readAsked(args))) ? 0 : 1);
  } catch (failure) {
    if (!(failure instanceof ConfigError) && !(failure instanceof RunFailed)) throw failure;
    process.stderr.write(`${NAME}: ${failure.message}\n`);
    process.exit(failure instanceof ConfigError ? 2 : 1);
  }
}

/** @returns whether something could be connected, and all was as expected */
async function run(asked: Asked): Promise<boolean> {
  const { json, report, expect, pid, scenario, pairs, workers } = asked.plan;
  const expected = expect.map(readExpectation);
  if (pid && !isThere(pid)) throw new ConfigError(`--pid "${pid}" is not a process of this machine`);
  if (isPairs(scenario) && Math.ceil(pairs / workers) * 2 > mostPeers())
    throw new ConfigError(
      `--pairs "${pairs}" is more than the ${Math.floor(mostPeers() / 2)} for which a worker may open files`,
    );
  for (const [flag, file] of [
    ["--json", json],
    ["--report", report],
  ] as const)
    if (file !== null && !isWritable(file)) throw new ConfigError(`${flag} ${JSON.stringify(file)} can't be written`);
  const { isTTY, columns } = process.stdout;
  const display = new Display(print, isTTY, columns || COLUMNS);
  const coordinator = new Coordinator(asked, {
    workerCommand: workerCommand(),
    version,
    show: (progress) => display.show(progress),
  });
  interruptOnSignal(coordinator, display);
  const measured = await coordinator.run().finally(() => display.end());
  const result: Result = { ...measured, expectations: expected.map((expectation) => judge(expectation, measured)) };
  print(summaryOf(result));
  await writeOut("--json", json, () => `${JSON.stringify(result)}\n`);
  await writeOut("--report", report, () => reportOf(result));
  return result.peakPeers > 0 && result.expectations.every(({ isMet }) => isMet);
}

/** Whether a file can be written, so that no long run ends in vain. */
function isWritable(file: string): boolean {
  try {
    closeSync(openSync(file, "a"));
    return true;
  } catch {
    return false;
  }
}

/** @throws RunFailed where the file can't be written after all, such as on a full disk */
async function writeOut(flag: string, file: string | null, textOf: () => string): Promise<void> {
  if (file === null) return;
  try {
    await Bun.write(file, textOf());
  } catch (failure) {
    throw new RunFailed(`${flag} ${JSON.stringify(file)}: ${failure instanceof Error ? failure.message : failure}`);
  }
}

function interruptOnSignal(coordinator: Coordinator, display: Display): void {
  let isInterrupted = false;
  function stop(): void {
    if (isInterrupted) {
      display.end();
      process.exit(1);
    }
    isInterrupted = true;
    coordinator.interrupt();
  }
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
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

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (failure) {
    return failure instanceof Error && "code" in failure && failure.code === "EPERM";
  }
}

function print(text: string): void {
  process.stdout.write(text);
}
