/**
 * The front door: arguments → options → relay → signals → exit. The only file that touches process.*. What only some
 * starts need is loaded when they do, and before the lock.
 * Exit codes: 0 all well, 1 it can't be done here (port in use, check failed), 2 it was asked for wrongly.
 */
import { isatty } from "node:tty";
import { version } from "../package.json" with { type: "json" };
import type { Cluster } from "./cluster/cluster.ts";
import { LoopClock } from "./core/clock.ts";
import { type Dependencies, type Relay, startRelay } from "./core/relay.ts";
import { tuneListeners } from "./lockdown/listeners.ts";
import { SCRUB_MS, Scrubber } from "./lockdown/scrubber.ts";
import type { Admin, startAdmin } from "./program/admin.ts";
import { type Config, doubtsAbout, givenOptions, optionsHelp, readConfig } from "./program/config.ts";
import { describeFailure, whyNot, whyNotListen } from "./program/failure.ts";
import { localHosts } from "./program/hosts.ts";
import { Log, NAME } from "./program/log.ts";
import { LOOK_MS, MemoryWatch } from "./program/memory.ts";
import { family, Metrics } from "./program/metrics.ts";
import { ConfigError, type Endpoint } from "./program/options.ts";
import { newPoll, Outlet } from "./program/outlet.ts";
import { openFileLimit, ResourceReader } from "./program/resources.ts";
import { ignoreOthers, obeySignals, SIGNALS } from "./program/signals.ts";
import type { Certificate } from "./program/tls.ts";
import { WATCH_MS, Wrappers } from "./program/wrappers.ts";
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
/** A word that nobody types: the relay starts itself by it, to speak to an engine of --cluster. */
const HELPER = "cluster-helper";
/** A secret by which strangers could find out codes has to be beyond guessing. */
const LEAST_SECRET = 32;
const ORPHANED = "the npx, npm or bun that it was started with has ended, and so does the relay";

async function main(args: readonly string[]): Promise<void> {
  if (args.includes("--help")) return print(HELP);
  if (args.includes("--version")) return print(`${NAME} ${version} (Bun ${Bun.version})\n`);
  if (args[0] === "check") return runCheck(args.slice(1));
  if (args[0] === "print") return runPrint(args.slice(1));
  if (args[0] === HELPER) return runHelper();
  const config = readConfig(args, process.env, openFileLimit() ?? undefined);
  await serve(config, givenOptions(args, process.env), doubtsAbout(process.env));
}

async function serve(config: Config, given: Record<string, string>, doubts: readonly string[]): Promise<void> {
  const log = newLog(config.log);
  const wrappers = Wrappers.find(process.env, process.ppid, NAME);
  const { tlsCert, tlsKey } = config;
  const tlsFiles = tlsCert !== null && tlsKey !== null ? await import("./program/tls.ts") : null;
  const tls = tlsFiles?.readCertificate(tlsCert ?? "", tlsKey ?? "") ?? null;
  const sandbox = config.sandbox === "off" ? null : await import("./lockdown/sandbox.ts");
  const adminRoom = config.admin && (await import("./program/admin.ts"));
  const cluster = config.cluster.length === 0 ? null : await startCluster(log, config, () => drain(1));

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
  const relay = listen(log, config, () => startRelay(config, dependencies(log, metrics, memory, tls, cluster, failed)));
  cluster?.serve(relay.forNodes);
  const drain = drainOnSignal(log, config, relay, admin, cluster);
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
      isCutOff: () => cluster?.isCutOff ?? false,
      isCrowded: () => relay.gauges().sockets > config.highWater || memory.isShort,
      metrics() {
        const secondsLeft = tls && Math.floor((tls.expiresAt - Date.now()) / 1_000);
        const program = { version, bun: Bun.version, isLocked, droppedLines: log.dropped };
        const used = { ...resources.read(), memoryBytes: memory.usedBytes, memoryMarkBytes: memory.markBytes };
        const nodes = cluster?.metrics().map((row) => family(...row)) ?? [];
        return metrics.write(relay.gauges(), used, program, secondsLeft) + nodes.join("");
      },
    });
  }
}

function dependencies(
  log: Log,
  metrics: Metrics,
  memory: MemoryWatch,
  tls: Certificate | null,
  cluster: Cluster | null,
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
  return {
    ...world,
    ...(tls && { tls: { cert: tls.cert, key: tls.key } }),
    ...(cluster && { directory: cluster }),
  };
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
function drainOnSignal(
  log: Log,
  config: Config,
  relay: Relay,
  admin: Admin | null,
  cluster: Cluster | null,
): (exitCode: number) => boolean {
  const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
  let isDraining = false;
  function drain(exitCode: number): boolean {
    if (isDraining) return false;
    isDraining = true;
    log.say("drain", `draining for up to ${config.drainMs / 1_000} s; a second signal stops at once`);
    relay
      .drain()
      .then(() => cluster?.end())
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

/** What the relay needs of a cluster before it is locked: its secrets are read, and its helpers run. */
async function startCluster(log: Log, config: Config, ended: () => void): Promise<Cluster> {
  const { Cluster } = await import("./cluster/cluster.ts");
  const isBinary = Bun.main.startsWith("/$bunfs/");
  const program = isBinary ? [process.execPath] : [process.execPath, ...process.execArgv, Bun.main];
  const settings = {
    engines: config.cluster,
    secrets: config.clusterSecretFile?.readLines(LEAST_SECRET) ?? [],
    password: config.clusterPasswordFile?.read() ?? null,
    ca: config.clusterCa === null ? null : await readFile("--cluster-ca", config.clusterCa),
    mayPersist: config.clusterMayPersist,
    isLocked: config.sandbox !== "off",
  };
  const cluster = await Cluster.start(settings, {
    startHelper: () =>
      Bun.spawn({ cmd: [...program, HELPER], env: {}, stdin: "pipe", stdout: "pipe", stderr: "inherit" }),
    warn: (line) => log.warn(line),
    ended() {
      log.warn("a helper of --cluster has ended: the relay drains, and has to be started again");
      ended();
    },
  });
  if (typeof cluster !== "string") return cluster;
  log.say("failure", cluster);
  process.exit(1);
}

async function readFile(option: string, path: string): Promise<string> {
  try {
    return await Bun.file(path).text();
  } catch (failure) {
    throw new ConfigError(`${option} ${JSON.stringify(path)} can't be read: ${whyNot(failure)}`);
  }
}

async function runHelper(): Promise<void> {
  const [{ help }, { lockDown }] = await Promise.all([import("./cluster/helper.ts"), import("./lockdown/sandbox.ts")]);
  ignoreOthers();
  // What ends the relay comes to all of its group. The helper ends when the relay has: it has to say so to the engine.
  for (const name of [...SIGNALS.drain, "SIGHUP", ...SIGNALS.nothing] as const) process.on(name, () => {});
  await help(
    () => lockDown(process.pid, ["sockets"]),
    () => process.exit(0),
  );
}

async function runCheck(args: readonly string[]): Promise<void> {
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
  process.exit((await check(url, hello, (line) => print(`${line}\n`))) ? 0 : 1);
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
