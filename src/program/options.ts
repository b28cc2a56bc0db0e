/**
 * How options are written and read: kinds, units, bounds, flags and environment. A program gives its table; help text
 * and the errors of a bad start are made from it, so none of them can drift. Pure: it reads only what it is given, and
 * no file.
 */
import type { EngineUrl } from "../cluster/cluster.ts";
import { type Cidr, parseAddress } from "../core/addresses.ts";
import { readEngine } from "./engines.ts";
import { type Environment, environmentName, sortEnvironment, unknownWord } from "./environment.ts";
import { ConfigError, Unfit } from "./failure.ts";
import { type IceUrl, readIceUrl } from "./ice-urls.ts";
import { type NamedOrigin, readOrigin } from "./origins.ts";
import { SecretFile } from "./secret.ts";

export { ConfigError } from "./failure.ts";

/** How a value is written; numbers have units, lists are repeated flags or one text with commas. */
const KINDS = {
  text: "an address to listen on",
  name: "a host name such as relay.example.org",
  switch: "on or off",
  file: "a file",
  "secret-file": "a file that holds a secret",
  endpoint: "HOST:PORT, such as 127.0.0.1:9000, or off",
  choice: "",
  cidrs: "an address or a range such as 10.0.0.0/8, or none",
  origins: "",
  "stun-urls": "",
  "turn-urls": "",
  list: "a text, or none",
  engines: "redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH without a password, or none",
  count: { "": 1 },
  ms: { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 },
  bytes: { B: 1, KiB: 1_024, MiB: 1_048_576 },
} as const;
/** RFC 1123, section 2.1. */
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;
type NumberKind = "count" | "ms" | "bytes";

export interface NumberOption {
  readonly flag: string;
  readonly kind: NumberKind;
  /** As an operator would write it; bounds are inclusive. */
  readonly default: string;
  readonly min: string;
  readonly max: string;
  readonly what: string;
}
export interface ChoiceOption {
  readonly flag: string;
  readonly kind: "choice";
  readonly choices: readonly string[];
  readonly default: string;
  readonly what: string;
}
export interface OtherOption {
  readonly flag: string;
  readonly kind: Exclude<keyof typeof KINDS, NumberKind | "choice">;
  readonly default: string;
  readonly what: string;
}
export type Option = NumberOption | ChoiceOption | OtherOption;
export type OptionTable = Readonly<Record<string, Option>>;

interface Values {
  text: string;
  name: string;
  switch: boolean;
  file: string | null;
  "secret-file": SecretFile | null;
  endpoint: Endpoint | null;
  cidrs: readonly Cidr[];
  origins: readonly NamedOrigin[];
  "stun-urls": readonly IceUrl[];
  "turn-urls": readonly IceUrl[];
  list: readonly string[];
  engines: readonly EngineUrl[];
  count: number;
  ms: number;
  bytes: number;
}
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** What a table's options are read as: durations in ms, sizes in bytes; no origins means any. */
export type ValuesOf<T extends OptionTable> = {
  [K in keyof T]: T[K] extends ChoiceOption ? T[K]["choices"][number] : Values[Exclude<T[K]["kind"], "choice">];
};

/**
 * Reads the options of `table`; a flag (`--port 80` or `--port=80`) wins over the environment, which wins over the
 * default. A variable that is set to nothing counts as not set.
 * @throws ConfigError for an unknown option or variable, or a value that is missing, malformed or out of bounds
 */
export function readOptions<T extends OptionTable>(table: T, args: readonly string[], env: Environment): ValuesOf<T> {
  const given = givenOptions(table, args, env);
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(table)) {
    const { name, text } = given.get(option.flag) ?? { name: option.flag, text: option.default };
    values[key] = readValue(name, text, option);
  }
  return values as ValuesOf<T>;
}

/** Variables of these options that others have set to what is no value of theirs; see sortEnvironment. */
export function passedOver(table: OptionTable, env: Environment): readonly string[] {
  return sortEnvironment(flagsOf(table), env).passedOver;
}

function flagsOf(table: OptionTable): string[] {
  return Object.values(table).map(({ flag }) => flag);
}

/** What was given for the options, by flag: as it was written, and the name of the flag or variable that says so. */
function givenOptions(
  table: OptionTable,
  args: readonly string[],
  env: Environment,
): Map<string, { readonly name: string; readonly text: string }> {
  const { set, unknown } = sortEnvironment(flagsOf(table), env);
  for (const [name, nearest] of unknown)
    throw new ConfigError(`unknown variable ${shown(name)} in the environment; the nearest is ${nearest}`);
  const flags = readFlags(table, args);
  const given = new Map<string, { name: string; text: string }>();
  for (const flag of flagsOf(table)) {
    const name = environmentName(flag);
    const [flagged, variable] = [flags.get(flag), set.get(name)];
    if (flagged !== undefined) given.set(flag, { name: flag, text: flagged });
    else if (variable !== undefined) given.set(flag, { name, text: variable });
  }
  return given;
}

function readFlags(table: OptionTable, args: readonly string[]): Map<string, string> {
  const options = new Map(Object.values(table).map((option) => [option.flag, option]));
  const given = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? "";
    if (!/^-./s.test(word)) throw new ConfigError(`${shown(word)} is one word too many; --help says what is taken`);
    const [, name = word, inline] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
    const option = options.get(name);
    if (!option) throw new ConfigError(unknownWord("unknown option", word, [...options.keys()]));
    const { flag } = option;
    const before = given.get(flag);
    if (before !== undefined && separator(option) === null) throw new ConfigError(`${flag} is given twice`);
    const value = inline ?? (option.kind === "switch" ? "on" : args[++i]);
    if (value === undefined) throw new ConfigError(`${flag} needs a value`);
    given.set(flag, before === undefined ? value : `${before}${separator(option)}${value}`);
  }
  return given;
}

/**
 * Tells apart what belongs to a command and what to the relay's own options, in whatever order they were written.
 * @returns of a command line the words that set options of `table`, and the others
 */
export function splitFlags(table: OptionTable, args: readonly string[]): { own: string[]; rest: string[] } {
  const [own, rest]: [string[], string[]] = [[], []];
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? "";
    const option = Object.values(table).find(({ flag }) => word === flag || word.startsWith(`${flag}=`));
    if (option) own.push(word);
    else rest.push(word);
    const value = args[i + 1];
    if (option?.flag === word && option.kind !== "switch" && value !== undefined) own.push(args[++i] ?? "");
  }
  return { own, rest };
}

/** What stands between the values of an option that may be repeated; null for one that may not. */
function separator({ kind }: Option): string | null {
  if (kind === "list") return "\n"; // a text may hold commas
  return ["cidrs", "origins", "stun-urls", "turn-urls", "engines"].includes(kind) ? "," : null;
}

export function isNumber(option: Option): option is NumberOption {
  return typeof KINDS[option.kind] === "object";
}

function readValue(name: string, text: string, option: Option): unknown {
  const value = isNumber(option)
    ? readNumber(text, option)
    : option.kind === "choice"
      ? option.choices.find((choice) => choice === text)
      : readOther(name, text, option);
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

function readOther(name: string, text: string, { kind }: OtherOption): unknown {
  switch (kind) {
    case "text":
      return text === "" || /\s/.test(text) ? undefined : text;
    case "name":
      return HOST_NAME.test(text) ? text : undefined;
    case "file":
      return text === "" ? undefined : text === "off" ? null : text;
    case "secret-file":
      return text === "" ? undefined : text === "off" ? null : new SecretFile(name, text);
    case "endpoint":
      return text === "off" ? null : readEndpoint(text);
    case "switch":
      return text === "on" || (text === "off" ? false : undefined);
    case "cidrs": {
      const ranges = text === "none" ? [] : itemsOf(text).map(parseCidr);
      return ranges.includes(null) ? undefined : ranges;
    }
    case "origins":
      return text === "any" ? [] : readItems(name, text, readOrigin);
    case "stun-urls":
      return text === "none" ? [] : readItems(name, text, (item) => readIceUrl(item, "stun"));
    case "turn-urls":
      return text === "none" ? [] : readItems(name, text, (item) => readIceUrl(item, "turn"));
    case "engines": {
      const engines = text === "none" ? [] : itemsOf(text).map(readEngine);
      return engines.includes(null) ? undefined : engines;
    }
    case "list":
      return text === "none" ? [] : text.split("\n");
  }
}

/** Reads `10.0.0.0/8`, `fd00::/8` or a single address; null where it is none. */
export function parseCidr(text: string): Cidr | null {
  const [, base = "", length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseAddress(base);
  if (address === null) return null;
  const width = base.includes(".") ? 32 : 128;
  const bits = Number(length ?? width);
  return bits > width ? null : { address, bits: bits + 128 - width };
}

function itemsOf(text: string): string[] {
  return text.split(",").map((item) => item.trim());
}

function readItems<T>(name: string, text: string, read: (item: string) => T): readonly T[] {
  try {
    return itemsOf(text).map(read);
  } catch (failure) {
    if (!(failure instanceof Unfit)) throw failure;
    throw new ConfigError(`${name} ${shown(failure.text)} ${failure.message}`);
  }
}

function readEndpoint(text: string): Endpoint | undefined {
  const [, host = "", digits = ""] = /^\[?([^\s\]/]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  return host === "" || Number(digits) > 65_535 ? undefined : { host, port: Number(digits) };
}

/** What a value has to be, for the message that refuses another. */
function expected(option: Option): string {
  if (option.kind === "choice") return option.choices.join(" or ");
  if (!isNumber(option)) return KINDS[option.kind];
  const units = Object.keys(KINDS[option.kind]).filter(Boolean);
  const unit = units.length > 0 ? ` with a unit (${units.join(", ")})` : "";
  return `a whole number${unit} from ${option.min} to ${option.max}`;
}

/** A value as it may stand in a one-line message: quoted, no control characters, not endless. */
function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

/** The options of `table` that were set, by flags or the environment, as they were written: flags without their dashes. */
export function chosenOptions(table: OptionTable, args: readonly string[], env: Environment): Record<string, string> {
  const given = givenOptions(table, args, env);
  return Object.fromEntries([...given].map(([flag, { text }]) => [flag.slice(2), text]));
}

/** Names an option as whoever set it did: by its variable where that was set and no flag, else by its flag. */
export type NameOf = (flag: string) => string;

/** @returns how the options of `table` were named */
export function namesOf(table: OptionTable, args: readonly string[], env: Environment): NameOf {
  const given = givenOptions(table, args, env);
  return (flag) => given.get(flag)?.name ?? flag;
}

/** What was written for an option, as a field for machines: a number where it counts, a truth, a list, else the text. */
export function typed(option: Option | undefined, text: string): Field {
  if (option?.kind === "count") return Number(text);
  if (option?.kind === "switch") return text === "on";
  const between = option ? separator(option) : null;
  return between === null ? text : text.split(between).map((item) => item.trim());
}
export type Field = string | number | boolean | readonly string[];

/** A table of options as --help prints it, with the variables of a program that reads them. */
export function helpFor(table: OptionTable, hasEnvironment = true): string {
  const width = Math.max(...flagsOf(table).map(({ length }) => length)) + 2;
  return Object.values(table)
    .map((option) => {
      const bounds = isNumber(option) ? `, ${option.min} to ${option.max}` : "";
      const names = `  ${option.flag.padEnd(width)}${hasEnvironment ? environmentName(option.flag) : ""}`.trimEnd();
      return `${names}\n      ${option.what} (${option.default}${bounds})\n`;
    })
    .join("");
}
