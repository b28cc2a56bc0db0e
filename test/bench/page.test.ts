/** From the samples of a benchmark to docs/BENCHMARKS.md: every measurement has its row, and every table its place. */
import { expect, test } from "bun:test";
import { resolve } from "node:path";
import type { FirstPeer } from "../../bench/first-peer.ts";
import { type Limit, measurements, NAMES, type Sample } from "../../bench/measurements.ts";
import { pageWith, tablesOf } from "../../bench/page.ts";
import { SERVERS, type ServerName } from "../../bench/servers.ts";
import { halfLoad, type TailSample } from "../../bench/tail.ts";
import { NOTHING } from "../../src/load/figures.ts";
import { Histogram } from "../../src/load/histogram.ts";
import { percentilesOf } from "../../src/load/result.ts";
import { stalledResult } from "../support/machines/results.ts";
import { ROOT } from "../support/relays/relay.ts";

const CIRCUMSTANCES = {
  ...{ rounds: 2, seconds: 10, growth: [100, 2_000], servers: Object.keys(SERVERS) as ServerName[] },
  missing: ["PDP-11 was not measured: there is none"],
  versions: { node: "v20.0.0\n", go: "Go 1.0", uws: "20.30.0" },
};
const SESSIONS = stalledResult();

/** Of two rounds. @param sessionMicros what a session costs in a measurement and a round */
function samplesOf(sessionMicros: (measurement: string, round: number) => number): Sample[] {
  const messages = new Histogram();
  messages.add(300);
  const percentiles = { ...SESSIONS.percentiles, message: percentilesOf(messages) };
  return [0, 1].flatMap((round) =>
    measurements(CIRCUMSTANCES).flatMap(({ name: measurement }) =>
      Object.keys(SERVERS).map((server): Sample => {
        const cpuMicrosPerSession = sessionMicros(measurement, round);
        const cost = SESSIONS.cost && { ...SESSIONS.cost, cpuMicrosPerSession };
        return { server, measurement, round, result: { ...SESSIONS, percentiles, cost } };
      }),
    ),
  );
}

const LIMITS: Limit[] = [0, 1].flatMap((round) =>
  Object.keys(SERVERS).map((server) => ({ server, round, rate: 800 + 100 * round, isBottleneck: round === 1 })),
);
/** Of two starts of each, which take 40 and 60 ms until a pair is ready. */
const STARTS: FirstPeer[] = [0, 1].flatMap((i) =>
  CIRCUMSTANCES.servers.map((server) => {
    const ready = 40_000 + 20_000 * i;
    return { server, listening: ready - 5_000, joined: server === "relay" ? ready - 1_000 : null, ready };
  }),
);
/** Of two rounds at half load, in which the rival takes twice as long. */
const TAILS: TailSample[] = [0, 1].flatMap((round) =>
  (["relay", "uws"] as const).map((server) => {
    const messages = new Histogram();
    messages.add(server === "relay" ? 200 : 400);
    const percentiles = { message: percentilesOf(messages) };
    const result = { ...SESSIONS, percentiles, messagesAchievedPerSecond: 20_000, messagesOfferedPerSecond: 20_000 };
    return { server, round, result };
  }),
);
const tables = (sessionMicros: Parameters<typeof samplesOf>[0], circumstances = CIRCUMSTANCES) =>
  tablesOf({ samples: samplesOf(sessionMicros), limits: LIMITS, starts: STARTS, tails: TAILS }, circumstances);

test("every figure in the tables comes from a measurement that is made", () => {
  const { starts, ...blocks } = tables(() => 100);
  for (const [name, block] of Object.entries(blocks)) expect([name, block.includes(NOTHING)]).toEqual([name, false]);
  expect(starts).toContain("| until its first peer has heard `joined` | 49 ms (39 ms to 59 ms) | – |");
  expect(starts).toContain("| until its first pair has heard `ready` | 50 ms (40 ms to 60 ms) | 50 ms");
});

test("every table has its place in the docs, and the one before it is gone", async () => {
  const docs = await Bun.file(resolve(ROOT, "docs/BENCHMARKS.md")).text();
  const [before, after] = [111, 222].map((micros) => tables(() => micros));
  const page = pageWith(pageWith(docs, before ?? {}), after ?? {});
  for (const block of Object.values(after ?? {})) expect(page).toContain(block);
  expect(page).not.toContain("111 µs");
});

test("what TLS costs is told round by round, so that a slow round does not make it look dearer", () => {
  const cost = (measurement: string, round: number) => (measurement === NAMES.secure ? 400 : 100) * (round + 1);
  expect(tables(cost)["tls"]).toContain("| WSS as a multiple of WS | 4 | 4 | 4 | 4 | 4 | 4 |");
});

test("the largest rates are told with their spread, and how often they may be the load tester's own", () => {
  const { limits = "" } = tables(() => 100);
  expect(limits).toContain("| largest rate of sessions a second | 850 (800 to 900) |");
  expect(limits).toContain("the bottleneck | 50 % |");
});

test("what could not be measured here is said, and has no column", () => {
  const servers = CIRCUMSTANCES.servers.filter((name) => name !== "go");
  const { machine = "", ratios = "", starts = "" } = tables(() => 100, { ...CIRCUMSTANCES, servers });
  expect(starts).not.toContain("gorilla");
  expect(machine).toContain("- PDP-11 was not measured: there is none");
  expect(machine).toContain("- uWebSockets.js 20.30.0\n");
  expect(ratios).not.toContain("gorilla");
});

test("the slowest messages are told of the relay and the hardest rival, beside each other", () => {
  const { tail = "" } = tables(() => 100);
  expect(tail).toContain("Messages a second: 20,000; rounds: 2.");
  expect(tail).toContain("| 99.9th percentile | 200 µs | 400 µs |");
  expect(tail).toContain("| 99.9th percentile | 2 |");
  const alone = CIRCUMSTANCES.servers.filter((name) => name !== "uws");
  expect(tables(() => 100, { ...CIRCUMSTANCES, servers: alone })["tail"]).toContain("No rival");
});

test("half load is what takes half of the relay's core, or less where the load tester can't make it", async () => {
  const result = (share: number, load: number) => ({
    ...SESSIONS,
    messagesAchievedPerSecond: 20_000,
    cost: SESSIONS.cost && { ...SESSIONS.cost, cpuMicrosPerMessage: (share * 1e6) / 20_000 },
    generator: { ...SESSIONS.generator, load, isBottleneck: false },
  });
  expect(await halfLoad(async () => result(0.25, 0.1))).toBe(100);
  const upTo = (most: number) => async (rate: number) => {
    const { generator, ...others } = result(0.25, 0.1);
    return { ...others, generator: { ...generator, isBottleneck: rate > most } };
  };
  expect(await halfLoad(upTo(60))).toBe(49);
  expect(await halfLoad(upTo(0))).toBe(1);
  expect(await halfLoad(async () => result(0.25, 0.7))).toBe(50);
});
