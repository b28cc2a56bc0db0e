/**
 * The front door: arguments → options → relay → signals → exit. The only file that touches process.*. What only some
 * starts need is loaded when they do, and before the lock. With which codes it ends: EXIT.
 */
import { version } from "../package.json" with { type: "json" };
import type { Cluster, ClusterConfig } from "./cluster/cluster.ts";
import { type Relay, startRelay } from "./core/relay.ts";
import { tuneListeners } from "./lockdown/listeners.ts";
import { Notifier } from "./lockdown/notifier.ts";
import { SCRUB_MS, Scrubber } from "./lockdown/scrubber.ts";
import type { Admin, startAdmin } from "./program/admin.ts";
import { Books, gauges } from "./program/books.ts";
import { COMMIT, versionLine } from "./program/build.ts";
import { LoopClock } from "./program/clock.ts";
import { CHECK_OPTIONS, commandIn, PRINT_OPTIONS } from "./program/commands.ts";
import {
  type Config,
  doubtAboutFiles,
  doubtsAbout,
  givenOptions,
  optionNames,
  readConfig,
  typedOptions,
} from "./program/config.ts";
import { type Draining, newDraining } from "./program/draining.ts";
import { describeFailure, EXIT, exitOfListen, whyNotListen } from "./program/failure.ts";
import { isExposed, localHosts } from "./program/hosts.ts";
import { readLibrary } from "./program/library.ts";
import { Log, logFormat, NAME } from "./program/log.ts";
import { LOOK_MS, MemoryWatch } from "./program/memory.ts";
import { family, Metrics } from "./program/metrics.ts";
import { ConfigError, type Endpoint, type NameOf, readOptions, splitFlags } from "./program/options.ts";
import { newPoll, Outlet, WriteError, writeWhole } from "./program/outlet.ts";
import { Refusals } from "./program/refusals.ts";
import { openFileLimit, ResourceReader } from "./program/resources.ts";
import { ignoreOthers, obeySignals, SIGNALS } from "./program/signals.ts";
import { isTerminal } from "./program/terminal.ts";
import type { Certificate } from "./program/tls.ts";
import type { Turn } from "./program/turn.ts";
import { WARNINGS } from "./program/warnings.ts";
import { WATCH_MS, Wrappers } from "./program/wrappers.ts";
import { answer, type More, refusal } from "./web/http.ts";
import { newScript } from "./web/script.ts";

/** A word that nobody types: the relay starts itself by it, to speak to an engine of --cluster. */
const HELPER = "cluster-helper";
const ORPHANED = "the npx, npm or bun that it was started with has ended, and so does the relay";

async function main(words: readonly string[]): Promise<void> {
  if (words[0] === HELPER) return runHelper(words[1]);
  const { name, args } = commandIn(words);
  switch (name) {
    case "help":
      return print((await import("./program/help.ts")).helpText());
    case "version":
      return print(`${versionLine(NAME)}\n`);
    case "check":
      return runCheck(args);
    case "print":
      return runPrint(args);
    case "relay":
      return serve(args);
  }
}

async function serve(args: readonly string[]): Promise<void> {
  const openFiles = openFileLimit() ?? undefined;
  const config = readConfig(args, process.env, openFiles);
  const given = givenOptions(args, process.env);
  const nameOf = optionNames(args, process.env);
  const doubts = [...doubtsAbout(process.env)];
  const log = newLog(config.log);
  const wrappers = Wrappers.find(process.env, process.ppid, NAME);
  const tls = await readTls(config, nameOf);
  const certificates = tls && new (await import("./program/tls.ts")).CertificateWatch(tls, (line) => warn(line));
  const turn = await openTurn(config);
  const cluster =
    config.cluster.length === 0 ? null : await startCluster(log, config, nameOf, () => draining.begin(EXIT.failed));
  const pages = await readPages(config, log);
  const sandbox = config.sandbox === "off" ? null : await import("./lockdown/sandbox.ts");
  const adminRoom = config.admin && (await import("./program/admin.ts"));

  const notifier = openNotifier();
  const scrubber = await Scrubber.open(tls, (line) => log.warn(line));
  const refusals = new Refusals(
    () => performance.now(),
    (line, fact) => log.say("limit", line, {}, { ...fact }),
    cluster !== null,
  );
  const metrics = new Metrics(refusals, {
    warn: (warning) => log.warn(WARNINGS[warning]),
    swept: () => books.turn(),
  });
  const resources = new ResourceReader();
  const memory = new MemoryWatch(config.maxMemoryBytes, () => resources.residentBytes());
  let isLocked = false;
  if (wrappers?.isGone) {
    log.say("failure", ORPHANED);
    process.exit(EXIT.failed);
  }
  const admin =
    config.admin && adminRoom && listen(log, config.admin, (where) => listenForOperator(where, adminRoom.startAdmin));
  const relay: Relay = listen(log, config, () =>
    startRelay(config, {
      events: metrics,
      clock: new LoopClock(),
      http: (request) => answer(request, books.status, relay.state.sessions.size, pages),
      refusal,
      isShort: () => memory.isShort,
      failed,
      ...(tls && { tls: { cert: tls.cert, key: tls.key } }),
      ...(turn && { moreInReady: turn.inReady }),
      ...(cluster && { directory: cluster }),
    }),
  );
  const books = new Books(relay, metrics, (line) => log.warn(line));
  cluster?.serve(relay.forNodes);
  const { drainMs } = config;
  const draining = newDraining({ log, notifier, relay, admin, cluster, drainMs, exit: (code) => process.exit(code) });
  obey(log, notifier, relay, draining);
  if (wrappers)
    setInterval(() => {
      if (!wrappers.isGone) return;
      log.warn(ORPHANED);
      draining.begin(EXIT.well);
    }, WATCH_MS);
  const drainInDoubt = (error: unknown) => {
    failed(error);
    draining.begin(EXIT.failed);
  };
  process.on("uncaughtException", drainInDoubt);
  process.on("unhandledRejection", drainInDoubt);
  setInterval(() => scrubber.turn(metrics.activity), SCRUB_MS);
  setInterval(() => notifier.turn(), notifier.turnMs);
  setInterval(() => {
    memory.turn();
    if (memory.isShort) log.warn("memory is short: nobody new is taken while more is in use than --max-memory says");
    refusals.turn();
    certificates?.turn(Date.now());
  }, LOOK_MS);

  const untuned = tuneListeners([relay.port, ...(admin ? [admin.port] : [])]);
  for (const name of Object.keys(process.env)) delete process.env[name]; // all that it says has been read
  const obstacle = sandbox?.lockDown(process.pid) ?? null; // before the first turn of the loop, so before any peer
  if (obstacle !== null && config.sandbox === "require") {
    log.say("failure", `${nameOf("--sandbox")} "require" can't be had here: ${obstacle}`);
    process.exit(EXIT.sandbox);
  }
  isLocked = sandbox !== null && obstacle === null;
  const state = { "max-peers": config.maxPeers, sandbox: isLocked ? "on" : "off" };
  const typed = { version, commit: COMMIT ?? "unknown", ...typedOptions(given), ...state };
  const built = COMMIT === null ? version : `${version} (${COMMIT})`;
  log.say("start", `version ${built}, with`, config.log === "json" ? typed : { ...given, ...state });
  const fewFiles = openFiles && doubtAboutFiles(config, openFiles, memory.markBytes);
  if (fewFiles) log.say("notice", fewFiles);
  if (obstacle !== null) log.warn(`the sandbox is off: ${obstacle}`);
  if (untuned !== null) log.warn(`connections keep the kernel's own send buffers and times: ${untuned}`);
  if (notifier.obstacle !== null) log.warn(notifier.obstacle);
  if (config.admin && isExposed(config.admin.host)) log.warn(exposed(nameOf("--admin"), config.admin));
  for (const line of doubts) log.warn(line);
  certificates?.turn(Date.now());
  if (turn?.notice) log.say("notice", turn.notice);
  if (admin) log.say("ready", `listening for the operator on ${admin.address}`, {}, { address: admin.address });
  log.say("ready", `listening on ${relay.address}`, {}, { address: relay.address });
  notifier.ready();

  /** A warning that comes again. */
  function warn(line: string): void {
    log.say("warning", line);
  }

  /** An error ends the socket that it came from; where the books no longer agree afterwards, it ends the relay. */
  function failed(error: unknown): void {
    metrics.failed();
    log.warn(`internal error: ${describeFailure(error)}`);
    setTimeout(() => {
      if (books.check()) draining.begin(EXIT.failed);
    });
  }

  /** What it asks the relay for is there by the time that anybody can ask. */
  function listenForOperator({ host, port }: Endpoint, start: typeof startAdmin): Admin {
    return start(host, port, {
      status: () => books.status,
      isCutOff: () => cluster?.isCutOff ?? false,
      isCrowded: () => gauges(relay.state).sockets > config.highWater || memory.isShort,
      metrics() {
        const secondsLeft = tls && Math.floor((tls.expiresAt - Date.now()) / 1_000);
        const program = { version, commit: COMMIT ?? "unknown", bun: Bun.version, isLocked, droppedLines: log.dropped };
        const used = { ...resources.read(), memoryBytes: memory.usedBytes, memoryMarkBytes: memory.markBytes };
        const nodes = cluster?.metrics().map((row) => family(...row)) ?? [];
        return metrics.write(gauges(relay.state), used, program, secondsLeft) + nodes.join("");
      },
    });
  }
}

/** What is served besides: the browsers' library, and the page to try the relay. Ends the process where that was not built. */
async function readPages({ demo }: Config, log: Log): Promise<More> {
  const scripts = [...(await readLibrary())].map(([path, text]) => [path, newScript(text)] as const);
  if (!demo) return new Map(scripts);
  const { newDemo, readDemo } = await import("./web/demo.ts");
  const html = await readDemo();
  if (html !== null) return new Map([...scripts, ["/demo", newDemo(html)]]);
  log.say("failure", '--demo "on" can\'t be had: the page is not built, which `bun run build` does');
  process.exit(EXIT.failed);
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
    process.exit(exitOfListen(failure));
  }
}

async function openTurn(config: Config): Promise<Turn | null> {
  if (config.stunUrls.length + config.turnUrls.length === 0) return null;
  return (await import("./program/turn.ts")).readTurn(config, Date.now);
}

/** What the relay needs of a cluster before it is locked: its secrets are read, and its helpers run. */
async function startCluster(log: Log, config: Config, nameOf: NameOf, ended: () => void): Promise<Cluster> {
  const { Cluster } = await import("./cluster/cluster.ts");
  const cluster = await Cluster.start(await readCluster(config, nameOf), {
    startHelper: (...words) =>
      Bun.spawn({ cmd: [...helperCommand(), ...words], env: {}, stdin: "pipe", stdout: "pipe", stderr: "inherit" }),
    warn: (line) => log.warn(line),
    ended() {
      log.warn("a helper of --cluster has ended: the relay drains, and has to be started again");
      ended();
    },
  });
  if (typeof cluster !== "string") return cluster;
  log.say("failure", cluster);
  process.exit(EXIT.failed);
}

async function readCluster(config: Config, nameOf: NameOf): Promise<ClusterConfig> {
  return (await import("./program/cluster-files.ts")).readCluster(config, nameOf);
}

/** How this program starts itself as a helper. */
function helperCommand(): string[] {
  const isBinary = Bun.main.startsWith("/$bunfs/");
  return [process.execPath, ...(isBinary ? [] : [...process.execArgv, Bun.main]), HELPER];
}

/** @param port that it is to be confined to, before anything else: it starts itself anew for that */
async function runHelper(port: string | undefined): Promise<void> {
  const open = port && (await import("./lockdown/landlock.ts")).becomeConfined(Number(port), helperCommand());
  const [{ help }, { lockDown }] = await Promise.all([import("./cluster/helper.ts"), import("./lockdown/sandbox.ts")]);
  ignoreOthers();
  // What ends the relay comes to all of its group. The helper ends when the relay has: it has to say so to the engine.
  for (const name of Object.values(SIGNALS).flat()) process.on(name, () => {});
  await help(
    (caller) => [lockDown(process.pid, caller), open || null],
    () => process.exit(EXIT.well),
  );
}

async function readTls({ tlsCert, tlsKey }: Config, nameOf: NameOf): Promise<Certificate | null> {
  if (tlsCert === null || tlsKey === null) return null;
  return (await import("./program/tls.ts")).readCertificate(tlsCert, tlsKey, nameOf);
}

function openNotifier(): Notifier {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: watchdogUs, WATCHDOG_PID: watchdogPid } = process.env;
  return Notifier.open({ socket, watchdogUs, watchdogPid }, process.pid);
}

function exposed(name: string, { host, port }: Endpoint): string {
  return `${name} is where strangers may reach it (${host} port ${port}): it asks for no password; give it 127.0.0.1, or keep them off by a firewall`;
}

function obey(log: Log, notifier: Notifier, relay: Relay, draining: Draining): void {
  const terminals = [0, 1, 2].filter(isTerminal);
  ignoreOthers();
  obeySignals((name, act) => process.on(name, act), {
    drain: () => draining.begin(EXIT.well),
    endAtOnce: () => draining.endAtOnce(),
    gather() {
      log.say("gather", "who waits alone is sent to come back");
      relay.gather();
    },
    isTerminalGone: () => terminals.some((descriptor) => !isTerminal(descriptor)),
    refuseToReload(line) {
      notifier.reloading();
      log.say("warning", line);
      notifier.status(line);
      notifier.ready();
    },
    now: () => performance.now(),
  });
}

async function runCheck(words: readonly string[]): Promise<void> {
  const { own, rest } = splitFlags(CHECK_OPTIONS, words);
  const { waitMs, hasProbe, isTurn, isConfig } = readOptions(CHECK_OPTIONS, own, {});
  const hasUrl = rest[0] !== undefined && !rest[0].startsWith("-");
  const args = hasUrl ? rest.slice(1) : rest;
  if (isConfig && hasUrl) throw new ConfigError(`check --config takes no URL, and not ${JSON.stringify(rest[0])}`);
  if (isConfig) return checkConfig(args);
  const config = readConfig(args, process.env);
  const scheme = config.tlsCert === null ? "ws" : "wss";
  const { check, reachable } = await import("./program/check.ts");
  const address = async () =>
    hasUrl ? `${rest[0]}` : `${scheme}://${await reachable(localHosts(config.host), config.port)}:${config.port}`;
  if (hasUrl && !/^wss?:$/.test(URL.parse(`${rest[0]}`)?.protocol ?? ""))
    throw new ConfigError(`check ${JSON.stringify(rest[0])} is not a ws:// or wss:// URL`);
  const hello = { origin: config.origins[0]?.example, isOwn: !hasUrl };
  const tryServers = isTurn ? (await import("./program/turn-check.ts")).tryServers : null;
  const isWell = await check(address, { hello, hasProbe, waitMs, tryServers }, (line) => print(`${line}\n`));
  process.exit(isWell ? EXIT.well : EXIT.failed);
}

/** Reads all that a start reads. What is wrong with it is thrown, as there. */
async function checkConfig(args: readonly string[]): Promise<void> {
  const config = readConfig(args, process.env, openFileLimit() ?? undefined);
  const nameOf = optionNames(args, process.env);
  const tls = await readTls(config, nameOf);
  await openTurn(config);
  if (config.cluster.length > 0) await readCluster(config, nameOf);
  const doubt = tls && (await import("./program/tls.ts")).doubtAbout(tls, Date.now());
  for (const line of [...doubtsAbout(process.env), ...(doubt ? [doubt] : [])]) newLog("text").warn(line);
  print(`ok    a start would take these options${tls ? " and this certificate" : ""}\n`);
}

async function runPrint([what, ...words]: readonly string[]): Promise<void> {
  const { own, rest } = splitFlags(PRINT_OPTIONS, words);
  const options = readOptions(PRINT_OPTIONS, own, {});
  const { missingFiles, printed } = await import("./program/print.ts");
  const asked = {
    config: readConfig(rest, process.env),
    given: givenOptions(rest, process.env),
    options,
    nameOf: optionNames(rest, process.env),
    path: process.execPath,
    library: await readLibrary(),
  };
  const text = printed(what, asked);
  if (options.output === null) print(text);
  else (await import("./program/replace.ts")).replaceFile(options.output, text);
  for (const line of missingFiles(what, asked)) newLog("text").warn(line);
}

function newLog(format: Config["log"]): Log {
  const poll = newPoll();
  return new Log(format, new Outlet(1, poll), new Outlet(2, poll));
}

/** Where nobody reads any more, nobody misses it. */
function print(text: string): void {
  writeWhole(1, text);
}

try {
  await main(process.argv.slice(2));
} catch (failure) {
  if (!(failure instanceof ConfigError) && !(failure instanceof WriteError)) throw failure;
  newLog(logFormat(process.argv.slice(2), process.env)).say("failure", failure.message);
  process.exit(failure instanceof ConfigError ? EXIT.asked : EXIT.failed);
}
