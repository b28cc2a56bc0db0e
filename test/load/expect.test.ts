/** What --expect takes and refuses, and how a result is judged by it. */
import { describe, expect, test } from "bun:test";
import { judge, readExpectation, shownActual } from "../../src/load/expect.ts";
import { Histogram } from "../../src/load/histogram.ts";
import { percentilesOf, type Result } from "../../src/load/result.ts";
import { ConfigError } from "../../src/program/options.ts";
import { countsOf, EMPTY } from "../support/machines/results.ts";

/** 990 times: 1 ms for most, and the last ones slower and slower. */
const READY = new Histogram();
for (let i = 0; i < 990; i++) READY.add(i < 890 ? 1_000 : i < 940 ? 1_200 : i < 978 ? 1_500 : i < 988 ? 1_800 : 2_000);

const MEASURED: Result = {
  ...EMPTY,
  counts: countsOf({ offered: 1_000, done: 990, failed: 10, bytes: 3 * 1_024 * 1_024 }),
  offeredPerSecond: 100,
  achievedPerSecond: 95,
  percentiles: { ready: percentilesOf(READY), answer: percentilesOf(new Histogram()) },
  histograms: { ready: READY.toData() },
  errors: {
    "refused:session-full": { count: 7, first: "session-full: both seats are held" },
    "closed:1006": { count: 2, first: "cut off" },
  },
  generator: {
    workers: 1,
    cpuSeconds: 5,
    load: 0.5,
    lag: 900,
    queue: { p50: 80, p99: 700, max: 900 },
    isBottleneck: false,
  },
  cost: {
    cpuSeconds: 2,
    cpuMicrosPerSession: 250,
    cpuMicrosPerMessage: 40,
    sessionsPerCpuSecond: 4_000,
    residentBytesBefore: 1,
    residentBytesPeak: 2,
    residentBytesPerPeer: 4_096,
    kernelBytesPerPeer: null,
    leftOut: {},
  },
};

const verdictOf = (text: string, measured: Result = MEASURED) => judge(readExpectation(text), measured);

describe("an expectation", () => {
  test.each([
    ["ready.p99<=1.8ms", true, 1_800],
    ["ready.p99<1.8ms", false, 1_800],
    ["ready.p50=1ms", true, 1_000],
    ["ready.p50>1000us", false, 1_000],
    ["ready.p90>=0.0012s", true, 1_200],
    ["ready.p95<1.6ms", true, 1_500],
    ["ready.p99.85<1.9ms", false, 2_000],
    ["ready.p98.8<1.9ms", true, 1_800],
    ["ready.p999<2.1ms", true, 2_000],
    ["ready.p99.9<2ms", false, 2_000],
    ["ready.p100<=2ms", true, 2_000],
    ["ready.max<2.1ms", true, 2_000],
    ["ready.mean>1ms", true, READY.mean],
    ["failed=0", false, 10],
    ["done>=990", true, 990],
    ["hostile=0", true, 0],
    ["bytes<=3MiB", true, 3_145_728],
    ["errors<9", false, 9],
    ["errors.refused:session-full<10", true, 7],
    ["errors.timeout:ready=0", true, 0],
    ["lost=0", true, 0],
    ["errors.closed:4500<=2", true, 0],
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
  ])("%s is met: %p", (text, isMet, actual) => {
    expect(verdictOf(text)).toEqual({ text, isMet, actual });
  });

  test.each(["connect.p99<50s", "messages.achieved>=1%", "storm.p95<1s", "answer.p99<50s", "cost.kernel<999MiB"])(
    "%s is not met: not measured",
    (text) => {
      expect(verdictOf(text)).toEqual({ text, isMet: false, actual: null });
    },
  );

  test("of a share of what was offered is not met where nothing was offered at a set rate", () => {
    expect(verdictOf("achieved>=1%", { ...MEASURED, offeredPerSecond: null }).actual).toBeNull();
  });

  test("of a cost is not met where the relay's process was not named", () => {
    expect(verdictOf("cost.memory<4KiB", { ...MEASURED, cost: null })).toMatchObject({ isMet: false, actual: null });
  });
});

test.each([
  ...["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ETIMEDOUT", "EMFILE", "EADDRNOTAVAIL"],
  ...["ENOTFOUND", "EAI_AGAIN", "EPROTO", "DEPTH_ZERO_SELF_SIGNED_CERT", "ERR_TLS_CERT_ALTNAME_INVALID", "closed"],
])("an error of connecting that there can be is taken: %s", (name) => {
  expect(verdictOf(`errors.connect:${name}=0`).isMet).toBe(true);
});

describe("what was measured is shown in the kind of unit in which it was expected", () => {
  test.each([
    ["ready.p99<1s", "1.8 ms"],
    ["cost.memory<1MiB", "4 KiB"],
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
    ["redy.p99<50ms", "--help"],
    ["ready.p101<50ms", "up to 100"],
    ["ready.p0<50ms", "above 0"],
    ["errors.typo=0", "refused:…, closed:…, connect:…, timeout:…, broken, stuffed, other"],
    ["errors.refused:sesion-full=0", "session-full, role-taken"],
    ["errors.timeout:redy=0", "timeout:ready"],
    ["errors.refused:101=0", "refused:STATUS"],
    ["errors.refused:600=0", "refused:STATUS"],
    ["errors.closed:999=0", "1000 to 4999"],
    ["errors.closed:9999=0", "1000 to 4999"],
    ["errors.closed:4500:4500=0", "1000 to 4999"],
    ["errors.closed=0", "1000 to 4999"],
    ["errors.connect:ETYPO=0", "connect:closed, or the system's name, such as connect:ECONNREFUSED"],
    ["errors.connect:econnrefused=0", "connect:closed, or the system's name"],
    ["errors.connect:=0", "connect:closed, or the system's name"],
    ["errors.connect:constructor=0", "connect:closed, or the system's name"],
    ["errors.broken:text=0", "broken (breaks RFC 6455)"],
    ["closes.9999=0", "--help"],
    ["failed<NaN", "NAME OP VALUE"],
    ["failed<Infinity", "NAME OP VALUE"],
    ["ready.p99<NaNms", "NAME OP VALUE"],
    ["ready<50ms", "--help"],
    ["errors.<5", "refused:…, closed:…, connect:…, timeout:…, broken, stuffed, other"],
    ["constructor<5", "--help"],
    ["errors.constructor<5", "refused:…, closed:…, connect:…, timeout:…, broken, stuffed, other"],
    ["ready.p99<50", "us, ms, s"],
    ["ready.p99<50m", "us, ms, s"],
    ["ready.p99<50%", "us, ms, s"],
    ["cost.memory<4KB", "B, KiB, MiB"],
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
