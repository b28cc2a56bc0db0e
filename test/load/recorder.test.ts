/** What workers record, and the sum of it: nothing is lost between reports, and nothing counted twice. */
import { expect, test } from "bun:test";
import { Histogram } from "../../src/load/histogram.ts";
import { Recorder } from "../../src/load/recorder.ts";
import type { Storm } from "../../src/load/result.ts";
import { Tally } from "../../src/load/tally.ts";

const USAGE = { seconds: 1, cpuSeconds: 0.25, queue: new Histogram().toData() };

test("a report holds what came since the last one, and the next begins at nothing", () => {
  const recorder = new Recorder();
  recorder.counts.started = 3;
  recorder.time("ready", 1.5);
  recorder.lag(2);
  recorder.error("refused:session-full", "the first");
  recorder.error("refused:session-full", "the second");
  recorder.done(700);
  const delta = recorder.take(USAGE);
  expect(delta.counts).toMatchObject({ started: 3, done: 1, failed: 0 });
  expect(delta.times.ready).toMatchObject({ sum: 1_500, max: 1_500 });
  expect(delta.lags.max).toBe(2_000);
  expect(delta.errors).toEqual({ "refused:session-full": 2 });
  expect(delta.firstErrors).toEqual({ "refused:session-full": "the first" });
  expect(delta).toMatchObject({ lastDoneAt: 0.7, ...USAGE });
  expect(recorder.take(USAGE)).toMatchObject({
    times: {},
    errors: {},
    lags: { max: 0 },
    counts: { started: 0, done: 0 },
  });
  expect(delta.errors).toEqual({ "refused:session-full": 2 });
});

test("what never came to be is among the times of all, counted apart, of all workers", () => {
  const [alice, bob] = [new Recorder(), new Recorder()];
  const tally = new Tally("ready", 2);
  alice.time("ready", 1);
  alice.timeFailed("ready", 5_000);
  for (let n = 0; n < 2; n++) bob.timeFailed("ready", 5_000);
  tally.add(0, alice.take(USAGE));
  tally.add(1, bob.take(USAGE));
  tally.add(1, bob.take(USAGE)); // nothing more
  expect(tally.percentiles.ready).toMatchObject({ count: 4, failed: 3 });
});

test("of a relay's endless words, and of endless kinds of them, only so much is kept", () => {
  const recorder = new Recorder();
  for (let kind = 0; kind < 1_000; kind++) recorder.error(`refused:${kind}`, "x".repeat(100_000));
  const { errors, firstErrors } = recorder.take(USAGE);
  expect(Object.keys(errors)).toHaveLength(201);
  expect(errors["other"]).toBe(800);
  expect(JSON.stringify(firstErrors).length).toBeLessThan(250_000);
  recorder.error("refused:999", "again");
  recorder.error("refused:3", "again");
  expect(recorder.take(USAGE).errors).toEqual({ other: 1, "refused:3": 1 });
});

test("so many of the same are as many single ones", () => {
  const [single, many] = [new Recorder(), new Recorder()];
  for (let i = 0; i < 5; i++) single.timeFailed("ready", 7);
  many.timeFailed("ready", 7, 5);
  for (let i = 0; i < 5; i++) single.error("broken", "so");
  many.error("broken", "so", 5);
  expect(many.take(USAGE)).toEqual(single.take(USAGE));
  many.timeFailed("ready", 7, 0);
  expect(many.take(USAGE)).toMatchObject({ times: {}, failedTimes: {} });
});

/** Without the histogram's own error. */
function rounded(back: Storm["back"] | undefined) {
  return Object.fromEntries(
    Object.entries(back ?? {}).map(([share, at]) => [share, at && Number.parseFloat(at.toFixed(2))]),
  );
}

test("a storm's pairs were back when they were, of all workers, and never before all of them were", () => {
  const [alice, bob] = [new Recorder(), new Recorder()];
  const tally = new Tally("return", 2);
  alice.cutOff(0, 10);
  bob.cutOff(0, 10);
  for (let pair = 1; pair <= 10; pair++) alice.returned(0, 10 * pair);
  for (let pair = 1; pair <= 9; pair++) bob.returned(0, 10 * pair + 100);
  tally.add(0, alice.take(USAGE));
  tally.add(1, bob.take(USAGE));
  const back = { p50: 0.1, p95: 0.19, p99: null, p100: null };
  expect(rounded(tally.storms[0]?.back)).toEqual(back);
  expect(tally.storms[0]).toMatchObject({ pairs: 20, curve: [5, 10, 15, 19] });
  bob.returned(0, 1_234);
  tally.add(1, bob.take(USAGE));
  const [storm] = tally.storms;
  expect(rounded(storm?.back)).toEqual({ p50: 0.1, p95: 0.19, p99: 1.23, p100: 1.23 });
  expect(storm?.curve).toHaveLength(25);
  expect(storm?.curve.slice(-2)).toEqual([19, 20]);
});

test("the most peers at once are those since the last report", () => {
  const recorder = new Recorder();
  recorder.peers += 5;
  recorder.peers -= 3;
  expect(recorder.take(USAGE)).toMatchObject({ peers: 2, peakPeers: 5 });
  expect(recorder.take(USAGE)).toMatchObject({ peers: 2, peakPeers: 2 });
});

test("the tally is the sum of all workers, and each point of the timeline what came since the one before", () => {
  const [alice, bob] = [new Recorder(), new Recorder()];
  const tally = new Tally("session", 2);
  alice.time("session", 1);
  alice.counts.offered = 4;
  alice.error("closed:1006", "alice saw it");
  alice.peers = 2;
  bob.time("session", 3);
  bob.error("closed:1006", "bob saw it");
  bob.error("timeout:ready", "bob waited");
  bob.peers = 6;
  tally.add(0, alice.take(USAGE));
  tally.add(1, bob.take({ seconds: 1, cpuSeconds: 0.75, queue: USAGE.queue }));
  const first = tally.second(1);
  expect(first).toMatchObject({ at: 1, errors: 3, peers: 8, max: 3_000, p50: 1_000, generatorLoad: 0.75 });
  expect(first.counts.offered).toBe(4);

  alice.counts.offered = 1;
  alice.peers = 0;
  tally.add(0, alice.take(USAGE));
  expect(tally.second(2)).toMatchObject({ errors: 0, peers: 6, p50: null, p99: null, max: null, generatorLoad: 0.25 });
  expect(tally.timeline.map(({ counts }) => counts.offered)).toEqual([4, 1]);
  expect(tally.counts.offered).toBe(5);
  expect(tally.peakPeers).toBe(8);
  expect(tally.percentiles.session).toMatchObject({ count: 2, max: 3_000 });
  expect(tally.errors).toEqual({
    "closed:1006": { count: 2, first: "alice saw it" },
    "timeout:ready": { count: 1, first: "bob waited" },
  });
});

test("the load is that of the busiest worker over the run", () => {
  const tally = new Tally("session", 2);
  const recorder = new Recorder();
  for (const cpuSeconds of [0.2, 0.4]) tally.add(0, recorder.take({ ...USAGE, cpuSeconds }));
  tally.add(1, recorder.take({ ...USAGE, seconds: 2, cpuSeconds: 1 }));
  expect(tally.load).toBe(0.5);
  expect(tally.cpuSeconds).toBeCloseTo(1.6);
});
