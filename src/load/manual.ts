/** What the load tester can be asked to do: its help, manual page and completions say nothing else. Pure. */

import { ITSELF } from "../program/completions.ts";
import { type Manual, usageOf } from "../program/manual.ts";
import { helpFor } from "../program/options.ts";
import { FIND_OPTIONS, OPTIONS, SCENARIOS } from "./config.ts";
import { EXIT_MEANINGS } from "./outcome.ts";

export const NAME = "whisper-load";

const { json, report, hdr, expect } = OPTIONS;
/** What merge takes of the options: where results go and how they are judged. */
export const MERGE_OPTIONS = { json, report, hdr, expect };

const ABOUT = [
  "Several URLs are taken in turns, a session at a time: on one machine, 127.0.0.1 and 127.0.0.2 have ports of their own.",
  "A name in a URL is looked up for each connection, which an address saves. With wss: the load costs as much as serving it.",
  "Times count from when things were meant to begin; what failed counts as its time-out.",
];

export const LOAD: Manual = {
  name: NAME,
  summary: "loads a signaling relay over its public wire, and measures it",
  about: ABOUT,
  commands: [
    ...Object.entries(SCENARIOS).map(([name, { what }]) => ({
      ...{ name, operands: "URL... [OPTIONS]", what, takes: "text" as const, options: OPTIONS },
    })),
    {
      ...{ name: "find", operands: "SCENARIO URL... [OPTIONS]", takes: Object.keys(SCENARIOS) },
      what: "the largest rate at which all --expect hold, of",
      options: { ...OPTIONS, ...FIND_OPTIONS },
    },
    {
      ...{ name: "merge", operands: "FILE... [OPTIONS]", takes: "files", options: MERGE_OPTIONS },
      what: "one result of several machines' --json",
    },
    {
      ...{ name: "compare", operands: "A B [A B]...", takes: "files", options: {} },
      what: "ratios of what --json wrote of one and of the other, measured in turns",
    },
    {
      name: "schema",
      operands: "[find]",
      takes: "text",
      options: {},
      what: "prints the JSON schema of what --json writes",
    },
    { name: "print", operands: "WHAT", takes: Object.keys(ITSELF), options: {}, what: "prints what tells of itself" },
  ],
  inEnvironment: {},
  exits: EXIT_MEANINGS,
};

/** What --help prints. @param expectations the names that --expect takes, as lines */
export function helpText(version: string, expectations: string): string {
  return `${NAME} ${version}: ${LOAD.summary}.

Usage:
${usageOf(LOAD)}  ${NAME} --help
  ${NAME} --version

${ABOUT.join("\n")}

Exit codes, the first that fits:
${EXIT_MEANINGS.map(([code, what]) => `  ${`${code}`.padEnd(5)}${what}\n`).join("")}
--expect NAME OP VALUE, without spaces; OP is <, <=, =, >= or >:
${expectations}
Options, and in brackets the default and the bounds:
${helpFor(OPTIONS, false)}
Of find:
${helpFor(FIND_OPTIONS, false)}`;
}
