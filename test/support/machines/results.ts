/**
 * Results of runs that never were, for whatever shows results: one that looks real, with a stall in it, and one that is
 * empty. The same on every call.
 */
import { Histogram } from "../../../src/load/histogram.ts";
import {
  COUNTS,
  type CountName,
  percentilesOf,
  type Result,
  SCHEMA,
  type Second,
  type TimeName,
} from "../../../src/load/result.ts";

/** No run at all: nothing was offered and nothing measured. */
export const EMPTY: Result = {
  schema: SCHEMA,
  version: "0.1.0",
  scenario: "handshake",
  targets: [],
  options: {},
  startedAt: "2026-01-02T03:04:05.000Z",
  seconds: 0,
  interrupted: false,
  troubles: [],
  main: "session",
  counts: countsOf({}),
  offeredPerSecond: null,
  achievedPerSecond: 0,
  messagesOfferedPerSecond: null,
  messagesAchievedPerSecond: null,
  percentiles: {},
  histograms: {},
  errors: {},
  peakPeers: 0,
  storms: [],
  timeline: [],
  generator: { workers: 1, cpuSeconds: 0, load: 0, lag: 0, queue: { p50: 0, p99: 0, max: 0 }, isBottleneck: false },
  cost: null,
  machine: { cpu: "a processor", cores: 2, kernel: "6.1.0", bun: "1.4.5" },
  expectations: [],
  exitCode: 0,
};

/** Counts of which all that aren't given are 0. */
export function countsOf(given: Partial<Record<CountName, number>>): Record<CountName, number> {
  return { ...(Object.fromEntries(COUNTS.map((name) => [name, 0])) as Record<CountName, number>), ...given };
}

const SECONDS = 60;
const RATE = 1_000;
/** For so long from then on, in s, the relay answers nobody. */
const STALL_AT = 40;
const STALL_SECONDS = 2;
/** Each time as a share of the whole session's. */
const SHARES = { connect: 0.2, ready: 0.45, answer: 0.7, session: 1 } as const satisfies Partial<
  Record<TimeName, number>
>;

/** A minute of 1,000 sessions a second, with a stall of two seconds that fails some of them. */
export function stalledResult(): Result {
  const all = new Map(Object.keys(SHARES).map((name) => [name, new Histogram()]));
  const timeline: Second[] = [];
  let main = new Histogram();
  for (let second = 0; second < SECONDS; second++) {
    for (let i = 0; i < RATE; i++) {
      const at = second + i / RATE;
      const waits = at >= STALL_AT && at < STALL_AT + STALL_SECONDS ? (STALL_AT + STALL_SECONDS - at) * 1e6 : 0;
      const micros = waits + 900 + 25 * (i % 37) + (i % 100 === 7 ? 4_000 : 0) + (i === 500 ? 9_000 + 100 * second : 0);
      main.add(micros);
      for (const [name, share] of Object.entries(SHARES)) all.get(name)?.add(waits + (micros - waits) * share);
    }
    const isStalled = second === STALL_AT || second === STALL_AT + 1;
    const isAfter = second === STALL_AT + STALL_SECONDS;
    const done = isStalled ? 0 : isAfter ? 3 * RATE - 60 : RATE;
    timeline.push({
      at: second + 1,
      counts: countsOf({
        offered: RATE,
        started: RATE,
        done,
        failed: isAfter ? 60 : 0,
        sent: 6 * done,
        received: 6 * done,
      }),
      errors: isAfter ? 60 : 0,
      peers: isStalled ? RATE * 2 * (second - STALL_AT + 1) : 4 + (second % 3) * 2,
      p50: isStalled ? null : main.percentile(50),
      p99: isStalled ? null : main.percentile(99),
      max: isStalled ? null : main.max,
      mostPeers: isStalled ? RATE * 2 * (second - STALL_AT + 1) : 8,
      leastPeers: 0,
      generatorQueue: isAfter ? 2_100 : 300,
      generatorLoad: 0.35 + (second % 5) * 0.02 + (isAfter ? 0.5 : 0),
    });
    if (!isStalled) main = new Histogram();
  }
  const done = RATE * SECONDS - 60;
  return {
    ...EMPTY,
    targets: ["ws://127.0.0.1:8000/"],
    options: { rate: "1000", duration: "60s", workers: "1", pid: "4242" },
    seconds: SECONDS,
    counts: countsOf({
      offered: RATE * SECONDS,
      started: RATE * SECONDS,
      done,
      failed: 60,
      sent: 6 * done,
      received: 6 * done,
      bytes: 6 * done * 410,
    }),
    offeredPerSecond: RATE,
    achievedPerSecond: done / SECONDS,
    percentiles: Object.fromEntries([...all].map(([name, histogram]) => [name, percentilesOf(histogram)])),
    histograms: Object.fromEntries([...all].map(([name, histogram]) => [name, histogram.toData()])),
    errors: {
      "timeout:ready": { count: 48, first: "no ready within 1000 ms of the second join" },
      "closed:1006": { count: 12, first: "the relay cut the connection while the initiator waited for ready" },
    },
    peakPeers: 4_000,
    timeline,
    generator: {
      workers: 1,
      cpuSeconds: 24.6,
      load: 0.41,
      lag: 240,
      queue: { p50: 60, p99: 310, max: 2_100 },
      isBottleneck: false,
    },
    cost: {
      cpuSeconds: 13.2,
      cpuMicrosPerSession: 220.2,
      cpuMicrosPerMessage: 36.7,
      sessionsPerCpuSecond: 4_541,
      residentBytesBefore: 41_000_000,
      residentBytesPeak: 57_400_000,
      residentBytesPerPeer: 4_100,
      kernelBytesPerPeer: 9_800,
      leftOut: {},
    },
    machine: { cpu: "AMD EPYC 7B13 64-Core Processor", cores: 2, kernel: "6.1.0-28-amd64", bun: "1.4.5" },
    expectations: [
      { text: "session.p50<5ms", isMet: true, actual: 1_375 },
      { text: "session.p99<50ms", isMet: false, actual: 1_398_000 },
      { text: "achieved>=95%", isMet: true, actual: 0.999 },
    ],
  };
}

/** One session in a tenth of a second, cut short: every series is a single point. */
export function tinyResult(): Result {
  const histogram = new Histogram();
  histogram.add(1_234);
  const counts = countsOf({ offered: 1, started: 1, done: 1, sent: 6, received: 6, bytes: 2_000 });
  return {
    ...EMPTY,
    targets: ["ws://[::1]:8000/"],
    seconds: 0.1,
    interrupted: true,
    counts,
    achievedPerSecond: 10,
    percentiles: { session: percentilesOf(histogram) },
    histograms: { session: histogram.toData() },
    peakPeers: 2,
    timeline: [
      {
        at: 0.1,
        counts,
        errors: 0,
        peers: 2,
        mostPeers: 2,
        leastPeers: 0,
        p50: 1_234,
        p99: 1_234,
        max: 1_234,
        generatorLoad: 0.2,
        generatorQueue: 60,
      },
    ],
  };
}

/** What a relay, a URL or a name could carry to break out of where it is shown: of a page, and of a terminal's line. */
export const HOSTILE = `</title></style></script>"'><img src=http://127.0.0.1:1/x onerror=alert(1)><script>alert(2)</script>\x1b[2J\r\n\x9b31m\u202e`;

/** The stalled run with something hostile wherever text may come from outside, and a generator that was too busy. */
export function hostileResult(): Result {
  const result = stalledResult();
  return {
    ...result,
    version: HOSTILE,
    scenario: HOSTILE,
    targets: [HOSTILE, "javascript:alert(3)"],
    options: { [HOSTILE]: HOSTILE },
    startedAt: HOSTILE,
    errors: { [HOSTILE]: { count: 3, first: HOSTILE.repeat(20) } },
    machine: { cpu: HOSTILE, cores: 2, kernel: HOSTILE, bun: HOSTILE },
    generator: {
      workers: 1,
      cpuSeconds: 60,
      load: 0.99,
      lag: 80_000,
      queue: { p50: 900, p99: 70_000, max: 90_000 },
      isBottleneck: true,
    },
    expectations: [{ text: HOSTILE, isMet: false, actual: null }],
  };
}
