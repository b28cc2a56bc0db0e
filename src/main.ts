/**
 * The front door: arguments → options → relay → signals → exit. The only file that touches process.*.
 * Exit codes: 0 all well, 1 it can't be done here (port in use, check failed), 2 it was asked for wrongly.
 */
import { version } from "../package.json" with { type: "json" };
import { LoopClock } from "./core/clock.ts";
import { type Dependencies, type Relay, startRelay } from "./core/relay.ts";
import { tuneListeners } from "./lockdown/listeners.ts";
import { SCRUB_MS, Scrubber } from "./lockdown/scrubber.ts";
import { type Admin, startAdmin } from "./program/admin.ts";
import { check } from "./program/check.ts";
import { type Config, inForce, optionsHelp, readConfig } from "./program/config.ts";
import { describeFailure } from "./program/failure.ts";
import { Log, NAME } from "./program/log.ts";
import { LOOK_MS, MemoryWatch } from "./program/memory.ts";
import { Metrics } from "./program/metrics.ts";
import { ConfigError } from "./program/options.ts";
import { localHost, printed } from "./program/print.ts";
import { openFileLimit, ResourceReader } from "./program/resources.ts";
import { type Certificate, doubtAbout, readCertificate } from "./program/tls.ts";
import { answer } from "./web/http.ts";

const HELP = `${NAME} ${version}: a WebSocket relay through which two WebRTC peers find each other. It stores nothing.

Usage:
  ${NAME} [OPTIONS]     run the relay
  ${NAME} check [URL]   try a relay (default: the one that these options describe, on this machine)
  ${NAME} print WHAT    write what stands around it with these options: systemd, caddy, nginx, haproxy or nftables
  ${NAME} --help
  ${NAME} --version

Options, the environment variable that sets the same, and in brackets the default and the bounds:
${optionsHelp()}`;

async function main(args: readonly string[]): Promise<void> {
  if (args.includes("--help")) return print(HELP);
  if (args.includes("--version")) return print(`${NAME} ${version} (Bun ${Bun.version})\n`);
  if (args[0] === "check") return runCheck(args.slice(1));
  if (args[0] === "print") return runPrint(args.slice(1));
  await serve(readConfig(args, process.env, openFileLimit() ?? undefined), inForce(args, process.env));
}

async function serve(config: Config, chosen: Record<string, string>): Promise<void> {
  const log = new Log(config.log);
  const { tlsCert, tlsKey } = config;
  const tls = tlsCert !== null && tlsKey !== null ? readCertificate(tlsCert, tlsKey) : null;
  const sandbox = config.sandbox === "off" ? null : await import("./lockdown/sandbox.ts");

  const scrubber = await Scrubber.open(tls, (line) => log.warn(line));
  const metrics = new Metrics();
  const resources = new ResourceReader();
  const memory = new MemoryWatch(config.maxMemoryBytes, () => resources.residentBytes());
  let isLocked = false;
  let relay: Relay | null = null;
  const admin = config.admin && listen(log, config.admin, ({ host, port }) => startAdminListener(host, port));
  relay = listen(log, config, () => startRelay(config, dependencies(log, metrics, memory, tls, failed)));
  const drain = drainOnSignal(log, config, relay, admin);
  const drainInDoubt = (error: unknown) => {
    failed(error);
    drain(1);
  };
  process.on("uncaughtException", drainInDoubt);
  process.on("unhandledRejection", drainInDoubt);
  setInterval(() => scrubber.turn(metrics.activity), SCRUB_MS);
  setInterval(() => {
    memory.turn();
    if (memory.isShort) log.warn("memory is short: nobody new is taken while more is in use than --max-memory says");
  }, LOOK_MS);

  const untuned = tuneListeners([relay.port, ...(admin ? [admin.port] : [])]);
  for (const name of Object.keys(process.env)) delete process.env[name]; // all that it says has been read
  const obstacle = sandbox?.lockDown(process.pid) ?? null; // before the first turn of the loop, so before any peer
  if (obstacle !== null && config.sandbox === "require") {
    log.say("failure", `--sandbox "require" can't be had here: ${obstacle}`);
    process.exit(1);
  }
  isLocked = sandbox !== null && obstacle === null;
  const sandboxed = isLocked ? "on" : "off";
  log.say("start", `version ${version}, with`, { ...chosen, "max-peers": config.maxPeers, sandbox: sandboxed });
  if (obstacle !== null) log.warn(`the sandbox is off: ${obstacle}`);
  if (untuned !== null) log.warn(`connections keep the kernel's own send buffers and times: ${untuned}`);
  const doubt = tls && doubtAbout(tls, Date.now());
  if (doubt !== null) log.warn(doubt);
  if (admin) log.say("ready", `listening for the operator on ${admin.address}`);
  log.say("ready", `listening on ${relay.address}`);

  /** An error ends the socket that it came from; where the books no longer agree afterwards, it ends the relay. */
  function failed(error: unknown): void {
    metrics.failed();
    log.warn(`internal error: ${describeFailure(error)}`);
    setTimeout(() => {
      if (relay?.check()) drain(1);
    });
  }

  function startAdminListener(host: string, port: number): Admin {
    return startAdmin(host, port, {
      status: () => relay?.status() ?? "starting",
      isCrowded: () => (relay?.gauges().sockets ?? 0) > config.highWater || memory.isShort,
      metrics() {
        if (relay === null) return "";
        const secondsLeft = tls && Math.floor((tls.expiresAt - Date.now()) / 1_000);
        const program = { version, bun: Bun.version, isLocked };
        const used = { ...resources.read(), memoryBytes: memory.usedBytes, memoryMarkBytes: memory.markBytes };
        return metrics.write(relay.gauges(), used, program, secondsLeft);
      },
    });
  }
}

function dependencies(
  log: Log,
  metrics: Metrics,
  memory: MemoryWatch,
  tls: Certificate | null,
  failed: (error: unknown) => void,
): Dependencies {
  const world = {
    events: metrics,
    http: answer,
    isShort: () => memory.isShort,
    warn: (line: string) => log.warn(line),
    failed,
    clock: new LoopClock(),
  };
  return tls === null ? world : { ...world, tls: { cert: tls.cert, key: tls.key } };
}

/** Starts a listener, or ends the process with one line that says why not. */
function listen<Where extends { host: string; port: number }, T>(
  log: Log,
  where: Where,
  start: (where: Where) => T,
): T {
  try {
    return start(where);
  } catch (failure) {
    log.say("failure", `can't listen on ${where.host} port ${where.port}: ${whyNot(failure)}`);
    process.exit(1);
  }
}

/** @returns what makes the relay drain and then end with an exit code, unless it does already */
function drainOnSignal(log: Log, config: Config, relay: Relay, admin: Admin | null): (exitCode: number) => void {
  let isDraining = false;
  function drain(exitCode: number): void {
    if (isDraining) return;
    isDraining = true;
    log.say("drain", `draining for up to ${config.drainMs / 1_000} s; a second signal stops at once`);
    relay
      .drain()
      .then(() => admin?.stop())
      .then(
        () => end("stopped", exitCode),
        () => end("stopped in the middle of draining", 1),
      );
  }
  function end(how: string, exitCode: number): void {
    log.say("stop", how);
    process.exit(exitCode);
  }
  const stop = () => (isDraining ? end("stopped at once", 1) : drain(0));
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  return drain;
}

async function runCheck(args: readonly string[]): Promise<void> {
  const hasUrl = args[0] !== undefined && !args[0].startsWith("-");
  const config = readConfig(hasUrl ? args.slice(1) : args, process.env);
  const scheme = config.tlsCert === null ? "ws" : "wss";
  const url = hasUrl ? `${args[0]}` : `${scheme}://${localHost(config.host)}:${config.port}`;
  if (!/^wss?:$/.test(URL.parse(url)?.protocol ?? ""))
    throw new ConfigError(`check ${JSON.stringify(url)} is not a ws:// or wss:// URL`);
  const hello = { origin: config.origins[0], isOwn: !hasUrl };
  process.exit((await check(url, hello, (line) => print(`${line}\n`))) ? 0 : 1);
}

function runPrint([what, ...args]: readonly string[]): void {
  print(printed(what, readConfig(args, process.env), inForce(args, process.env)));
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
  new Log("text").say("failure", failure.message);
  process.exit(2);
}
