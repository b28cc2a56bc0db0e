/**
 * The options, in one table: flag, environment name, default, bounds, unit and why. Help text, README and the
 * errors of a bad start are made from it, so none of them can drift. Pure: it reads only what it is given.
 */

type Unit = "port" | "ms" | "bytes";

interface TextOption {
  readonly flag: string;
  readonly kind: "text";
  readonly default: string;
  readonly what: string;
}
interface NumberOption {
  readonly flag: string;
  readonly kind: Unit;
  /** As an operator would write it; bounds are inclusive. */
  readonly default: string;
  readonly min: string;
  readonly max: string;
  readonly what: string;
}
type Option = TextOption | NumberOption;

export const OPTIONS = {
  host: { flag: "--host", kind: "text", default: "0.0.0.0", what: "address to listen on; :: for IPv6 and IPv4" },
  port: {
    flag: "--port",
    kind: "port",
    default: "8000",
    min: "0",
    max: "65535",
    what: "port to listen on; 0 takes a free one",
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
  maxMessageBytes: {
    flag: "--max-message",
    kind: "bytes",
    default: "64KiB",
    min: "1KiB",
    max: "1MiB",
    what: "the largest message taken; a session description is 1 to 10 KiB",
  },
} as const satisfies Record<string, Option>;

type Key = keyof typeof OPTIONS;

/** The options' values: durations in ms, sizes in bytes, as the names say. */
export type Config = { [K in Key]: (typeof OPTIONS)[K]["kind"] extends "text" ? string : number };

/** A start that can't be: its message is one line that names the option, the value and the bounds. */
export class ConfigError extends Error {}

const UNITS = {
  port: { "": 1 },
  ms: { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 },
  bytes: { B: 1, KiB: 1_024, MiB: 1_048_576 },
} as const satisfies Record<Unit, Record<string, number>>;

/** The environment variable that sets the option of `flag`: WHISPER_SESSION_TTL for --session-ttl. */
export function environmentName(flag: string): string {
  return `WHISPER_${flag.slice(2).toUpperCase().replaceAll("-", "_")}`;
}

/**
 * Reads the options; a flag (`--port 80` or `--port=80`) wins over the environment, which wins over the default.
 * @throws ConfigError for an unknown option or a value that is missing, malformed or out of bounds
 */
export function readConfig(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Config {
  const given = readFlags(args);
  const values: Record<string, string | number> = {};
  for (const [key, option] of Object.entries(OPTIONS)) {
    const name = environmentName(option.flag);
    const flagged = given.get(option.flag);
    const text = flagged ?? env[name] ?? option.default;
    values[key] = readValue(flagged === undefined && env[name] !== undefined ? name : option.flag, text, option);
  }
  return values as Config;
}

function readFlags(args: readonly string[]): Map<string, string> {
  const flags = new Set<string>(Object.values(OPTIONS).map((option) => option.flag));
  const given = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const [, flag = "", , inline] = /^(--?[^=]*)(=(.*))?$/s.exec(args[i] ?? "") ?? [];
    if (!flags.has(flag)) throw new ConfigError(`unknown option ${shown(args[i] ?? "")}; --help lists them`);
    if (given.has(flag)) throw new ConfigError(`${flag} is given twice`);
    const value = inline ?? args[++i];
    if (value === undefined) throw new ConfigError(`${flag} needs a value`);
    given.set(flag, value);
  }
  return given;
}

function readValue(name: string, text: string, option: Option): string | number {
  if (option.kind === "text") {
    if (text === "" || /\s/.test(text)) throw new ConfigError(`${name} ${shown(text)} is not an address to listen on`);
    return text;
  }
  const value = quantity(text, option.kind);
  const [least, most] = [quantity(option.min, option.kind), quantity(option.max, option.kind)];
  if (value >= least && value <= most) return value;
  const like =
    option.kind === "port"
      ? "a whole number"
      : `a whole number with a unit (${Object.keys(UNITS[option.kind]).join(", ")})`;
  throw new ConfigError(`${name} ${shown(text)} is not ${like} from ${option.min} to ${option.max}`);
}

/** "10m" in ms, "64KiB" in bytes, "8000" as it is; NaN where it is none of that. */
function quantity(text: string, kind: Unit): number {
  const [, digits, unit] = /^(\d{1,15})([A-Za-z]*)$/.exec(text) ?? [];
  return Number(digits) * (new Map(Object.entries(UNITS[kind])).get(unit ?? "?") ?? Number.NaN);
}

/** A value as it may stand in a one-line message: quoted, no control characters, not endless. */
function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

/** The table of options as --help prints it. */
export function optionsHelp(): string {
  return Object.values(OPTIONS)
    .map((option) => {
      const bounds = option.kind === "text" ? "" : `, ${option.min} to ${option.max}`;
      return `  ${option.flag.padEnd(16)}${environmentName(option.flag).padEnd(24)}${option.what} (${option.default}${bounds})\n`;
    })
    .join("");
}
