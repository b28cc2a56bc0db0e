/**
 * The words of the command line: which command is meant, and the options that only commands have. Pure: it does none of
 * them.
 */
import { HEARD_MS } from "../core/admission.ts";
import type { Config } from "./config.ts";
import { unknownWord } from "./environment.ts";
import { ConfigError, type NameOf, type OptionTable, type ValuesOf } from "./options.ts";

/** Of `check` alone; the environment doesn't set them. */
export const CHECK_OPTIONS = {
  waitMs: {
    flag: "--wait",
    kind: "ms",
    default: "0s",
    min: "0s",
    max: "1h",
    what: "try again for so long, until all is well",
  },
  hasProbe: {
    flag: "--probe",
    kind: "switch",
    default: "off",
    what: `also see that a silent peer is asked before its seat is given away, which takes ${HEARD_MS / 1_000} s`,
  },
  isTurn: {
    flag: "--turn",
    kind: "switch",
    default: "off",
    what: "also try the servers for STUN and TURN that peers are told of, as a browser would",
  },
  isConfig: {
    flag: "--config",
    kind: "switch",
    default: "off",
    what: "connect to nothing: read the options and their files as a start would, and end with exit code 0 or 2",
  },
} as const satisfies OptionTable;

/** Of `print` alone; the environment doesn't set them. */
export const PRINT_OPTIONS = {
  output: {
    flag: "--output",
    kind: "file",
    default: "off",
    what: "the file to write, which is replaced whole or not at all; without it, standard output",
  },
  name: {
    flag: "--name",
    kind: "name",
    default: "relay.example.org",
    what: "the name by which clients reach the proxy",
  },
  cert: {
    flag: "--cert",
    kind: "file",
    default: "off",
    what: "PEM file of the proxy's own certificate and its chain; for haproxy with the key in it",
  },
  key: { flag: "--key", kind: "file", default: "off", what: "PEM file of that certificate's private key" },
  nodes: {
    flag: "--node",
    kind: "list",
    default: "none",
    what: "for haproxy and nginx: one of several relays, such as http://10.0.0.1:8000; repeat it",
  },
} as const satisfies OptionTable;

/** What is asked of what `print` writes. */
export interface Asked {
  readonly config: Config;
  /** The relay's options that were set, by their names without dashes, as the operator wrote them. */
  readonly given: Readonly<Record<string, string>>;
  /** Those of `print` itself. */
  readonly options: ValuesOf<typeof PRINT_OPTIONS>;
  readonly nameOf: NameOf;
  /** The program that prints: where it is. */
  readonly path: string;
  /** The scripts that it serves, by path; null for one that has not been built. */
  readonly library: ReadonlyMap<string, string | null>;
}

const COMMANDS = ["check", "print", "help"] as const;
export type CommandName = (typeof COMMANDS)[number] | "relay" | "version";

export interface Command {
  readonly name: CommandName;
  readonly args: readonly string[];
}

/**
 * @returns what a command line asks for, and the words that are left for it
 * @throws ConfigError where the first word is no command
 */
export function commandIn(args: readonly string[]): Command {
  const [first, ...rest] = args;
  if (args.some((arg) => arg === "--help" || arg === "-h")) return { name: "help", args: [] };
  if (args.some((arg) => arg === "--version" || arg === "-V")) return { name: "version", args: [] };
  if (first === undefined || first.startsWith("-")) return { name: "relay", args };
  const name = COMMANDS.find((command) => command === first);
  if (name !== undefined) return { name, args: rest };
  throw new ConfigError(unknownWord("unknown command", first, COMMANDS));
}
