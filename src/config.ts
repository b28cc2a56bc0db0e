/**
 * The options, in one table: flag, environment name, default, bounds, unit and why. Help text, README and the
 * errors of a bad start are made from it, so none of them can drift. Pure: it reads only what it is given.
 */
import { type Cidr, parseCidr } from "./addresses.ts";

/** How a value is written; numbers have units, lists are repeated flags or one text with commas. */
const KINDS = {
  text: "an address to listen on",
  switch: "on or off",
  file: "a file",
  endpoint: "HOST:PORT, such as 127.0.0.1:9000, or off",
  format: "text or json",
  cidrs: "an address or a range such as 10.0.0.0/8, or none",
  origins: "an origin such as https://example.org",
  count: { "": 1 },
  ms: { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 },
  bytes: { B: 1, KiB: 1_024, MiB: 1_048_576 },
} as const;
type NumberKind = "count" | "ms" | "bytes";
type OtherKind = Exclude<keyof typeof KINDS, NumberKind>;

interface NumberOption {
  readonly flag: string;
  readonly kind: NumberKind;
  /** As an operator would write it; bounds are inclusive. */
  readonly default: string;
  readonly min: string;
  readonly max: string;
  readonly what: string;
}
interface OtherOption {
  readonly flag: string;
  readonly kind: OtherKind;
  readonly default: string;
  readonly what: string;
}
type Option = NumberOption | OtherOption;

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
  log: { flag: "--log", kind: "format", default: "text", what: "how lifecycle lines are printed" },
  reusePort: {
    flag: "--reuse-port",
    kind: "switch",
    default: "off",
    what: "share the port with another relay, so that a new one takes over while the old one drains",
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
    what: "a peer is pinged so often, and gone when it is silent for two intervals and a bit; proxies cut at 60s",
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
    what: "sessions at once in which one peer waits for the other",
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
    what: "new connections at a stroke from one address that has been quiet",
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
    what: "messages at a stroke from one peer; a session takes some 20",
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
    default: "127.0.0.0/8,::1",
    what: "addresses free of the limits by address and of rates and quotas; may be repeated",
  },
  origins: {
    flag: "--origin",
    kind: "origins",
    default: "any",
    what: "the only origins whose pages may connect; may be repeated",
  },
} as const satisfies Record<string, Option>;

interface Values {
  text: string;
  switch: boolean;
  file: string | null;
  endpoint: Endpoint | null;
  format: "text" | "json";
  cidrs: readonly Cidr[];
  origins: readonly string[];
  count: number;
  ms: number;
  bytes: number;
}
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** The options' values: durations in ms, sizes in bytes, as the names say; no origins means any. */
export type Config = { [K in keyof typeof OPTIONS]: Values[(typeof OPTIONS)[K]["kind"]] };

/** A start that can't be: its message is one line that names the option, the value and the bounds. */
export class ConfigError extends Error {}

/** The environment variable that sets the option of `flag`: WHISPER_SESSION_TTL for --session-ttl. */
export function environmentName(flag: string): string {
  return `WHISPER_${flag.slice(2).toUpperCase().replaceAll("-", "_")}`;
}

/**
 * Reads the options; a flag (`--port 80` or `--port=80`) wins over the environment, which wins over the default.
 * @param openFiles the limit of open files of this process, which bounds the number of peers
 * @throws ConfigError for an unknown option or a value that is missing, malformed or out of bounds
 */
export function readConfig(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  openFiles = Number.POSITIVE_INFINITY,
): Config {
  const given = readFlags(args);
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries<Option>(OPTIONS)) {
    const name = environmentName(option.flag);
    const flagged = given.get(option.flag);
    const text = flagged ?? env[name] ?? option.default;
    values[key] = readValue(flagged === undefined && env[name] !== undefined ? name : option.flag, text, option);
  }
  const config = values as Config;
  if ((config.tlsCert === null) !== (config.tlsKey === null))
    throw new ConfigError("--tls-cert and --tls-key are given together or not at all");
  const maxPeers = peersFor(config.maxPeers, openFiles);
  return { ...config, maxPeers, highWater: config.highWater || Math.ceil(maxPeers * 0.9) };
}

/** A tenth of the open files, and some for the process itself, stay free: the accept loop must never find none left. */
function peersFor(asked: number, openFiles: number): number {
  const room = Math.max(1, Math.floor(openFiles * 0.9) - 50);
  if (asked > room)
    throw new ConfigError(
      `--max-peers "${asked}" is more than the ${room} that a limit of ${openFiles} open files allows`,
    );
  return asked || Math.min(room, Number(OPTIONS.maxPeers.max));
}

function readFlags(args: readonly string[]): Map<string, string> {
  const options = new Map<string, Option>(Object.values(OPTIONS).map((option) => [option.flag, option]));
  const given = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const [, flag = "", , inline] = /^(--?[^=]*)(=(.*))?$/s.exec(args[i] ?? "") ?? [];
    const option = options.get(flag);
    if (!option) throw new ConfigError(`unknown option ${shown(args[i] ?? "")}; --help lists them`);
    const before = given.get(flag);
    if (before !== undefined && !isList(option)) throw new ConfigError(`${flag} is given twice`);
    const value = inline ?? (option.kind === "switch" ? "on" : args[++i]);
    if (value === undefined) throw new ConfigError(`${flag} needs a value`);
    given.set(flag, before === undefined ? value : `${before},${value}`);
  }
  return given;
}

function isList({ kind }: Option): boolean {
  return kind === "cidrs" || kind === "origins";
}

function isNumber(option: Option): option is NumberOption {
  return typeof KINDS[option.kind] === "object";
}

function readValue(name: string, text: string, option: Option): unknown {
  const value = isNumber(option) ? readNumber(text, option) : readOther(text, option.kind);
  if (value === undefined) throw new ConfigError(`${name} ${shown(text)} is not ${expected(option)}`);
  return value;
}

function readNumber(text: string, { kind, min, max }: NumberOption): number | undefined {
  const value = quantity(text, kind);
  return value >= quantity(min, kind) && value <= quantity(max, kind) ? value : undefined;
}

/** "10m" in ms, "64KiB" in bytes, "8000" as it is; NaN where it is none of that. */
function quantity(text: string, kind: NumberKind): number {
  const [, digits, unit = "?"] = /^(\d{1,15})([A-Za-z]*)$/.exec(text) ?? [];
  return Number(digits) * (new Map(Object.entries(KINDS[kind])).get(unit) ?? Number.NaN);
}

function readOther(text: string, kind: OtherKind): unknown {
  const items = text.split(",").map((item) => item.trim());
  switch (kind) {
    case "text":
      return text === "" || /\s/.test(text) ? undefined : text;
    case "file":
      return text === "" ? undefined : text === "off" ? null : text;
    case "endpoint":
      return text === "off" ? null : readEndpoint(text);
    case "format":
      return text === "text" || text === "json" ? text : undefined;
    case "switch":
      return text === "on" || (text === "off" ? false : undefined);
    case "cidrs": {
      const ranges = text === "none" ? [] : items.map(parseCidr);
      return ranges.includes(null) ? undefined : ranges;
    }
    case "origins":
      if (text === "any") return [];
      return items.every((item) => URL.parse(item)?.origin === item) ? items : undefined;
  }
}

function readEndpoint(text: string): Endpoint | undefined {
  const [, host = "", digits = ""] = /^\[?([^\s\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  return host === "" || Number(digits) > 65_535 ? undefined : { host, port: Number(digits) };
}

/** What a value has to be, for the message that refuses another. */
function expected(option: Option): string {
  if (!isNumber(option)) return String(KINDS[option.kind]);
  const units = Object.keys(KINDS[option.kind]).filter(Boolean);
  const unit = units.length > 0 ? ` with a unit (${units.join(", ")})` : "";
  return `a whole number${unit} from ${option.min} to ${option.max}`;
}

/** A value as it may stand in a one-line message: quoted, no control characters, not endless. */
function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

/** The options that differ from their defaults, as flags. */
export function inForce(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const given = readFlags(args);
  const chosen = Object.values<Option>(OPTIONS).flatMap(({ flag }): [string, string][] => {
    const value = given.get(flag) ?? env[environmentName(flag)];
    return value === undefined ? [] : [[flag.slice(2), value]];
  });
  return Object.fromEntries(chosen);
}

/** The table of options as --help prints it. */
export function optionsHelp(): string {
  return Object.values<Option>(OPTIONS)
    .map((option) => {
      const bounds = isNumber(option) ? `, ${option.min} to ${option.max}` : "";
      const names = `  ${option.flag.padEnd(18)}${environmentName(option.flag)}`;
      return `${names}\n      ${option.what} (${option.default}${bounds})\n`;
    })
    .join("");
}
