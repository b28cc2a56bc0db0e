/** What is a terminal, and what only looks like one. */
import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { isatty } from "node:tty";
import { isTerminal } from "../../src/program/terminal.ts";

test.each([
  ["/dev/ptmx", true],
  ["/dev/null", false],
  [import.meta.path, false],
])("%s is a terminal: %j, as the runtime says too", (path, isOne) => {
  const descriptor = openSync(path, "r");
  try {
    expect([isTerminal(descriptor), isatty(descriptor)]).toEqual([isOne, isOne]);
  } finally {
    closeSync(descriptor);
  }
});

test("what is closed is none", () => {
  expect(isTerminal(1_000_000)).toBe(false);
});
