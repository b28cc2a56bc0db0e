/**
 * The relay's options, in one table: flag, default, bounds, unit and why; README's table is compared with it by a test.
 * Pure: it reads only what it is given.
 */

import { GRACE_MS } from "../core/liveness.ts";
import { CLUSTER_ONLY, CLUSTER_OPTIONS } from "./cluster-options.ts";
import type { Environment } from "./environment.ts";
import {
  ConfigError,
  chosenOptions,
  type Field,
  helpFor,
  type NameOf,
  namesOf,
  type OptionTable,
  passedOver,
  readOptions,
  typed,
  type ValuesOf,
} from "./options.ts";

export const OPTIONS = {
  host: { flag: "--host", kind: "text", default: "0.0.0.0", what: "address to listen on; :: for IPv6 and IPv4" },
  port: {
    flag: "--port",
    kind: "count",
    default: "8000",
    min: "0",
    max: "65535",
    what: "port to listen on; 0 takes a free one",
  },
  tlsCert: {
    flag: "--tls-cert",
    kind: "file",
    default: "off",
    what: "PEM file of the certificate and its chain: the relay speaks TLS itself (wss:)",
  },
  tlsKey: { flag: "--tls-key", kind: "file", default: "off", what: "PEM file of the certificate's private key" },
  admin: {
    flag: "--admin",
    kind: "endpoint",
    default: "off",
    what: "where the operator asks for /livez, /readyz and /metrics; strangers must not reach it",
  },
  log: {
    flag: "--log",
    kind: "choice",
    choices: ["text", "json"],
    default: "text",
    what: "how lifecycle lines are printed: text or json",
  },
  reusePort: {
    flag: "--reuse-port",
    kind: "switch",
    default: "off",
    what: "share the port with another relay, so that a new one takes over while the old one drains",
  },
  demo: {
    flag: "--demo",
    kind: "switch",
    default: "off",
    what: "serve /demo, a page by which two people try this relay",
  },
  sandbox: {
    flag: "--sandbox",
    kind: "choice",
    choices: ["auto", "require", "off"],
    default: "auto",
    what: "whether the kernel is told to refuse files, programs and calls out: where it can (auto), or else no start (require), or never (off)",
  },
  sessionTtlMs: {
    flag: "--session-ttl",
    kind: "ms",
    default: "10m",
    min: "1s",
    max: "24h",
    what: "a session ends after so long without a join or a relayed message",
  },
  joinTimeoutMs: {
    flag: "--join-timeout",
    kind: "ms",
    default: "10s",
    min: "1s",
    max: "10m",
    what: "a peer that has not joined so long after connecting is closed",
  },
  pingIntervalMs: {
    flag: "--ping-interval",
    kind: "ms",
    default: "25s",
    min: "1s",
    max: "10m",
    what: `a peer is pinged so often, and gone when it is silent for two intervals and ${GRACE_MS / 1_000}s; proxies cut at 60s`,
  },
  drainMs: {
    flag: "--drain",
    kind: "ms",
    default: "30s",
    min: "0s",
    max: "1h",
    what: "how long pairs may finish after SIGTERM; shorter than the grace of what sends it",
  },
  maxMessageBytes: {
    flag: "--max-message",
    kind: "bytes",
    default: "64KiB",
    min: "1KiB",
    max: "1MiB",
    what: "the largest message taken; a session description is 1 to 10 KiB",
  },
  maxBufferedBytes: {
    flag: "--max-buffered",
    kind: "bytes",
    default: "256KiB",
    min: "64KiB",
    max: "16MiB",
    what: "what may wait here for a peer that does not read, besides what its kernel and this one hold",
  },
  maxPeers: {
    flag: "--max-peers",
    kind: "count",
    default: "0",
    min: "0",
    max: "10000000",
    what: "peers at once; 0: as many as the limit of open files leaves room for",
  },
  maxMemoryBytes: {
    flag: "--max-memory",
    kind: "bytes",
    default: "0B",
    min: "0B",
    max: "1048576MiB",
    what: "memory in use above which nobody new is taken; 0B: three quarters of what its container or the machine has",
  },
  highWater: {
    flag: "--high-water",
    kind: "count",
    default: "0",
    min: "0",
    max: "10000000",
    what: "peers above which /readyz sends others elsewhere; 0: nine tenths of --max-peers",
  },
  maxWaiting: {
    flag: "--max-waiting",
    kind: "count",
    default: "10000",
    min: "1",
    max: "10000000",
    what: "sessions at once in which a first peer waits for the second",
  },
  maxWaitingPerAddress: {
    flag: "--max-waiting-per-address",
    kind: "count",
    default: "64",
    min: "1",
    max: "10000000",
    what: "of these, by the address of the one who waits",
  },
  maxPerAddress: {
    flag: "--max-per-address",
    kind: "count",
    default: "256",
    min: "1",
    max: "10000000",
    what: "connections at once from one address; hundreds of people may share one behind Tor or a VPN",
  },
  connectRate: {
    flag: "--connect-rate",
    kind: "count",
    default: "20",
    min: "1",
    max: "1000000",
    what: "new connections a second from one address",
  },
  connectBurst: {
    flag: "--connect-burst",
    kind: "count",
    default: "100",
    min: "1",
    max: "1000000",
    what: "new connections in one burst from an address that has been quiet",
  },
  failedJoinRate: {
    flag: "--failed-join-rate",
    kind: "count",
    default: "5",
    min: "1",
    max: "1000000",
    what: "joins a second from one address that find nobody or are refused, as guesses at codes are",
  },
  failedJoinBurst: {
    flag: "--failed-join-burst",
    kind: "count",
    default: "300",
    min: "1",
    max: "1000000",
    what: "such joins in one burst from an address that has been quiet",
  },
  messageRate: {
    flag: "--message-rate",
    kind: "count",
    default: "30",
    min: "1",
    max: "1000000",
    what: "messages a second from one peer",
  },
  messageBurst: {
    flag: "--message-burst",
    kind: "count",
    default: "120",
    min: "1",
    max: "1000000",
    what: "messages in one burst from one peer; a session takes some 20",
  },
  quotaMessages: {
    flag: "--quota-messages",
    kind: "count",
    default: "2000",
    min: "10",
    max: "1000000000",
    what: "messages from one peer in all",
  },
  quotaBytes: {
    flag: "--quota-bytes",
    kind: "bytes",
    default: "4MiB",
    min: "64KiB",
    max: "1048576MiB",
    what: "bytes of messages from one peer in all",
  },
  trustProxy: {
    flag: "--trust-proxy",
    kind: "cidrs",
    default: "none",
    what: "proxies whose X-Forwarded-For is believed; may be repeated",
  },
  exempt: {
    flag: "--exempt",
    kind: "cidrs",
    default: "none",
    what: "addresses free of the limits by address and of rates and quotas; may be repeated",
  },
  origins: {
    flag: "--origin",
    kind: "origins",
    default: "any",
    what: "the only origins whose pages may connect, as https://example.org or https://*.example.org; may be repeated",
  },
  stunUrls: {
    flag: "--stun-url",
    kind: "stun-urls",
    default: "none",
    what: "STUN servers that peers are told of, as stun:HOST:PORT; may be repeated",
  },
  turnUrls: {
    flag: "--turn-url",
    kind: "turn-urls",
    default: "none",
    what: "TURN servers that peers are told of, as turn:HOST:PORT?transport=udp or turns:HOST:PORT?transport=tcp; may be repeated",
  },
  turnSecretFile: {
    flag: "--turn-secret-file",
    kind: "secret-file",
    default: "off",
    what: "file of the secret that the TURN servers know; of several, one a line, the first is used",
  },
  turnTtlMs: {
    flag: "--turn-ttl",
    kind: "ms",
    default: "12h",
    min: "1m",
    max: "168h",
    what: "how long a new path through TURN can be begun with what a peer was told",
  },
  ...CLUSTER_OPTIONS,
} as const satisfies OptionTable;

/** What the relay takes with nobody there is 40 to 60 MB; a mark below that would keep everybody out. */
const LEAST_MEMORY_BYTES = 100 * 1_048_576;

/** The options' values, in the units that their names say. */
export type Config = ValuesOf<typeof OPTIONS>;

/** The share of the open files that peers may be: the accept loop must never find none left. */
const FILES_SHARE = 0.9;
/** Open files for the process itself: its libraries, listeners, what it reads of itself. */
const OWN_FILES = 50;
/** Fewer than these can't be introduced to each other. */
const PAIR = 2;
/** Limits of open files are set in such steps. */
const FILES_STEP = 1_024;
/** What the unit, the image and the documents set: far above what most need, far below the kernel's own bound. */
export const OPEN_FILES = 65_536;
/** What a waiting peer costs in the process and in the kernel; docs/OPERATIONS.md, "Sizing". */
const PEER_BYTES = 9 * 1_024;
const HOW_TO_RAISE = "LimitNOFILE= in a unit, docker run --ulimit nofile=, ulimit -n in a shell";
/** Of --max-peers: where /readyz begins to send others elsewhere, unless told. */
const HIGH_WATER_SHARE = 0.9;

/**
 * Reads the relay's options.
 * @param openFiles the limit of open files of this process, which bounds the number of peers
 * @throws ConfigError as `readOptions` does, for options that don't go together, and where not one pair could be served
 */
export function readConfig(args: readonly string[], env: Environment, openFiles = Number.POSITIVE_INFINITY): Config {
  const config = readOptions(OPTIONS, args, env);
  const nameOf = namesOf(OPTIONS, args, env);
  const { tlsCert, tlsKey, turnUrls, turnSecretFile, cluster, clusterSecretFile } = config;
  const pairs = [
    ["--tls-cert", tlsCert !== null, "--tls-key", tlsKey !== null],
    ["--turn-url", turnUrls.length > 0, "--turn-secret-file", turnSecretFile !== null],
    ["--cluster", cluster.length > 0, "--cluster-secret-file", clusterSecretFile !== null],
  ] as const;
  for (const [one, isOne, other, isOther] of pairs)
    if (isOne !== isOther)
      throw new ConfigError(`${nameOf(one)} and ${nameOf(other)} are given together or not at all`);
  const idle = CLUSTER_ONLY.find((option) => cluster.length === 0 && config[option]);
  if (idle) throw new ConfigError(`${nameOf(OPTIONS[idle].flag)} is of use with --cluster only`);
  if (config.maxMemoryBytes > 0 && config.maxMemoryBytes < LEAST_MEMORY_BYTES)
    throw new ConfigError(
      `${nameOf("--max-memory")} "${config.maxMemoryBytes}B" is less than the ${LEAST_MEMORY_BYTES / 1_048_576}MiB that the relay itself needs; 0B leaves it to the relay`,
    );
  const maxPeers = peersFor(config.maxPeers, openFiles, nameOf("--max-peers"));
  return { ...config, maxPeers, highWater: config.highWater || Math.ceil(maxPeers * HIGH_WATER_SHARE) };
}

function roomIn(openFiles: number): number {
  return Math.floor(openFiles * FILES_SHARE) - OWN_FILES;
}

function peersFor(asked: number, openFiles: number, name: string): number {
  const room = roomIn(openFiles);
  if (room < PAIR)
    throw new ConfigError(
      `a limit of ${openFiles} open files leaves no room for a pair: raise it to ${leastFilesFor(PAIR)} at least, better ${FILES_STEP} (${HOW_TO_RAISE})`,
    );
  if (asked > room)
    throw new ConfigError(
      `${name} "${asked}" is more than the ${room} that a limit of ${openFiles} open files allows: raise that (${HOW_TO_RAISE})`,
    );
  if (asked > 0 && asked < PAIR)
    throw new ConfigError(`${name} "${asked}" pairs nobody: a pair is ${PAIR}; 0 leaves it to the limit of open files`);
  return asked || Math.min(room, Number(OPTIONS.maxPeers.max));
}

function leastFilesFor(peers: number): number {
  return Math.ceil((peers + OWN_FILES) / FILES_SHARE);
}

/** A limit of open files under which so many peers are allowed, in steps of 1024. */
export function openFilesFor(maxPeers: number): number {
  return Math.ceil(leastFilesFor(maxPeers) / FILES_STEP) * FILES_STEP;
}

/**
 * What a relay should be told that takes fewer peers than it could, because few files may be open; null where that is not so.
 * @param memoryBytes the mark above which nobody new is taken
 */
export function doubtAboutFiles(config: Config, openFiles: number, memoryBytes: number): string | null {
  const room = roomIn(openFiles);
  const memoryRoom = Math.floor(memoryBytes / PEER_BYTES);
  if (openFiles >= OPEN_FILES || config.maxPeers < room || memoryRoom <= room) return null;
  return `a limit of ${openFiles} open files leaves room for ${room} peers, memory for some ${memoryRoom}: raise it to ${OPEN_FILES} (${HOW_TO_RAISE})`;
}

/** How the relay's options were named, by flag or by variable. */
export function optionNames(args: readonly string[], env: Environment): NameOf {
  return namesOf(OPTIONS, args, env);
}

/** What was given, as fields for machines. */
export function typedOptions(given: Readonly<Record<string, string>>): Record<string, Field> {
  const options = Object.values(OPTIONS);
  const entries = Object.entries(given);
  return Object.fromEntries(
    entries.map(([name, text]) => [
      name,
      typed(
        options.find(({ flag }) => flag === `--${name}`),
        text,
      ),
    ]),
  );
}

/** The options that were set, as they were written: flags without their dashes. A secret is named by its file. */
export function givenOptions(args: readonly string[], env: Environment): Record<string, string> {
  return chosenOptions(OPTIONS, args, env);
}

/** What the operator should know of the environment, in lines that hold no value of it. */
export function doubtsAbout(env: Environment): string[] {
  return passedOver(OPTIONS, env).map((name) => `${name} was passed over: Kubernetes has set it for a service`);
}

/** The table of options as --help prints it. */
export function optionsHelp(): string {
  return helpFor(OPTIONS);
}
