/**
 * The load tester for longer, from source and as the binary: stalls, ramps and storms of known relays, relays that die
 * under it, and every scenario against the real one, which has to agree with it on what happened.
 */
import { describe, expect, test } from "bun:test";
import { SILENCE_MS } from "../../src/load/coordinator.ts";
import findSchema from "../../src/load/find.schema.json" with { type: "json" };
import { EXIT } from "../../src/load/outcome.ts";
import { RETURN_STEP_MS } from "../../src/load/result.ts";
import { wrongIn } from "../../src/load/schema.ts";
import { Authority } from "../support/machines/certificates.ts";
import { newFolder } from "../support/machines/folder.ts";
import { expectDelay, expectStall, expectWhole } from "../support/machines/load-checks.ts";
import { isRunning, LoadRun, load, loadCommand } from "../support/machines/load-run.ts";
import { counted } from "../support/machines/metrics.ts";
import { measured, openFiles } from "../support/machines/outside.ts";
import { atLeast, atMost, equals, until } from "../support/machines/until.ts";
import { FakeRelay } from "../support/relays/fake-relay.ts";
import { run, spawnRelay, VARIANTS } from "../support/relays/relay.ts";

/** All the load comes from this machine, faster than one person may. */
const EXEMPT = ["--exempt", "127.0.0.1"];

const MILLI = 1_000;
/** What --duration says where a run ends when it is made to. */
const ENDLESS = "1h";

describe.each(VARIANTS)("a relay that stalls, seen from %s", (variant) => {
  test.each([1, 2])("is measured for what it did in sessions begun by %d workers", async (workers) => {
    const perSecond = 100;
    await using fake = await FakeRelay.start();
    const options = ["--rate", `${perSecond}`, "--duration", "6s", "--workers", `${workers}`];
    await using run = await LoadRun.start(variant, "handshake", fake.url, ...options);
    await until("more sessions", async () => (await fake.seen()).sessions, atLeast(perSecond + 1));
    const stalledMs = await fake.stall(1_000);
    const { result } = await run.over();
    measured(`a stall of ${Math.round(stalledMs)} ms: ${JSON.stringify(result.percentiles.session)}`);
    expectWhole(result);
    expectStall(result, perSecond, stalledMs);
    expect(result.counts).toMatchObject({ offered: 6 * perSecond, done: 6 * perSecond, failed: 0 });
  });

  test("is measured for what it did in messages", async () => {
    await using fake = await FakeRelay.start();
    const options = ["--pairs", "15", "--message-rate", "10", "--duration", "5s"];
    await using run = await LoadRun.start(variant, "relay", fake.url, ...options);
    await until("301 messages", async () => (await fake.seen()).messages, atLeast(301));
    const stalledMs = await fake.stall(1_000);
    const { result } = await run.over();
    measured(`a stall of ${Math.round(stalledMs)} ms: ${JSON.stringify(result.percentiles.message)}`);
    expectWhole(result);
    expectStall(result, 2 * 15 * 10, stalledMs);
    expect(result.counts).toMatchObject({ sent: 1_500, received: 1_500, done: 15, failed: 0 });
  });
});

test("a generator that was kept from its work counts the messages of that time as late, and warns", async () => {
  const FROZEN_MS = 500;
  await using fake = await FakeRelay.start();
  const options = ["--pairs", "5", "--message-rate", "20", "--duration", "3s"];
  await using run = await LoadRun.start("source", "relay", fake.url, ...options);
  await until("51 messages", async () => (await fake.seen()).messages, atLeast(51));
  const [worker = 0] = run.workers;
  process.kill(worker, "SIGSTOP");
  await Bun.sleep(FROZEN_MS);
  process.kill(worker, "SIGCONT");
  const { result } = await run.over();
  expectStall(result, 2 * 5 * 20, FROZEN_MS);
  expect(result.counts).toMatchObject({ sent: 600, received: 600 });
  expect(result.generator.isBottleneck).toBe(true);
});

test("messages that arrive long after the last was sent are timed, and those that never do are counted", async () => {
  await using slow = await FakeRelay.start({ messageMs: 700 });
  const options = ["--pairs", "2", "--message-rate", "20", "--duration", "200ms", "--timeout", "1s"];
  const late = await load("source", "relay", slow.url, ...options);
  expectDelay(late.result, "message", 700);
  expect(late.result).toMatchObject({ counts: { sent: 16, received: 16, done: 2, failed: 0 }, errors: {} });
  await using lossy = await FakeRelay.start({ sessionFaults: ["silence"], sessionFaultEvery: 2 });
  const lost = await load("source", "relay", lossy.url, ...options);
  expect(lost.result).toMatchObject({ counts: { sent: 16, received: 8, lost: 8, done: 2, failed: 0 }, errors: {} });
  expect(lost.exitCode).toBe(EXIT.failed);
});

test.each([0, 10, 100, 400])("a delay of %d ms is measured at a rate", async (delayMs) => {
  await using fake = await FakeRelay.start({ readyMs: delayMs, messageMs: delayMs });
  const { result } = await load("source", "handshake", fake.url, "--rate", "100", "--duration", "3s");
  measured(`a delay of ${delayMs} ms: ${JSON.stringify(result.percentiles)}`);
  expectWhole(result);
  expectDelay(result, "ready", delayMs);
  expectDelay(result, "answer", 3 * delayMs);
  expectDelay(result, "session", 3 * delayMs);
  expect(result.counts).toMatchObject({ offered: 300, done: 300 });
});

test("a ramp grows evenly: a quarter of what it begins falls into its first half", async () => {
  await using fake = await FakeRelay.start();
  const options = ["--rate", "200", "--ramp", "4s", "--duration", "4s"];
  const { result } = await load("source", "handshake", fake.url, ...options);
  expectWhole(result);
  expect(result.counts).toMatchObject({ offered: 400, done: 400 });
  const { joinsMs } = await fake.seen();
  const [first = 0] = joinsMs;
  const early = joinsMs.filter((atMs) => atMs < first + 2_000).length / joinsMs.length;
  expect(early).toBeGreaterThan(0.15);
  expect(early).toBeLessThan(0.35);
});

test.each([
  ["all at once", 0],
  ["over the time that was asked for, which is not counted as their delay", 1_500],
])("after each storm peers come back %s", async (_when, jitterMs) => {
  await using fake = await FakeRelay.start();
  const options = ["--pairs", "100", "--jitter", `${jitterMs}ms`, "--storms", "2", "--workers", "2"];
  const { result } = await load("source", "storm", fake.url, ...options);
  expectWhole(result);
  expectDelay(result, "return", 0);
  expect(result).toMatchObject({
    counts: { offered: 100, done: 100, failed: 0, thrown: 200, returned: 200, stranded: 0 },
  });
  expect(result).toMatchObject({ errors: {}, storms: [{ pairs: 100 }, { pairs: 100 }] });
  for (const { back, curve } of result.storms) {
    expect(curve.at(-1)).toBe(100);
    expect(back.p50 ?? 0).toBeGreaterThanOrEqual((0.3 * jitterMs) / MILLI);
    expect(Math.floor(((back.p100 ?? 0) * MILLI) / RETURN_STEP_MS)).toBe(curve.length - 1);
  }
  expect(result.percentiles.return?.count).toBe(400);
  const { joinsMs } = await fake.seen();
  for (const storm of [1, 2]) {
    const returns = joinsMs.slice(storm * 200, (storm + 1) * 200);
    expect(returns.length).toBe(200);
    const overMs = Math.max(...returns) - Math.min(...returns);
    measured(`200 peers with a jitter of ${jitterMs} ms came back over ${Math.round(overMs)} ms`);
    expect(overMs).toBeGreaterThan(0.8 * jitterMs);
    expect(overMs).toBeLessThan(jitterMs + MILLI);
  }
});

test("a relay that dies is offered as much as before, and each session that it fails is counted", async () => {
  await using fake = await FakeRelay.start();
  await using run = await LoadRun.start("source", "handshake", fake.url, "--rate", "100", "--duration", "4s");
  await until("161 sessions", async () => (await fake.seen()).sessions, atLeast(161));
  await fake[Symbol.asyncDispose]();
  const { exitCode, result } = await run.over();
  expect(exitCode).toBe(EXIT.failed);
  expectWhole(result);
  const { offered, done, failed } = result.counts;
  expect(offered).toBe(400);
  expect(done + failed).toBe(400);
  expect(done).toBeGreaterThan(100);
  expect(result.errors["connect:ECONNREFUSED"]?.count).toBeGreaterThan(50);
  const errors = Object.values(result.errors).reduce((sum, { count }) => sum + count, 0);
  expect(errors).toBe(failed);
});

describe.each(VARIANTS)("against the real relay, both as %s", (variant) => {
  test.each([
    ["handshake", ["--concurrency", "40", "--duration", "5s"], null],
    ["handshake", ["--rate", "100", "--duration", "5s"], 500],
    ["hold", ["--pairs", "300", "--duration", "8s"], 300], // several times the interval between two pings
    ["relay", ["--pairs", "50", "--message-rate", "10", "--duration", "5s"], 50],
    ["storm", ["--pairs", "300", "--storms", "2"], 300],
    ["storm", ["--pairs", "300", "--storms", "2", "--jitter", "2s"], 300],
  ])(
    "%s %j: nothing fails, the relay counts the same and holds nothing afterwards",
    async (scenario, options, meant) => {
      await using relay = await spawnRelay(variant, ...EXEMPT, "--admin", "127.0.0.1:0", "--ping-interval", "1s");
      const { pid } = relay.process;
      const before = openFiles(pid);
      const args = [...options, "--workers", "2", "--pid", String(pid)];
      const { exitCode, result } = await load(variant, scenario, relay.url, ...args);
      expect(exitCode).toBe(0);
      expectWhole(result);
      const { offered, done, failed, sent, received } = result.counts;
      expect(offered).toBe(meant ?? offered);
      expect({ done, failed, received }).toEqual({ done: offered, failed: 0, received: sent });
      await until("its files to be closed", () => openFiles(pid), atMost(before));
      const { paired = 0, lost = 0, ...others } = await counted(relay, "whisper_session_outcomes_total");
      if (scenario === "handshake") expect({ paired, lost, ...others }).toEqual({ paired: done, lost: 0 });
      const passedOn = Object.values(await counted(relay, "whisper_messages_relayed_total"));
      expect(passedOn.reduce((sum, count) => sum + count, 0)).toBe(received);
      expect(await counted(relay, "whisper_closes_total")).not.toHaveProperty("silent");
      expect(await counted(relay, "whisper_peers")).toEqual({});
      measured(`${scenario} ${options.join(" ")}: ${JSON.stringify({ ...result.percentiles[result.main], failed })}`);
    },
  );

  test("hostile peers do all the harm that they are there for, and no good session fails", async () => {
    const limits = ["--join-timeout", "1s", "--ping-interval", "1s"];
    await using relay = await spawnRelay(variant, ...EXEMPT, "--admin", "127.0.0.1:0", ...limits);
    const options = ["--rate", "50", "--duration", "10s", "--share", "40", "--workers", "2"];
    const { exitCode, result } = await load(variant, "hostile", relay.url, ...options);
    expect(exitCode).toBe(0);
    expectWhole(result);
    const { offered, done, failed, hostile } = result.counts;
    expect({ done, failed }).toEqual({ done: offered, failed: 0 });
    expect(offered + hostile).toBe(500);
    expect(hostile / 500).toBeGreaterThan(0.3);
    expect(hostile / 500).toBeLessThan(0.5);
    const errors = Object.keys(await counted(relay, "whisper_errors_total"));
    expect(errors).toEqual(expect.arrayContaining(["bad-message", "session-full", "join-timeout"]));
    const closes = Object.keys(await counted(relay, "whisper_closes_total"));
    expect(closes).toEqual(expect.arrayContaining(["slow", "silent"]));
    expect((await counted(relay, "whisper_session_outcomes_total"))["paired"]).toBe(done);
    await until(
      "the last peer to go",
      async () => Object.keys(await counted(relay, "whisper_peers")).length,
      equals(0),
    );
  });

  test.each(["handshake", "hold", "relay", "storm", "hostile"])("%s ends at once by Ctrl-C", async (scenario) => {
    await using relay = await spawnRelay(variant, ...EXEMPT, "--admin", "127.0.0.1:0");
    const before = openFiles(relay.process.pid);
    const options = ["--duration", ENDLESS, "--storms", "1000", "--workers", "2"];
    await using run = await LoadRun.start(variant, scenario, relay.url, ...options);
    await until("load", () => openFiles(relay.process.pid), atLeast(before + 11));
    const { workers } = run;
    for (const pid of [...workers, run.process.pid]) process.kill(pid, "SIGINT"); // a terminal tells all of them
    const { exitCode, stdout, result } = await run.over();
    expect(exitCode).toBe(EXIT.interrupted);
    expectWhole(result);
    expect(result).toMatchObject({ interrupted: true, counts: { failed: 0 }, errors: {} });
    expect(stdout).toContain("WARNING: Interrupted after");
    await until("the workers to end", () => !workers.some(isRunning));
    await until("its files to be closed", () => openFiles(relay.process.pid), atMost(before));
  });

  test("every scenario goes through TLS too", async () => {
    await using authority = await Authority.create();
    await using relay = await spawnRelay(variant, ...EXEMPT, ...(await authority.issue()).args);
    const url = relay.url.replace("127.0.0.1", "localhost");
    for (const scenario of ["handshake", "hold", "relay", "storm", "hostile"]) {
      const options = ["--sessions", "50", "--pairs", "20", "--duration", "1s", "--workers", "2", "--insecure"];
      const { exitCode, result } = await load(variant, scenario, url, ...options);
      expect({ scenario, exitCode, failed: result.counts.failed }).toEqual({ scenario, exitCode: 0, failed: 0 });
      expect(result.counts.done).toBeGreaterThan(0);
    }
  });
});

test("a worker that stands still ends the run with what was measured, within the grace that is stated", async () => {
  await using fake = await FakeRelay.start();
  await using run = await LoadRun.start(
    "source",
    "handshake",
    fake.url,
    "--rate",
    "100",
    "--duration",
    ENDLESS,
    "--workers=2",
  );
  await until("101 sessions", async () => (await fake.seen()).sessions, atLeast(101));
  const [worker = 0] = run.workers;
  const startMs = performance.now();
  process.kill(worker, "SIGSTOP");
  const { exitCode, result } = await run.over();
  expect(performance.now() - startMs).toBeLessThan(2 * SILENCE_MS);
  expect(exitCode).toBe(EXIT.broken);
  expect(result.troubles).toEqual([expect.stringContaining("did not answer for 10 s")]);
  expect(result.counts.done).toBeGreaterThan(50);
});

test("what waits in the tester itself is measured and shown beside the times", async () => {
  await using fake = await FakeRelay.start();
  const options = ["--pairs", "200", "--message-rate", "20", "--duration", "3s"];
  const alone = await load("source", "relay", fake.url, ...options, "--workers", "1");
  const queue = alone.result.generator.queue;
  measured(`one worker: own queue ${JSON.stringify(queue)}, p99 ${alone.result.percentiles.message?.p99}`);
  expect(queue.p99).toBeGreaterThan(0);
  expect(queue.p99).toBeLessThanOrEqual(queue.max);
  expect(alone.stdout).toContain("own queue");
});

/** 5 pairs send 20 messages a second each way for 1 s. */
const TALK = ["--pairs", "5", "--message-rate", "20", "--duration", "1s", "--timeout", "2s"];
const SENT = 200;

test("what comes after its time-out is late, and was lost", async () => {
  await using fake = await FakeRelay.start({ slowMessageMs: 2_300, slowMessageEvery: 5 });
  const { result } = await load("source", "relay", fake.url, ...TALK);
  const late = SENT / 5;
  expect(result.counts.lost).toBe(late);
  expect(result.counts.late).toBeGreaterThan(late / 4); // those that come before the run ends
  expect(result.counts).toMatchObject({ duplicated: 0, received: SENT - late });
});

test("a delay of one pair in two is seen as two delays", async () => {
  await using fake = await FakeRelay.start({ messageMs: 20, slowMessageMs: 1_000, slowMessageEvery: 2 });
  const { result } = await load("source", "relay", fake.url, "--pairs", "4", "--message-rate", "20", "--duration=1s");
  expect(result.counts).toMatchObject({ sent: 160, received: 160, reordered: 0 });
  const { p50 = 0, p95 = 0 } = result.percentiles.message ?? {};
  expect(p50 >= 20_000 && p50 < 1_000_000).toBe(true);
  expect(p95 >= 1_000_000 && p95 < 2_000_000).toBe(true);
});

test("find finds the largest rate of a relay that refuses above a rate", async () => {
  await using fake = await FakeRelay.start({ mostSessionsASecond: 60 });
  await using folder = await newFolder();
  const json = folder.file("found.json");
  const options = [
    "--from",
    "40",
    "--repeats",
    "1",
    "--precision",
    "25",
    "--duration",
    "2s", // of which a whole second is one of the relay's, wherever those begin
    "--timeout",
    "1s",
    "--expect",
    "failed=0",
  ];
  const command = loadCommand("source", "find", "handshake", fake.url, ...options, "--json", json);
  const { exitCode, stdout } = await run(command);
  expect(exitCode).toBe(EXIT.good);
  const found = await Bun.file(json).json();
  const { rates, of } = found;
  expect(wrongIn(found, findSchema)).toEqual([]);
  const printed = await run(loadCommand("source", "schema", "find"));
  expect(JSON.parse(printed.stdout)).toEqual(findSchema);
  expect(of).toBe("rate");
  expect(rates[0]).toBeGreaterThanOrEqual(40);
  expect(rates[0]).toBeLessThan(80);
  expect(stdout).toMatch(/^Largest rate that held: \d+ sessions a second, in 1 repeats\.$/m);
});

test("a header goes along with every upgrade", async () => {
  await using relay = await spawnRelay("source", ...EXEMPT, "--origin", "https://example.org");
  const origin = (name: string) => ["--header", `Origin: https://${name}`, "--sessions", "5"];
  const good = await load("source", "handshake", relay.url, ...origin("example.org"));
  expect(good.result).toMatchObject({ counts: { done: 5 }, errors: {} });
  const bad = await load("source", "handshake", relay.url, ...origin("example.com"));
  expect(bad.result).toMatchObject({ counts: { failed: 5 }, errors: { "refused:403": { count: 5 } } });
  expect(bad.exitCode).toBe(EXIT.nothing);
});
