/** What --expect takes and refuses, and how a result is judged by it. */
import { describe, expect, test } from "bun:test";
import { judge, readExpectation, shownActual } from "../../src/load/expect.ts";
import type { Result } from "../../src/load/result.ts";
import { ConfigError } from "../../src/program/options.ts";
import { countsOf, EMPTY } from "../support/machines/results.ts";

const MEASURED: Result = {
  ...EMPTY,
  counts: countsOf({ offered: 1_000, done: 990, failed: 10, bytes: 3 * 1_024 * 1_024 }),
  offeredPerSecond: 100,
  achievedPerSecond: 95,
  percentiles: {
    ready: { count: 990, p50: 1_000, p90: 2_000, p99: 50_000, p999: 60_000, max: 70_000, mean: 1_500.5 },
    answer: { count: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0, mean: 0 },
  },
  errors: {
    "refused:session-full": { count: 7, first: "session-full: both seats are held" },
    "closed:1006": { count: 2, first: "cut off" },
  },
  generator: { workers: 1, cpuSeconds: 5, load: 0.5, lag: 900, isBottleneck: false },
  cost: {
    cpuSeconds: 2,
    cpuMicrosPerSession: 250,
    cpuMicrosPerMessage: 40,
    sessionsPerCpuSecond: 4_000,
    residentBytesBefore: 1,
    residentBytesPeak: 2,
    residentBytesPerPeer: 4_096,
    kernelBytesPerPeer: null,
  },
};

const verdictOf = (text: string, measured: Result = MEASURED) => judge(readExpectation(text), measured);

describe("an expectation", () => {
  test.each([
    ["ready.p99<=50ms", true, 50_000],
    ["ready.p99<50ms", false, 50_000],
    ["ready.p50=1ms", true, 1_000],
    ["ready.p50>1000us", false, 1_000],
    ["ready.p90>=0.002s", true, 2_000],
    ["ready.p999<61ms", true, 60_000],
    ["ready.p99.9<60ms", false, 60_000],
    ["ready.max<70.1ms", true, 70_000],
    ["ready.mean>1.5ms", true, 1_500.5],
    ["failed=0", false, 10],
    ["done>=990", true, 990],
    ["hostile=0", true, 0],
    ["bytes<=3MiB", true, 3_145_728],
    ["errors<9", false, 9],
    ["errors.refused:session-full<10", true, 7],
    ["errors.timeout:ready=0", true, 0],
    ["errors.constructor=0", true, 0],
    ["achieved>=95%", true, 0.95],
    ["achieved>=95.1%", false, 0.95],
    ["achieved>94.9", true, 95],
    ["generator.load<50%", false, 0.5],
    ["generator.load<0.6", true, 0.5],
    ["generator.lag<1ms", true, 900],
    ["cost.cpu<250us", false, 250],
    ["cost.cpu.message<=40us", true, 40],
    ["cost.sessions>3999", true, 4_000],
    ["cost.memory<=4KiB", true, 4_096],
    ["memory<4KiB", false, 4_096],
  ])("%s is met: %p", (text, isMet, actual) => {
    expect(verdictOf(text)).toEqual({ text, isMet, actual });
  });

  test.each(["connect.p99<50s", "answer.p99<50s", "cost.kernel<999MiB"])("%s is not met: not measured", (text) => {
    expect(verdictOf(text)).toEqual({ text, isMet: false, actual: null });
  });

  test("of a share of what was offered is not met where nothing was offered at a set rate", () => {
    expect(verdictOf("achieved>=1%", { ...MEASURED, offeredPerSecond: null }).actual).toBeNull();
  });

  test("of a cost is not met where the relay's process was not named", () => {
    expect(verdictOf("memory<4KiB", { ...MEASURED, cost: null })).toMatchObject({ isMet: false, actual: null });
  });
});

describe("what was measured is shown in the kind of unit in which it was expected", () => {
  test.each([
    ["ready.p99<1s", "50 ms"],
    ["memory<1MiB", "4 KiB"],
    ["achieved>=95%", "95 %"],
    ["achieved>=95", "95"],
    ["connect.p99<1s", "not measured"],
  ])("%s: %s", (text, shown) => {
    expect(shownActual(verdictOf(text))).toBe(shown);
  });
});

describe("what is no expectation is refused with one line that says what may stand there", () => {
  test.each([
    ["", "NAME OP VALUE"],
    ["ready.p99", "NAME OP VALUE"],
    ["ready.p99 < 50ms", "NAME OP VALUE"],
    ["ready.p99==50ms", "NAME OP VALUE"],
    ["ready.p99<-1ms", "NAME OP VALUE"],
    ["ready.p99<1e3ms", "NAME OP VALUE"],
    ["failed=0\nfailed=1", "NAME OP VALUE"],
    ["redy.p99<50ms", "connect, ready, answer"],
    ["ready.p98<50ms", ".p50 .p90 .p99"],
    ["ready<50ms", "generator.load"],
    ["errors.<5", "errors.KIND"],
    ["constructor<5", "errors.KIND"],
    ["ready.p99<50", "us, ms, s"],
    ["ready.p99<50m", "us, ms, s"],
    ["ready.p99<50%", "us, ms, s"],
    ["memory<4KB", "B, KiB, MiB"],
    ["failed<1%", "needs a number after <"],
    ["achieved>=95ms", "percentage"],
  ])("%j", (text, hint) => {
    let refusal: unknown;
    try {
      readExpectation(text);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(ConfigError);
    const message = (refusal as ConfigError).message;
    expect(message).toContain(`--expect ${JSON.stringify(text)}`);
    expect(message).toContain(hint);
    expect(message).not.toContain("\n");
  });

  test("an endless one is cut in the message", () => {
    expect(() => readExpectation("x".repeat(10_000))).toThrow(/^.{1,400}$/);
  });
});
