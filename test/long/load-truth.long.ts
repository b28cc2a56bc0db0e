/**
 * The load tester against a relay whose delays and faults are known: does it report what was so? A delay is never
 * shorter than it is, so lower bounds are strict; upper ones leave room for a machine that others keep busy, but not
 * for other tests beside it.
 */
import { describe, expect, test } from "bun:test";
import { EXIT } from "../../src/load/outcome.ts";
import { expectDelay, expectStall, expectWhole } from "../support/machines/load-checks.ts";
import { LoadRun, load } from "../support/machines/load-run.ts";
import { atLeast, until } from "../support/machines/until.ts";
import { FakeRelay } from "../support/relays/fake-relay.ts";

describe("known delays are what is reported", () => {
  const READY_MS = 300;
  const MESSAGE_MS = 200;

  test("of ready, of the answer and of a whole session", async () => {
    await using fake = await FakeRelay.start({ readyMs: READY_MS, messageMs: MESSAGE_MS });
    const { exitCode, result } = await load("source", "handshake", fake.url, "--sessions", "40", "--candidates", "3");
    expect(exitCode).toBe(0);
    expectWhole(result);
    expectDelay(result, "connect", 0);
    expectDelay(result, "ready", READY_MS);
    expectDelay(result, "answer", READY_MS + 2 * MESSAGE_MS);
    expectDelay(result, "session", READY_MS + 2 * MESSAGE_MS);
    expect(result).toMatchObject({ main: "session", counts: { offered: 40, done: 40, sent: 320, received: 320 } });
    expect(result.percentiles).toMatchObject({ ready: { count: 40 }, answer: { count: 40 }, connect: { count: 80 } });
    expect((await fake.seen()).messages).toBe(320);
  });

  test("of messages", async () => {
    await using fake = await FakeRelay.start({ messageMs: MESSAGE_MS });
    const options = ["--pairs", "4", "--message-rate", "20", "--duration", "500ms"];
    const { result } = await load("source", "relay", fake.url, ...options);
    expectWhole(result);
    expectDelay(result, "message", MESSAGE_MS);
    expect(result).toMatchObject({ main: "message", counts: { done: 4, sent: 80, received: 80 } });
    expect((await fake.seen()).messages).toBe(80);
  });

  test("of one session in ten, in the percentiles above", async () => {
    const SLOW_MS = 500;
    await using fake = await FakeRelay.start({ slowReadyMs: SLOW_MS, slowReadyEvery: 10 });
    const { result } = await load("source", "handshake", fake.url, "--sessions", "50");
    expect(result.percentiles.ready?.p50).toBeLessThan(SLOW_MS * 1_000);
    expect(result.percentiles.ready?.p99).toBeGreaterThanOrEqual(SLOW_MS * 1_000);
    expect(result.percentiles.ready?.mean).toBeGreaterThanOrEqual((SLOW_MS / 10) * 1_000);
  });

  test("of a relay that stalls, at a rate: nothing that was meant to begin meanwhile is left out", async () => {
    await using fake = await FakeRelay.start();
    await using run = await LoadRun.start("source", "handshake", fake.url, "--rate", "150", "--duration", "2500ms");
    await until("51 sessions", async () => (await fake.seen()).sessions, atLeast(51));
    const stalledMs = await fake.stall(1_000);
    const { result } = await run.over();
    expectWhole(result);
    expectStall(result, 150, stalledMs);
    expect(result.counts).toMatchObject({ offered: 375, started: 375, done: 375, failed: 0 });
    expect(result.offeredPerSecond).toBeCloseTo(150, 0);
  });
});

describe("the load is what was asked for", () => {
  test("without a rate, no more sessions at once than were asked for", async () => {
    await using fake = await FakeRelay.start({ sessionFaults: ["mute"] });
    const options = ["--concurrency", "7", "--sessions", "14", "--timeout", "300ms"];
    const { result } = await load("source", "handshake", fake.url, ...options);
    expect(result).toMatchObject({ counts: { offered: 14, failed: 14 }, peakPeers: 14, offeredPerSecond: null });
    expect(await fake.seen()).toMatchObject({ upgrades: 28, mostOpen: 14, sessions: 14 });
  });

  test("at a rate, sessions begin whatever becomes of those before them", async () => {
    await using fake = await FakeRelay.start({ sessionFaults: ["mute"] });
    const options = ["--rate", "100", "--duration", "300ms", "--timeout", "1s"];
    const { result } = await load("source", "handshake", fake.url, ...options);
    expect(result).toMatchObject({ counts: { offered: 30, failed: 30, done: 0 }, offeredPerSecond: 100 });
    expect(await fake.seen()).toMatchObject({ sessions: 30, mostOpen: 60 });
  });

  test("two workers share it, and take the targets in turns", async () => {
    await using alice = await FakeRelay.start();
    await using bob = await FakeRelay.start();
    const options = ["--sessions", "40", "--concurrency", "5", "--workers", "2"];
    const { result } = await load("source", "handshake", alice.url, bob.url, ...options);
    expectWhole(result);
    expect(result).toMatchObject({ targets: [alice.url, bob.url], counts: { done: 40 }, generator: { workers: 2 } });
    const seen = [await alice.seen(), await bob.seen()];
    expect(seen.map(({ sessions }) => sessions)).toEqual([20, 20]);
    for (const { mostOpen } of seen) expect(mostOpen).toBeLessThan(40); // those that are over have hung up
  });
});

test("what goes wrong is counted by its kind, and the first of each is told", async () => {
  await using fake = await FakeRelay.start({
    upgradeFaults: ["refuse", "hang"],
    upgradeFaultEvery: 20,
    sessionFaults: ["close", "complain", "drop", "mute", "lose"],
    sessionFaultEvery: 3,
  });
  const options = ["--sessions", "60", "--concurrency", "9", "--timeout", "1s"];
  const { exitCode, stdout, result } = await load("source", "handshake", fake.url, ...options);
  expect(exitCode).toBe(EXIT.failed);
  expectWhole(result);
  const { faults } = await fake.seen();
  const expected = {
    "refused:503": { count: faults.refuse, first: expect.stringContaining("503") },
    "timeout:connect": { count: faults.hang, first: expect.stringContaining("1 s") },
    "closed:4500": { count: faults.close, first: expect.stringContaining("4500") },
    "refused:role-taken": { count: faults.complain, first: expect.stringContaining("this seat is held") },
    "closed:1006": { count: faults.drop, first: expect.stringContaining("without a close frame") },
    "timeout:ready": { count: faults.mute, first: expect.stringContaining("not ready") },
    "timeout:session": { count: faults.lose, first: expect.stringContaining("not done") },
  };
  expect(result.errors as object).toEqual(expected);
  expect(Object.values(faults).every((count) => count > 0)).toBe(true);
  const failed = Object.values(faults).reduce((sum, count) => sum + count, 0);
  expect(result.counts).toMatchObject({ offered: 60, failed, done: 60 - failed });
  for (const [kind, { count, first }] of Object.entries(result.errors)) {
    const line = stdout.split("\n").find((line) => line.startsWith(`  ${kind} `));
    expect(line).toContain(` ${count} `);
    expect(line).toContain(first.slice(0, 40));
  }
});

test("messages that the generator did not get to are in their time all the same, and it is said whose fault that is", async () => {
  const options = ["--pairs", "2", "--message-rate", "50", "--duration", "2s", "--timeout", "500ms"];
  await using fake = await FakeRelay.start();
  await using run = await LoadRun.start("source", "relay", fake.url, ...options);
  await until("21 messages", async () => (await fake.seen()).messages, atLeast(21));
  const [worker = 0] = run.workers;
  process.kill(worker, "SIGSTOP");
  await Bun.sleep(1_000);
  process.kill(worker, "SIGCONT");
  const { stdout, result } = await run.over();
  const { meant, sent, failed } = result.counts;
  expect({ meant, failed }).toEqual({ meant: 400, failed: 0 });
  expect(meant - sent).toBeGreaterThan(50);
  expect(result.percentiles.message?.count).toBe(meant);
  expect(result.percentiles.message?.failed).toBeGreaterThanOrEqual(meant - sent);
  expect(stdout).toContain(`of ${meant} messages were not sent, as the tester did not get to them in time.`);
});

test("a generator that was kept from its work warns that these times are its own, and leaves none out", async () => {
  const FROZEN_MS = 500;
  await using fake = await FakeRelay.start();
  await using run = await LoadRun.start("source", "handshake", fake.url, "--rate", "100", "--duration", "1s");
  await until("11 sessions", async () => (await fake.seen()).sessions, atLeast(11));
  const [worker = 0] = run.workers;
  process.kill(worker, "SIGSTOP");
  await Bun.sleep(FROZEN_MS);
  process.kill(worker, "SIGCONT");
  const { stdout, result } = await run.over();
  expect(result.counts).toMatchObject({ offered: 100, done: 100 });
  expect(result.generator.isBottleneck).toBe(true);
  expect(result.generator.lag).toBeGreaterThan(0.9 * FROZEN_MS * 1_000);
  expect(result.generator.queue.max).toBeGreaterThan(0.9 * FROZEN_MS * 1_000);
  expect(result.generator.queue.p99).toBeGreaterThan(0.8 * FROZEN_MS * 1_000);
  expect(result.percentiles.session?.p99).toBeGreaterThan(0.9 * FROZEN_MS * 1_000);
  expect(stdout).toContain("WARNING: The generator was the bottleneck");
});
