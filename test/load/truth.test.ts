/**
 * The load tester against a relay whose delays and faults are known, and against the real one: does it report what was
 * so? A delay is never shorter than it is, so lower bounds are strict; upper ones leave room for a machine that others
 * keep busy.
 */
import { describe, expect, test } from "bun:test";
import { readAsked } from "../../src/load/config.ts";
import { EXIT } from "../../src/load/outcome.ts";
import { ConfigError } from "../../src/program/options.ts";
import { Authority } from "../support/machines/certificates.ts";
import { newFolder } from "../support/machines/folder.ts";
import { freePort } from "../support/machines/free-port.ts";
import { expectDelay, expectStall, expectWhole } from "../support/machines/load-checks.ts";
import { LoadRun, load, loadCommand } from "../support/machines/load-run.ts";
import { counted } from "../support/machines/metrics.ts";
import { openFiles } from "../support/machines/outside.ts";
import { atLeast, atMost, until } from "../support/machines/until.ts";
import { FakeRelay } from "../support/relays/fake-relay.ts";
import { run, spawnRelay, VARIANTS } from "../support/relays/relay.ts";

/** All the load comes from this machine, faster than one person may. */
const EXEMPT = ["--exempt", "127.0.0.1"];

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
  expect(result.percentiles.session?.p99).toBeGreaterThan(0.9 * FROZEN_MS * 1_000);
  expect(stdout).toContain("WARNING: The generator was the bottleneck");
});

describe("what it says and writes", () => {
  test("expectations are listed with what was measured, and the exit code is 1 where one is not met", async () => {
    await using fake = await FakeRelay.start();
    const met = ["--expect", "done=3", "--expect", "session.max<60s"];
    const all = await load("source", "handshake", fake.url, "--sessions", "3", ...met);
    expect(all.exitCode).toBe(0);
    expect(all.result.expectations.map(({ isMet }) => isMet)).toEqual([true, true]);
    const some = await load("source", "handshake", fake.url, "--sessions", "3", ...met, "--expect", "failed>0");
    expect(some.exitCode).toBe(1);
    expect(some.result.expectations[2]).toEqual({ text: "failed>0", isMet: false, actual: 0 });
    expect(some.stdout).toMatch(/^ {2}met +done=3 +3$/m);
    expect(some.stdout).toMatch(/^ {2}NOT MET +failed>0 +0$/m);
    expect(some.stdout).toContain("WARNING: 1 of 3 expectations not met");
  });

  test("a report is a page about the run", async () => {
    await using fake = await FakeRelay.start();
    await using folder = await newFolder();
    const page = folder.file("report.html");
    await load("source", "handshake", fake.url, "--sessions", "3", "--report", page);
    const html = await Bun.file(page).text();
    expect(html).toStartWith("<!doctype html>");
    expect(html).toContain(fake.url);
  });

  test.each(["--json", "--report"])("a file for %s that can't be written is one line, after all else", async (flag) => {
    await using fake = await FakeRelay.start();
    const command = loadCommand("source", "handshake", fake.url, "--sessions", "3", flag, "/dev/full");
    const { exitCode, stdout, stderr } = await run(command);
    expect(exitCode).toBe(EXIT.broken);
    expect(stdout).toContain("sessions done");
    expect(stderr).toMatch(new RegExp(`^whisper-load: ${flag} "/dev/full": .*ENOSPC.*\\n$`));
  });

  test.each(["--json", "--report"])("a folder that is not there is named before a run, for %s", async (flag) => {
    const command = loadCommand("source", "handshake", "ws://127.0.0.1:1", flag, "/nowhere/file");
    expect(await run(command)).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: `whisper-load: ${flag} "/nowhere/file" can't be written\n`,
    });
  });

  test("what speaks no HTTP at all is named without its own words", async () => {
    const open = (socket: Bun.Socket) => void socket.end("\0rubbish\r\n\r\n");
    using rubbish = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { open, data() {} } });
    const { exitCode, result } = await load("source", "handshake", `ws://127.0.0.1:${rubbish.port}`, "--sessions=2");
    expect(exitCode).toBe(EXIT.nothing);
    expect(Object.keys(result.errors)).toEqual(["broken"]);
  });

  test("where nobody listens, it says so, and the exit code tells it", async () => {
    const { exitCode, stdout, result } = await load(
      "source",
      "handshake",
      `ws://127.0.0.1:${freePort()}`,
      "--sessions=1",
    );
    expect(exitCode).toBe(EXIT.nothing);
    expect(result).toMatchObject({ counts: { offered: 1, failed: 1 }, peakPeers: 0 });
    expect(stdout).toMatch(/^ {2}connect:ECONNREFUSED +1 +a peer could not connect: .*$/m);
  });

  test.each<[args: string[], message: string]>([
    [["shake"], 'scenario "shake" is not handshake or hold or relay or storm or hostile'],
    [["handshake"], "no URL is given"],
    [["handshake", "http://127.0.0.1"], 'target "http://127.0.0.1" is not a ws:// or wss:// URL'],
    [["handshake", "ws://127.0.0.1", "--rate", "fast"], '--rate "fast" is not a whole number from 0 to 1000000'],
    [
      ["handshake", "ws://127.0.0.1", "--rate", "1", "--concurrency", "1"],
      "--rate and --concurrency are not given together",
    ],
    [
      ["handshake", "ws://127.0.0.1", "--duration=1ms"],
      '--duration "1ms" is not a whole number with a unit (ms, s, m, h) from 100ms to 24h',
    ],
    [["handshake", "ws://127.0.0.1", "--workers=3", "--sessions=2"], '--workers "3" is more than --sessions "2"'],
    [["handshake", "ws://127.0.0.1", "--header", "rubbish"], '--header "rubbish" is not a line such as'],
    [["handshake", "ws://127.0.0.1", "--bananas"], 'unknown option "--bananas"'],
  ])("%j can't be run", (args, message) => {
    expect(() => readAsked(args)).toThrow(ConfigError);
    expect(() => readAsked(args)).toThrow(message);
  });

  test.each([
    ["--workers", "some"],
    ["--source", "banana"],
    ["--expect", "errors.typo=0"],
    ["--pid-of-port", "1"],
    ["--metrics", "http://127.0.0.1:1/metrics"],
    ["--start-at", "tomorrow"],
    ["--expect", "failed=none"],
    ["--pid", "4194304"],
  ])("%s %s is refused in one line, and the exit code is 2", async (flag, value) => {
    const { exitCode, stdout, stderr } = await run(loadCommand("source", "handshake", "ws://127.0.0.1", flag, value));
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toStartWith(`whisper-load: ${flag} "${value}"`);
    expect(stderr.match(/\n/g)?.length).toBe(1);
  });
});

describe.each(VARIANTS)("against the real relay, both as %s", (variant) => {
  test("the relay counts the same sessions, and holds nothing afterwards", async () => {
    await using relay = await spawnRelay(variant, ...EXEMPT, "--admin", "127.0.0.1:0");
    const before = openFiles(relay.process.pid);
    const { exitCode, result } = await load(variant, "handshake", relay.url, "--sessions", "101", "--workers", "2");
    expect(exitCode).toBe(0);
    expectWhole(result);
    expect(result).toMatchObject({ counts: { done: 101, failed: 0, sent: 606, received: 606 }, errors: {} });
    await until("its files to be closed", () => openFiles(relay.process.pid), atMost(before));
    expect(await counted(relay, "whisper_session_outcomes_total")).toEqual({ paired: 101 });
    expect(await counted(relay, "whisper_upgrades_total")).toEqual({ taken: 202 });
    expect(await counted(relay, "whisper_peers")).toEqual({});
  });
});

describe("against the real relay", () => {
  test.each([
    ["hold", ["--pairs", "20", "--duration", "200ms"], { done: 20 }],
    ["relay", ["--pairs", "5", "--message-rate", "20", "--duration", "500ms"], { done: 5, sent: 100, received: 100 }],
    ["storm", ["--pairs", "20", "--jitter", "100ms"], { done: 20, thrown: 20, returned: 20, stranded: 0 }],
    ["hostile", ["--sessions", "200", "--share", "40"], {}],
  ])("%s: all that is good ends well, and the relay holds nothing afterwards", async (scenario, options, counts) => {
    await using relay = await spawnRelay("source", ...EXEMPT, "--admin", "127.0.0.1:0");
    const { pid } = relay.process;
    const before = openFiles(pid);
    const { exitCode, result } = await load("source", scenario, relay.url, ...options, "--pid", String(pid));
    expect(exitCode).toBe(0);
    expectWhole(result);
    expect(result.counts).toMatchObject({ failed: 0, ...counts });
    expect(result.counts.done).toBe(result.counts.offered);
    expect(result.counts.hostile > 0).toBe(scenario === "hostile");
    expect(result.cost?.cpuSeconds).toBeGreaterThan(0);
    await until("its files to be closed", () => openFiles(pid), atMost(before));
    expect(await counted(relay, "whisper_peers")).toEqual({});
    expect(await counted(relay, "whisper_sessions")).toEqual({});
  });

  test.each(["--pid-of-port", "--metrics"])("what it spends is found by %s", async (flag) => {
    await using relay = await spawnRelay("source", ...EXEMPT, "--admin", "127.0.0.1:0");
    const [, admin] = /listening for the operator on ([^\s"]+)/.exec(relay.stdout.text) ?? [];
    const value = flag === "--metrics" ? `${admin}/metrics` : `${relay.port}`;
    const { exitCode, result } = await load("source", "handshake", relay.url, "--sessions", "300", flag, value);
    expect(exitCode).toBe(EXIT.good);
    expect(result.troubles).toEqual([]);
    expect(result.cost?.cpuSeconds).toBeGreaterThan(0);
    expect(result.cost?.residentBytesPeak).toBeGreaterThan(10_000_000);
  });

  test("a certificate that nobody vouches for needs --insecure", async () => {
    await using authority = await Authority.create();
    await using relay = await spawnRelay("source", ...EXEMPT, ...(await authority.issue()).args);
    const args = ["handshake", relay.url, "--sessions", "5"];
    const wary = await load("source", ...args);
    expect(wary.exitCode).toBe(EXIT.nothing);
    expect(wary.result).toMatchObject({ counts: { failed: 5 }, peakPeers: 0 });
    expect(Object.keys(wary.result.errors)).toEqual([expect.stringMatching(/^connect:.*/)]);
    const trusting = await load("source", ...args, "--insecure");
    expect(trusting.exitCode).toBe(0);
    expect(trusting.result).toMatchObject({ counts: { done: 5, failed: 0 }, errors: {} });
  });
});
