/** docs/LOAD.md says what the code says: its tables of times, counts and exit codes, and every option's name. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { SILENCE_MS } from "../../src/load/coordinator.ts";
import { EXIT, EXIT_MEANINGS } from "../../src/load/outcome.ts";
import { COUNT_MEANINGS, SCHEMA, TIME_MEANINGS } from "../../src/load/result.ts";
import { ROOT } from "../support/relays/relay.ts";

const DOCS = readFileSync(resolve(ROOT, "docs/LOAD.md"), "utf8");

function table(name: string): string[][] {
  const [, block = ""] = new RegExp(`<!-- ${name}:[^\\n]*\\n(.*?)<!-- /${name} -->`, "s").exec(DOCS) ?? [];
  const rows = block.trim().split("\n").slice(2);
  return rows.map((row) => row.replace(/^\| | \|$/g, "").split(" | "));
}

test("the tables are those of the code", () => {
  expect(table("times")).toEqual(Object.entries(TIME_MEANINGS).map(([name, what]) => [name, what]));
  expect(table("counts")).toEqual(Object.entries(COUNT_MEANINGS).map(([name, what]) => [name, what]));
  expect(table("exits")).toEqual(EXIT_MEANINGS.map(([code, what]) => [`${code}`, what]));
  expect(EXIT_MEANINGS.map(([code]) => code).sort()).toEqual(Object.values(EXIT).sort());
});

test("the numbers in its sentences are those of the code", () => {
  expect(DOCS).toContain(`after ${SILENCE_MS / 1_000} s where a worker doesn't answer`);
  expect(DOCS).toContain(`Its \`schema\` is ${SCHEMA}.`);
});
