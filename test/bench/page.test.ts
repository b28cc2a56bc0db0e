/** From the samples of a benchmark to docs/BENCHMARKS.md: every measurement has its row, and every table its place. */
import { expect, test } from "bun:test";
import { resolve } from "node:path";
import { measurements, NAMES, type Sample } from "../../bench/measurements.ts";
import { pageWith, tablesOf } from "../../bench/page.ts";
import { SERVERS } from "../../bench/servers.ts";
import { NOTHING } from "../../src/load/figures.ts";
import { Histogram } from "../../src/load/histogram.ts";
import { percentilesOf } from "../../src/load/result.ts";
import { stalledResult } from "../support/machines/results.ts";
import { ROOT } from "../support/relays/relay.ts";

const CIRCUMSTANCES = { rounds: 2, seconds: 10, growth: [100, 2_000], nodeVersion: "v20.0.0" };
const SESSIONS = stalledResult();

/** The tables after two rounds. @param sessionMicros what a session costs in a measurement and a round */
function tables(sessionMicros: (measurement: string, round: number) => number): Record<string, string> {
  const messages = new Histogram();
  messages.add(300);
  const percentiles = { ...SESSIONS.percentiles, message: percentilesOf(messages) };
  const samples = [0, 1].flatMap((round) =>
    measurements(CIRCUMSTANCES).flatMap(({ name: measurement }) =>
      Object.keys(SERVERS).map((server): Sample => {
        const cpuMicrosPerSession = sessionMicros(measurement, round);
        const cost = SESSIONS.cost && { ...SESSIONS.cost, cpuMicrosPerSession };
        return { server, measurement, round, result: { ...SESSIONS, percentiles, cost } };
      }),
    ),
  );
  return tablesOf(samples, CIRCUMSTANCES);
}

test("every figure in the tables comes from a measurement that is made", () => {
  const blocks = Object.entries(tables(() => 100));
  for (const [name, block] of blocks) expect([name, block.includes(NOTHING)]).toEqual([name, false]);
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
  expect(tables(cost)["tls"]).toContain("| WSS as a multiple of WS | 4 | 4 | 4 |");
});
