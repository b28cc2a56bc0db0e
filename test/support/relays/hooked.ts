/** Builds and starts the relay with hooks: the program as it is released, which a test can make misbehave. */
import { afterAll, beforeAll } from "bun:test";
import { resolve } from "node:path";
import packageJson from "../../../package.json" with { type: "json" };
import { type Folder, newFolder } from "../machines/folder.ts";
import { asking } from "./asked.ts";
import type { Command } from "./hooked-main.ts";
import { ROOT, type RunningRelay, run, spawnProgram } from "./relay.ts";

export interface HookedRelay extends RunningRelay {
  /** Has it do something, and returns what it answers. */
  ask(command: Command): Promise<unknown>;
}

/**
 * Compiles it with the flags of the release, the minifying included.
 * @param folder where the program goes
 */
export async function buildHooked(folder: string): Promise<string> {
  const program = resolve(folder, "hooked-relay");
  const flags = packageJson.scripts.build.match(/--(?!outfile)[\w-]+(=('[^']*'|\S+))?/g) ?? [];
  const entries = ["main", "worker"].map((name) => resolve(ROOT, `test/support/relays/hooked-${name}.ts`));
  const compile = [process.execPath, "run", "--cwd", ROOT, "compile", ...entries, "--outfile", program];
  const cmd = [...compile, ...flags.map((flag) => flag.replaceAll("'", ""))];
  const { exitCode, stderr } = await run(cmd);
  if (exitCode !== 0) throw new Error(`the hooked relay can't be built: ${stderr}`);
  return program;
}

/**
 * Starts the program that `buildHooked` made, as spawnRelay does.
 * @param stderr a descriptor, where what it prints on standard error is not to be read
 */
export async function spawnHooked(program: string, args: readonly string[], stderr?: number): Promise<HookedRelay> {
  const options = { stdin: "pipe", ...(stderr !== undefined && { stderr }) } as const;
  const relay = await spawnProgram([program, ...args], options);
  return { ...relay, [Symbol.asyncDispose]: relay[Symbol.asyncDispose], ask: asking(relay) };
}

/**
 * Has the program built before the tests of a file and removed after them.
 * @returns what starts it with options
 */
export function hookedRelays(): (...args: string[]) => Promise<HookedRelay> {
  let folder: Folder;
  let program = "";
  beforeAll(async () => {
    folder = await newFolder();
    program = await buildHooked(folder.path);
  });
  afterAll(() => folder[Symbol.asyncDispose]());
  return (...args) => spawnHooked(program, args);
}
