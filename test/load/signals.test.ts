/** Which signals end a run: one wish that is told twice is one, and what nohup says holds. */
import { expect, test } from "bun:test";
import { isIgnored, withoutEchoes } from "../../src/load/signals.ts";

test("a wish that is told twice within half a second is one, and a later one is another", () => {
  let nowMs = 0;
  let acts = 0;
  const told = withoutEchoes(
    () => acts++,
    () => nowMs,
  );
  const actsAt = [0, 1, 499, 500, 501, 999, 1_000].map((atMs) => {
    nowMs = atMs;
    told();
    return acts;
  });
  expect(actsAt).toEqual([1, 1, 1, 2, 2, 2, 3]);
});

test("what a process was started to ignore is read from the kernel's own words", () => {
  const status = (mask: string) =>
    `Name:\tbun\nSigBlk:\t0000000000000000\nSigIgn:\t${mask}\nSigCgt:\tffffffffffffffff\n`;
  expect(isIgnored("SIGHUP", status("0000000001001001"))).toBe(true);
  expect(isIgnored("SIGHUP", status("0000000001001000"))).toBe(false);
  expect(isIgnored("SIGQUIT", status("0000000001001004"))).toBe(true);
  expect(isIgnored("SIGHUP", "")).toBe(false);
});
