/**
 * The front door: arguments → options → relay → signals → exit. The only file that touches process.*.
 * Exit codes: 0 all well, 1 it can't be done here (port in use, check failed), 2 it was asked for wrongly.
 */
import { readFileSync } from "node:fs";
import { version } from "../package.json" with { type: "json" };
import { check } from "./check.ts";
import { type Config, ConfigError, optionsHelp, readConfig } from "./config.ts";
import { complain, NAME, say, warn } from "./log.ts";
import { type Relay, startRelay } from "./relay.ts";

const HELP = `${NAME} ${version}: a WebSocket relay through which two WebRTC peers find each other. It stores nothing.

Usage:
  ${NAME} [OPTIONS]     run the relay
  ${NAME} check [URL]   try a relay (default: the one that these options describe, on this machine)
  ${NAME} --help
  ${NAME} --version

Options, the environment variable that sets the same, and in brackets the default and the bounds:
${optionsHelp()}`;

async function main(args: readonly string[]): Promise<void> {
  if (args.includes("--help")) return print(HELP);
  if (args.includes("--version")) return print(`${NAME} ${version} (Bun ${Bun.version})\n`);
  if (args[0] === "check") return runCheck(args.slice(1));
  serve(readConfig(args, process.env, openFileLimit()));
}

function serve(config: Config): void {
  const relay = listen(config);
  say(`listening on ${relay.address}`);
  let isDraining = false;
  async function stop(): Promise<void> {
    if (isDraining) {
      say("stopped at once");
      process.exit(1);
    }
    isDraining = true;
    say(`draining for up to ${config.drainMs / 1_000} s; a second signal stops at once`);
    await relay.drain();
    say("stopped");
    process.exit(0);
  }
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

function listen(config: Config): Relay {
  try {
    return startRelay(config, warn);
  } catch (failure) {
    complain(`can't listen on ${config.host} port ${config.port}: ${whyNot(failure)}`);
    process.exit(1);
  }
}

/** The limit of open files of this process; Bun has raised the soft one to the hard one. Elsewhere than on Linux, none. */
function openFileLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

async function runCheck(args: readonly string[]): Promise<void> {
  const hasUrl = args[0] !== undefined && !args[0].startsWith("-");
  const config = readConfig(hasUrl ? args.slice(1) : args, process.env);
  const url = hasUrl ? `${args[0]}` : `ws://${localHost(config.host)}:${config.port}`;
  if (!/^wss?:$/.test(URL.parse(url)?.protocol ?? ""))
    throw new ConfigError(`check ${JSON.stringify(url)} is not a ws:// or wss:// URL`);
  process.exit((await check(url, config.origins[0], (line) => print(`${line}\n`))) ? 0 : 1);
}

/** The address under which this machine reaches a listener on `host`. */
function localHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}

function whyNot(failure: unknown): string {
  const code = failure instanceof Error && "code" in failure ? String(failure.code) : "unknown";
  const known: Record<string, string> = {
    EADDRINUSE: "it is in use",
    EADDRNOTAVAIL: "this machine has no such address",
    EINVAL: "that is no address",
    EACCES: "not permitted",
    EPERM: "not permitted",
  };
  return known[code] ?? `the system says ${code}`;
}

function print(text: string): void {
  process.stdout.write(text);
}

try {
  await main(process.argv.slice(2));
} catch (failure) {
  if (!(failure instanceof ConfigError)) throw failure;
  complain(failure.message);
  process.exit(2);
}
