/** The kernel's line about a process. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseStat } from "../../src/lockdown/proc.ts";

const NOTHING = { cpuSeconds: null, startedSeconds: null, environment: null };

test("times and the place of the environment are found behind a name with spaces and brackets", () => {
  const fields = Array.from({ length: 50 }, (_, n) => `${n + 3}`).join(" "); // each says its own number, from 3 on
  expect(parseStat(`42 (a) (b c)) ${fields}\n`)).toEqual({
    cpuSeconds: (14 + 15) / 100,
    startedSeconds: 22 / 100,
    environment: { start: 50, end: 51 },
  });
});

test("the kernel's own line is understood", () => {
  const { cpuSeconds, startedSeconds, environment } = parseStat(readFileSync("/proc/self/stat", "latin1"));
  expect(cpuSeconds).toBeGreaterThan(0);
  expect(startedSeconds).toBeGreaterThan(0);
  expect((environment?.end ?? 0) - (environment?.start ?? 0)).toBeGreaterThan(0);
});

test.each([[""], ["42"], ["42 (a"], ["no such process"], ["1 (a) S 1 2 3"]])("%j says nothing", (line) => {
  expect(parseStat(line)).toEqual(NOTHING);
});
