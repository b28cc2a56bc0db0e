/** Starts the relay as an operator does: from source or as the binary, on a free port, and leaves nothing behind. */
import { expect } from "bun:test";
import { resolve } from "node:path";

/** What is tried on both, where they could differ: options, what is printed, locks. */
export const VARIANTS = ["source", "binary"] as const;
export type Variant = (typeof VARIANTS)[number];
/** What is tried on one is tried on what is released. */
export const RELEASED = ["binary"] as const;

/** How a relay of some kind is started, with these options. */
export type Start = (...args: string[]) => Promise<RunningRelay>;

export const ROOT = resolve(import.meta.dir, "../../..");
const BINARY = resolve(ROOT, "dist/whisper-signaling"); // `bun run test` builds it first

/** Before a command line: what the unit and the image set, so that freed memory goes back to the system at once. */
export const PURGING = ["env", "MIMALLOC_PURGE_DELAY=0"];

/** The command line that starts `variant`. */
export function command(variant: Variant, ...args: string[]): string[] {
  return variant === "source" ? [process.execPath, "--smol", resolve(ROOT, "src/main.ts"), ...args] : [BINARY, ...args];
}

/** The commit that `variant` says it was built from, "unknown" where it was not. */
export function commitOf(variant: Variant): string {
  if (variant === "source") return "unknown";
  const said = Bun.spawnSync([BINARY, "--version"]).stdout.toString();
  return /\(commit ([0-9a-f]{7,40}(?:-dirty)?), /.exec(said)?.[1] ?? "unknown";
}

export type Process = Bun.Subprocess<"ignore" | "pipe", "pipe", "pipe">;

export interface RunningRelay extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly process: Process;
  /** What it has printed on standard output. */
  readonly stdout: Output;
  /** GET on the public port. */
  get(path: string): Promise<Response>;
  /** GET on the listener for the operator, where --admin has switched it on. */
  admin(path: string): Promise<Response>;
  /** The N of {"status":"ok","sessions":N}. */
  sessions(): Promise<number>;
  /** Ends it with a signal. Returns how it ended and all that it ever printed. */
  stop(signal?: NodeJS.Signals): Promise<Outcome>;
  /** Waits until it ends by itself. */
  ended(): Promise<Outcome>;
}

/** A relay, on a free port of the loopback unless `args` say otherwise, ready to be connected to. */
export async function spawnRelay(variant: Variant, ...args: string[]): Promise<RunningRelay> {
  return spawnProgram(command(variant, ...args));
}

/** How tests start a relay: on a free port of the loopback, from which it takes a crowd unless `--exempt=none` is said. */
const SETTING = { WHISPER_HOST: "127.0.0.1", WHISPER_PORT: "0", WHISPER_EXEMPT: "127.0.0.0/8,::1" };

/** The same of any program that is a relay; its listener may also be given by `cmd`. */
export async function spawnProgram(cmd: readonly string[], options: LaunchOptions = {}): Promise<RunningRelay> {
  const env = { ...SETTING, ...options.env };
  const launched = await launch(cmd, /listening on \S+:(\d+)/, { ...options, env });
  const { process, stdout, stderr } = launched;
  const port = Number(launched.said[1]);
  const isTls = stdout.text.includes("listening on https:");
  const [, operator] = /listening for the operator on ([^\s"]+)/.exec(stdout.text) ?? [];
  const tls = { rejectUnauthorized: false };
  const get = (path: string) => fetch(`${isTls ? "https" : "http"}://127.0.0.1:${port}${path}`, isTls ? { tls } : {});
  async function ended(): Promise<Outcome> {
    const [exitCode] = await Promise.all([process.exited, stdout.ended, stderr.ended]);
    return { exitCode, stdout: stdout.text, stderr: stderr.text };
  }
  return {
    url: `${isTls ? "wss" : "ws"}://127.0.0.1:${port}`,
    port,
    process,
    stdout,
    get,
    admin: (path) => fetch(`${operator}${path}`),
    async sessions() {
      const health: unknown = await (await get("/health")).json();
      return typeof health === "object" && health !== null && "sessions" in health ? Number(health.sessions) : NaN;
    },
    async stop(signal = "SIGTERM") {
      process.kill(signal);
      return ended();
    },
    ended,
    [Symbol.asyncDispose]: () => launched[Symbol.asyncDispose](),
  };
}

export interface LaunchOptions {
  readonly env?: Record<string, string>;
  readonly stdin?: "ignore" | "pipe";
  /** A descriptor, where what it prints on standard error is not to be read here. */
  readonly stderr?: "pipe" | number;
  /** Where it says that it is ready; standard output, unless this is said. */
  readonly speaksOn?: "stdout" | "stderr";
}

export interface Launched extends AsyncDisposable {
  readonly process: Process;
  readonly stdout: Output;
  readonly stderr: Output;
  /** What it said when it was ready: the match and its groups. */
  readonly said: readonly string[];
}

/** So long a program has to be ready; a relay takes some 100 ms, under strace on a busy machine some seconds. */
const READY_MS = 20_000;

/**
 * Starts a program that says when it is ready, and waits for that.
 * @throws Error with all that it printed where it ends before, or never says it; nothing of it is left behind then
 */
export async function launch(cmd: readonly string[], ready: RegExp, options: LaunchOptions = {}): Promise<Launched> {
  const { stderr = "pipe" } = options;
  const process = spawn(cmd, options.env, options.stdin, stderr);
  const errors = stderr === "pipe" ? process.stderr : undefined;
  const outputs = { stdout: new Output(process.stdout), stderr: new Output(errors) };
  const end = async () => {
    process.kill("SIGKILL");
    await process.exited;
  };
  const deadline = setTimeout(() => void end(), READY_MS);
  const said = await outputs[options.speaksOn ?? "stdout"].until(ready);
  clearTimeout(deadline);
  if (said.length > 0) return { process, ...outputs, said, [Symbol.asyncDispose]: end };
  await end();
  throw new Error(`not ready: ${cmd.join(" ").slice(0, 300)}\nprinted: ${outputs.stdout.text}${outputs.stderr.text}`);
}

/** Everything a process prints on one stream, as it comes. */
export class Output {
  text = "";
  readonly ended: Promise<void>;
  #wake = Promise.withResolvers<void>();
  #isEnded = false;

  /** @param stream what is printed; undefined where it goes elsewhere */
  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>> | undefined) {
    this.ended = this.#read(stream ?? new Blob([]).stream());
  }

  /** Waits until a whole line matches, and returns the match; nothing where the stream ends before. */
  async until(pattern: RegExp): Promise<string[]> {
    for (;;) {
      const match = pattern.exec(this.text.slice(0, this.text.lastIndexOf("\n") + 1));
      if (match || this.#isEnded) return match ?? [];
      await this.#wake.promise;
    }
  }

  /** What has come by the time that the first line, or the stream, is at its end. */
  async firstLine(): Promise<string> {
    await this.until(/\n/);
    return this.text;
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.text += text;
      this.#rouse();
    }
    this.#isEnded = true;
    this.#rouse();
  }

  #rouse(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}

/** What a relay says where the tests run under a low limit of open files. */
const FEW_FILES = "(whisper-signaling: a limit of \\d+ open files .*\n)?";

/** Matches what a relay says of limits that refuse, and nothing else. */
export const LIMITS_ALONE =
  /^(whisper-signaling: warning: limit \(--[a-z, -]+\) (begins to|still|refuses)[a-z0-9: ]*; counted as [a-z -]+\n)*$/;

/** Matches all that a relay prints from its start to its end, and nothing besides. */
export function printedToTheEnd(port: number, drainSeconds = 30, end = "stopped") {
  const draining = `draining for up to ${drainSeconds} s; a second signal stops at once`;
  const lines = [`listening on http://127.0.0.1:${port}`, draining, end];
  const rest = lines.map((line) => `whisper-signaling: ${line}\n`).join("");
  return expect.stringMatching(new RegExp(`^whisper-signaling: version .*\n${FEW_FILES}${RegExp.escape(rest)}$`));
}

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program to its end. */
export async function run(cmd: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const process = spawn(cmd, env);
  const [stdout, stderr, exitCode] = await Promise.all([process.stdout.text(), process.stderr.text(), process.exited]);
  return { exitCode, stdout, stderr };
}

/** A process that sees none of this one's environment but PATH. */
export function spawn(
  cmd: readonly string[],
  env: Record<string, string> = {},
  stdin: "ignore" | "pipe" = "ignore",
  stderr: "pipe" | number = "pipe",
): Process {
  const PATH = process.env["PATH"] ?? "";
  return Bun.spawn([...cmd], { cwd: ROOT, env: { PATH, ...env }, stdin, stdout: "pipe", stderr }) as Process;
}
