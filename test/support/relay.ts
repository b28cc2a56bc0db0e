/** Starts the relay as an operator does: from source or as the binary, on a free port, and leaves nothing behind. */
import { resolve } from "node:path";

export const VARIANTS = ["source", "binary"] as const;
export type Variant = (typeof VARIANTS)[number];

export const ROOT = resolve(import.meta.dir, "../..");
const BINARY = resolve(ROOT, "dist/whisper-signaling"); // `bun run test` builds it first

/** The command line that starts `variant`. */
export function command(variant: Variant, ...args: string[]): string[] {
  return variant === "source" ? [process.execPath, "--smol", resolve(ROOT, "src/main.ts"), ...args] : [BINARY, ...args];
}

export interface RunningRelay extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  /** GET on the public port. */
  get(path: string): Promise<Response>;
  /** The N of {"status":"ok","sessions":N}. */
  sessions(): Promise<number>;
}

/** A relay on a free port of the loopback, ready to be connected to. */
export async function spawnRelay(variant: Variant, ...args: string[]): Promise<RunningRelay> {
  const process = spawn(command(variant, "--host", "127.0.0.1", "--port", "0", ...args));
  const line = await firstLine(process.stdout);
  const port = Number(/:(\d+)$/.exec(line)?.[1]);
  if (!port) throw new Error(`the relay did not start: ${line}${await process.stderr.text()}`);
  const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  return {
    url: `ws://127.0.0.1:${port}`,
    port,
    process,
    get,
    async sessions() {
      const health: unknown = await (await get("/health")).json();
      return typeof health === "object" && health !== null && "sessions" in health
        ? Number(health.sessions)
        : Number.NaN;
    },
    async [Symbol.asyncDispose]() {
      process.kill("SIGKILL");
      await process.exited;
    },
  };
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
): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  const PATH = process.env["PATH"] ?? "";
  return Bun.spawn([...cmd], { cwd: ROOT, env: { PATH, ...env }, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

/** The first line of a stream, which stays open. */
export async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  reader.releaseLock();
  return text.split("\n")[0] ?? "";
}
