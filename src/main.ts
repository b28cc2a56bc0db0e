/**
 * The front door: arguments → options → relay → signals → exit. The only file that touches process.*. What only some
 * starts need is loaded when they do, and before the lock.
 * Exit codes: 0 all well, 1 it can't be done here (port in use, check failed), 2 it was asked for wrongly.
 */
import { isatty } from "node:tty";
import { version } from "../package.json" with { type: "json" };
import { LoopClock } from "./core/clock.ts";
import { type Dependencies, type Relay, startRelay } from "./core/relay.ts";
import { tuneListeners } from "./lockdown/listeners.ts";
import { SCRUB_MS, Scrubber } from "./lockdown/scrubber.ts";
import type { Admin, startAdmin } from "./program/admin.ts";
import { type Config, doubtsAbout, givenOptions, optionsHelp, readConfig } from "./program/config.ts";
import { describeFailure, whyNotListen } from "./program/failure.ts";
import { localHosts } from "./program/hosts.ts";
import { Log, NAME } from "./program/log.ts";
import { LOOK_MS, MemoryWatch } from "./program/memory.ts";
import { Metrics } from "./program/metrics.ts";
import { ConfigError, type Endpoint } from "./program/options.ts";
import { newPoll, Outlet } from "./program/outlet.ts";
import { openFileLimit, ResourceReader } from "./program/resources.ts";
import { ignoreOthers, obeySignals } from "./program/signals.ts";
import type { Certificate } from "./program/tls.ts";
import type { Turn } from "./program/turn.ts";
import { WATCH_MS, Wrappers } from "./program/wrappers.ts";
import { answer, type More } from "./web/http.ts";

const HELP = `${NAME} ${version}: a WebSocket relay through which two WebRTC peers find each other. It stores nothing.

Usage:
  ${NAME} [OPTIONS]     run the relay
  ${NAME} check [URL]   try a relay (default: the one that these options describe, on this machine);
                                with --turn also the servers for STUN and TURN that it tells its peers of
  ${NAME} print WHAT    write what stands around it with these options: systemd, caddy, nginx, haproxy or nftables
  ${NAME} --help
  ${NAME} --version

Options, the environment variable that sets the same, and in brackets the default and the bounds:
${optionsHelp()}`;
const ORPHANED = "the npx, npm or bun that it was started with has ended, and so does the relay";

async function main(args: readonly string[]): Promise<void> {
  if (args.includes("--help")) return print(HELP);
  if (args.includes("--version")) return print(`${NAME} ${version} (Bun ${Bun.version})\n`);
  if (args[0] === "check") return runCheck(args.slice(1));
  if (args[0] === "print") return runPrint(args.slice(1));
  const config = readConfig(args, process.env, openFileLimit() ?? undefined);
  await serve(config, givenOptions(args, process.env), doubtsAbout(process.env));
}

async function serve(config: Config, given: Record<string, string>, doubts: readonly string[]): Promise<void> {
  const log = newLog(config.log);
  const wrappers = Wrappers.find(process.env, process.ppid, NAME);
  const { tlsCert, tlsKey } = config;
  const tlsFiles = tlsCert !== null && tlsKey !== null ? await import("./program/tls.ts") : null;
  const tls = tlsFiles?.readCertificate(tlsCert ?? "", tlsKey ?? "") ?? null;
  const isTurnNamed = config.stunUrls.length > 0 || config.turnUrls.length > 0;
  const turn = isTurnNamed ? (await import("./program/turn.ts")).readTurn(config, Date.now) : null;
  const pages = config.demo ? await readPages(log) : new Map();
  const sandbox = config.sandbox === "off" ? null : await import("./lockdown/sandbox.ts");
  const adminRoom = config.admin && (await import("./program/admin.ts"));

  const scrubber = await Scrubber.open(tls, (line) => log.warn(line));
  const metrics = new Metrics();
  const resources = new ResourceReader();
  const memory = new MemoryWatch(config.maxMemoryBytes, () => resources.residentBytes());
  let isLocked = false;
  if (wrappers?.isGone) {
    log.say("failure", ORPHANED);
    process.exit(1);
  }
  const admin =
    config.admin && adminRoom && listen(log, config.admin, (where) => listenForOperator(where, adminRoom.startAdmin));
  const relay = listen(log, config, () =>
    startRelay(config, dependencies(log, metrics, memory, tls, turn, pages, failed)),
  );
  const drain = drainOnSignal(log, config, relay, admin);
  if (wrappers)
    setInterval(() => {
      if (!wrappers.isGone) return;
      log.warn(ORPHANED);
      drain(0);
    }, WATCH_MS);
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
  log.say("start", `version ${version}, with`, { ...given, "max-peers": config.maxPeers, sandbox: sandboxed });
  if (obstacle !== null) log.warn(`the sandbox is off: ${obstacle}`);
  if (untuned !== null) log.warn(`connections keep the kernel's own send buffers and times: ${untuned}`);
  const doubt = tls && tlsFiles?.doubtAbout(tls, Date.now());
  for (const line of doubt ? [...doubts, doubt] : doubts) log.warn(line);
  if (turn?.notice) log.say("start", turn.notice);
  if (admin) log.say("ready", `listening for the operator on ${admin.address}`);
  log.say("ready", `listening on ${relay.address}`);

  /** An error ends the socket that it came from; where the books no longer agree afterwards, it ends the relay. */
  function failed(error: unknown): void {
    metrics.failed();
    log.warn(`internal error: ${describeFailure(error)}`);
    setTimeout(() => {
      if (relay.check()) drain(1);
    });
  }

  /** What it asks the relay for is there by the time that anybody can ask. */
  function listenForOperator({ host, port }: Endpoint, start: typeof startAdmin): Admin {
    return start(host, port, {
      status: () => relay.status(),
      isCrowded: () => relay.gauges().sockets > config.highWater || memory.isShort,
      metrics() {
        const secondsLeft = tls && Math.floor((tls.expiresAt - Date.now()) / 1_000);
        const program = { version, bun: Bun.version, isLocked, droppedLines: log.dropped };
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
  turn: Turn | null,
  pages: More,
  failed: (error: unknown) => void,
): Dependencies {
  const world: Dependencies = {
    events: metrics,
    http: (request, status, sessions) => answer(request, status, sessions, pages),
    isShort: () => memory.isShort,
    warn: (line: string) => log.warn(line),
    failed,
    clock: new LoopClock(),
  };
  return {
    ...world,
    ...(tls && { tls: { cert: tls.cert, key: tls.key } }),
    ...(turn && { moreInReady: turn.inReady }),
  };
}

/** The page to try the relay; ends the process where it was not built. */
async function readPages(log: Log): Promise<More> {
  const { newDemo, readDemo } = await import("./web/demo.ts");
  const html = await readDemo();
  if (html !== null) return new Map([["/demo", newDemo(html)]]);
  log.say("failure", '--demo "on" can\'t be had: the page is not built, which `bun run build` does');
  process.exit(1);
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
    log.say("failure", `can't listen on ${where.host} port ${where.port}: ${whyNotListen(failure, where.port)}`);
    process.exit(1);
  }
}

/** @returns what makes the relay drain and then end with an exit code; false where it drains already */
function drainOnSignal(log: Log, config: Config, relay: Relay, admin: Admin | null): (exitCode: number) => boolean {
  const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
  let isDraining = false;
  function drain(exitCode: number): boolean {
    if (isDraining) return false;
    isDraining = true;
    log.say("drain", `draining for up to ${config.drainMs / 1_000} s; a second signal stops at once`);
    relay
      .drain()
      .then(() => admin?.stop())
      .then(
        () => end("stopped", exitCode),
        () => end("stopped in the middle of draining", 1),
      );
    return true;
  }
  function end(how: string, exitCode: number): void {
    log.say("stop", how);
    process.exit(exitCode);
  }
  ignoreOthers();
  obeySignals((name, act) => process.on(name, act), {
    drain: () => drain(0),
    endAtOnce: () => end("stopped at once", 1),
    isTerminalGone: () => terminals.some((descriptor) => !isatty(descriptor)),
    warn: (line) => log.warn(line),
    now: () => performance.now(),
  });
  return drain;
}

async function runCheck(given: readonly string[]): Promise<void> {
  const args = given.filter((arg) => arg !== "--turn");
  const hasUrl = args[0] !== undefined && !args[0].startsWith("-");
  const config = readConfig(hasUrl ? args.slice(1) : args, process.env);
  const scheme = config.tlsCert === null ? "ws" : "wss";
  const { check, reachable } = await import("./program/check.ts");
  const url = hasUrl
    ? `${args[0]}`
    : `${scheme}://${await reachable(localHosts(config.host), config.port)}:${config.port}`;
  if (!/^wss?:$/.test(URL.parse(url)?.protocol ?? ""))
    throw new ConfigError(`check ${JSON.stringify(url)} is not a ws:// or wss:// URL`);
  const hello = { origin: config.origins[0]?.example, isOwn: !hasUrl };
  const { tryServers } = args.length < given.length ? await import("./program/turn-check.ts") : {};
  process.exit((await check(url, hello, (line) => print(`${line}\n`), tryServers)) ? 0 : 1);
}

async function runPrint([what, ...args]: readonly string[]): Promise<void> {
  const { printed } = await import("./program/print.ts");
  print(printed(what, readConfig(args, process.env), givenOptions(args, process.env)));
}

function newLog(format: Config["log"]): Log {
  const poll = newPoll();
  return new Log(format, new Outlet(1, poll), new Outlet(2, poll));
}

function print(text: string): void {
  process.stdout.write(text);
}

try {
  await main(process.argv.slice(2));
} catch (failure) {
  if (!(failure instanceof ConfigError)) throw failure;
  newLog("text").say("failure", failure.message);
  process.exit(2);
}
