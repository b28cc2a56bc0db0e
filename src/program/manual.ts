/**
 * What a program is asked to do on its command line, as data: usage lines, its manual page and, in completions.ts, what
 * shells offer are made from it and from its table of options. Pure.
 */
import { environmentName } from "./environment.ts";
import { isNumber, type Option, type OptionTable } from "./options.ts";

/** A way to call a program. */
export interface Command {
  /** Its first word; "" for the program alone. */
  readonly name: string;
  /** What follows, as usage lines write it: "[URL]", "FILE...". */
  readonly operands: string;
  readonly what: string;
  /** What the first operand may be: one of these words, or files, or a text that nobody can guess. */
  readonly takes: readonly string[] | "files" | "text";
  readonly options: OptionTable;
}

/** A program, as its manual describes it. */
export interface Manual {
  readonly name: string;
  /** One line, without a full stop. */
  readonly summary: string;
  /** Paragraphs. */
  readonly about: readonly string[];
  readonly commands: readonly Command[];
  /** The options that environment variables can set too. */
  readonly inEnvironment: OptionTable;
  readonly exits: readonly (readonly [code: number, what: string])[];
}

/** What stands for an option's value; "" where there is none, or where it is one of its choices. */
const VALUES: Readonly<Record<Option["kind"], string>> = {
  ...{
    text: "TEXT",
    name: "NAME",
    list: "TEXT",
    file: "FILE",
    "secret-file": "FILE",
    endpoint: "HOST:PORT",
    cidrs: "ADDRESS",
  },
  ...{ "stun-urls": "URL", "turn-urls": "URL", engines: "URL" },
  ...{ origins: "ORIGIN", count: "NUMBER", ms: "TIME", bytes: "SIZE", switch: "", choice: "" },
};

/** The lines of help that say how a program is called. */
export function usageOf({ name, commands }: Manual): string {
  const calls = commands.map((command) => [[name, calledAs(command)].join(" "), ...whatOf(command)]);
  const width = Math.max(...calls.map(([call = ""]) => call.length)) + 5;
  return calls
    .flatMap(([call = "", ...lines]) =>
      lines.map((line, i) => `${(i === 0 ? `  ${call}` : "").padEnd(width)}${line}\n`),
    )
    .join("");
}

function calledAs({ name, operands }: Command): string {
  return [name, operands].filter((word) => word !== "").join(" ");
}

/** What it does, and where its operand is one of a few words, these on a line of their own. */
function whatOf({ what, takes }: Command): string[] {
  return typeof takes === "string" ? [what] : [`${what}:`, takes.join(", ")];
}

/** All options of a program, each once, in the order of its commands. */
export function optionsOf({ commands }: Manual): Option[] {
  const all = commands.flatMap(({ options }) => Object.values(options));
  return [...new Map(all.map((option) => [option.flag, option])).values()];
}

/** A manual page for man(1), in the macros of man(7). @param version stands in its foot */
export function manPage(manual: Manual, version: string): string {
  const { name, summary, about, commands, exits, inEnvironment } = manual;
  return [
    `.TH ${name.toUpperCase().replaceAll("-", "\\-")} 1 "" "${name} ${version}" "User Commands"`,
    ".SH NAME",
    `${roff(name)} \\- ${roff(summary)}`,
    ".SH SYNOPSIS",
    ...commands.flatMap((command, i) => [...(i > 0 ? [".br"] : []), `.B ${roff(name)}`, roff(calledAs(command))]),
    ".SH DESCRIPTION",
    ...about.flatMap((paragraph, i) => [...(i > 0 ? [".PP"] : []), roff(paragraph)]),
    ".SH COMMANDS",
    ...commands.flatMap((command) => [".TP", `.B ${roff(calledAs(command))}`, ...whatOf(command).map(roff)]),
    ".SH OPTIONS",
    ...optionsOf(manual).flatMap((option) =>
      optionEntry(
        option,
        Object.values(inEnvironment).some(({ flag }) => flag === option.flag),
      ),
    ),
    ".SH EXIT STATUS",
    ...exits.flatMap(([code, what]) => [".TP", `.B ${code}`, roff(what)]),
    "",
  ].join("\n");
}

function optionEntry(option: Option, hasEnvironment: boolean): string[] {
  const bounds = isNumber(option) ? `, ${option.min} to ${option.max}` : "";
  const variable = hasEnvironment ? ` Environment: ${environmentName(option.flag)}.` : "";
  const value = VALUES[option.kind] || (option.kind === "choice" ? option.choices.join("|") : "");
  return [
    ".TP",
    `\\fB${roff(option.flag)}\\fP${value === "" ? "" : ` \\fI${roff(value)}\\fP`}`,
    roff(`${option.what} (${option.default}${bounds}).${variable}`),
  ];
}

/** A text that roff prints as it stands: no escapes, no requests, hyphens that can be copied. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^(?=[.'])/, "\\&");
}
