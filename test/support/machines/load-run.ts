/** Runs the load tester as people do, from source or as the binary, and reads what it measured. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Result } from "../../../src/load/result.ts";
import { type Outcome, Output, ROOT, spawn, type Variant } from "../relays/relay.ts";
import { type Folder, newFolder } from "./folder.ts";

const SOURCE = resolve(ROOT, "src/load/main.ts");
const BINARY = resolve(ROOT, "dist/whisper-load"); // `bun run test` builds it first

export interface Measurement extends Outcome {
  readonly result: Result;
}

/** The command line that starts `variant`. */
export function loadCommand(variant: Variant, ...args: string[]): string[] {
  return variant === "source" ? [process.execPath, SOURCE, ...args] : [BINARY, ...args];
}

/** Runs `SCENARIO URL... [OPTIONS]` to its end. */
export async function load(variant: Variant, ...args: string[]): Promise<Measurement> {
  await using run = await LoadRun.start(variant, ...args);
  return await run.over();
}

/** A run that goes on. */
export class LoadRun implements AsyncDisposable {
  readonly process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #output: Output;
  readonly #errors: Output;
  readonly #folder: Folder;

  private constructor(folder: Folder, variant: Variant, args: readonly string[]) {
    this.#folder = folder;
    this.process = spawn(loadCommand(variant, ...args, "--json", this.#json));
    this.#output = new Output(this.process.stdout);
    this.#errors = new Output(this.process.stderr);
  }

  static async start(variant: Variant, ...args: string[]): Promise<LoadRun> {
    return new LoadRun(await newFolder(), variant, args);
  }

  /** The processes that make its load. */
  get workers(): number[] {
    const tasks = `/proc/${this.process.pid}/task`;
    const children = readdirSync(tasks).map((task) => readFileSync(`${tasks}/${task}/children`, "utf8"));
    return (children.join(" ").match(/\d+/g) ?? []).map(Number);
  }

  /** How it ended, and what it measured. */
  async over(): Promise<Measurement> {
    const outcome = await this.ended();
    if (!existsSync(this.#json)) throw new Error(`nothing was measured: ${outcome.stdout}${outcome.stderr}`);
    return { ...outcome, result: (await Bun.file(this.#json).json()) as Result };
  }

  /** How it ended. */
  async ended(): Promise<Outcome> {
    const exitCode = await this.process.exited;
    await Promise.all([this.#output.ended, this.#errors.ended]);
    return { exitCode, stdout: this.#output.text, stderr: this.#errors.text };
  }

  get #json(): string {
    return this.#folder.file("result.json");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL"); // its workers end with it
    await this.process.exited;
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** Whether there is such a process, other than one that only waits to be forgotten by its parent. */
export function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
