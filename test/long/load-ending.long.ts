/**
 * How runs end: on time or before it, whatever becomes of workers, relay and disk, with what was measured until then and
 * an exit code that says what came of it.
 */
import { describe, expect, test } from "bun:test";
import { EXIT } from "../../src/load/outcome.ts";
import { expectWhole } from "../support/machines/load-checks.ts";
import { isRunning, LoadRun, load } from "../support/machines/load-run.ts";
import { atLeast, equals, until } from "../support/machines/until.ts";
import { FakeRelay } from "../support/relays/fake-relay.ts";

/** A run that ends when it is made to. */
const ENDLESS = ["--rate", "100", "--duration", "1h"];

describe("an end that comes early", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "by %s is clean, and what was measured so far is reported",
    async (signal) => {
      await using fake = await FakeRelay.start();
      await using run = await LoadRun.start("source", "handshake", fake.url, ...ENDLESS, "--workers", "2");
      await until("61 sessions", async () => (await fake.seen()).sessions, atLeast(61));
      const { workers } = run;
      for (const pid of [...workers, run.process.pid]) process.kill(pid, signal); // a terminal tells all of them
      const { exitCode, stdout, stderr, result } = await run.over();
      expect({ exitCode, stderr }).toEqual({ exitCode: EXIT.interrupted, stderr: "" });
      expectWhole(result);
      expect(result).toMatchObject({ interrupted: true, counts: { failed: 0 }, generator: { workers: 2 } });
      expect(result.counts.done).toBeGreaterThan(10);
      expect(stdout).toContain("WARNING: Interrupted after");
      expect(stdout).not.toContain("\x1b");
      expect(workers.length).toBe(2);
      await until("the workers to end", () => !workers.some(isRunning));
      expect((await fake.seen()).open).toBe(0);
    },
  );

  test("by a second Ctrl-C does not wait for workers that don't answer", async () => {
    await using fake = await FakeRelay.start();
    await using run = await LoadRun.start("source", "handshake", fake.url, ...ENDLESS);
    await until("1 sessions", async () => (await fake.seen()).sessions, atLeast(1));
    const [worker = 0] = run.workers;
    process.kill(worker, "SIGSTOP");
    await until("the run to end", () => {
      run.process.kill("SIGINT");
      return run.process.exitCode !== null;
    });
    process.kill(worker, "SIGCONT"); // it holds the pipes until it ends
    expect((await run.ended()).exitCode).toBe(EXIT.interrupted);
    await until("the worker to end", () => !isRunning(worker));
  });

  test("of a worker ends all of it, and says so", async () => {
    await using fake = await FakeRelay.start();
    await using run = await LoadRun.start("source", "handshake", fake.url, ...ENDLESS, "--workers", "2");
    await until("1 sessions", async () => (await fake.seen()).sessions, atLeast(1));
    const { workers } = run;
    process.kill(workers[0] ?? 0, "SIGKILL");
    const { exitCode, stdout, result } = await run.over();
    expect(exitCode).toBe(EXIT.broken);
    expectWhole(result);
    expect(result.troubles).toEqual(["The run was ended: a worker ended too early, with SIGKILL."]);
    expect(stdout).toContain("WARNING: The run was ended: a worker ended too early, with SIGKILL.");
    await until("the workers to end", () => !workers.some(isRunning));
  });

  test("by SIGKILL leaves no worker behind", async () => {
    await using fake = await FakeRelay.start();
    await using run = await LoadRun.start("source", "handshake", fake.url, ...ENDLESS, "--workers", "2");
    await until("1 sessions", async () => (await fake.seen()).sessions, atLeast(1));
    const { workers } = run;
    run.process.kill("SIGKILL");
    await until("the workers to end", () => !workers.some(isRunning));
    await until("no open", async () => (await fake.seen()).open, equals(0));
  });
});

describe("a relay that is no good ends no run too late", () => {
  /** What a run that should take a second takes at most, on a busy machine, in ms. */
  const MOST_MS = 9_000;

  test.concurrent.each([
    ["handshake", ["--duration", "500ms"]],
    ["handshake", ["--sessions", "1000", "--duration", "500ms"]],
    ["handshake", ["--rate", "50", "--duration", "500ms"]],
    ["hold", ["--pairs", "1000", "--duration", "500ms"]],
    ["relay", ["--pairs", "1000", "--duration", "500ms"]],
    ["storm", ["--pairs", "1000"]],
  ])("%s %j: one that takes all and says nothing", async (scenario, options) => {
    const open = () => {};
    using silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { open, data() {} } });
    const startMs = performance.now();
    const url = `ws://127.0.0.1:${silent.port}`;
    const { exitCode, result } = await load("source", scenario, url, ...options, "--timeout", "500ms");
    expect(performance.now() - startMs).toBeLessThan(MOST_MS);
    expect(exitCode).toBe(EXIT.nothing);
    expect(result.counts).toMatchObject({ done: 0, failed: result.counts.offered });
    expect(result.percentiles.connect?.p50).toBeGreaterThanOrEqual(500_000);
    if (options.includes("1000")) expect(result.counts.offered).toBe(1_000);
  });

  test("one whose process dies under --pid", async () => {
    await using fake = await FakeRelay.start();
    const options = [
      "--pairs",
      "4",
      "--message-rate",
      "50",
      "--duration=1h",
      "--timeout=500ms",
      "--pid",
      `${fake.pid}`,
    ];
    await using run = await LoadRun.start("source", "relay", fake.url, ...options);
    await until("501 messages", async () => (await fake.seen()).messages, atLeast(501));
    await fake[Symbol.asyncDispose]();
    const { exitCode, result, stdout } = await run.over();
    expect(exitCode).toBe(EXIT.dropped);
    expectWhole(result);
    expect(result.counts).toMatchObject({ failed: 4, dropped: 4 });
    expect(result.cost?.cpuSeconds).toBeGreaterThan(0);
    expect(stdout).toContain(`WARNING: The relay's process ${fake.pid} ended during the run.`);
    expect(stdout).toContain("WARNING: 4 pairs that had been ready were lost.");
  });
});

test("where no port or address is left to come from, that is what is said", async () => {
  await using fake = await FakeRelay.start();
  const options = ["--sessions", "2", "--source", "192.0.2.1"]; // of nobody: RFC 5737
  const { exitCode, result, stdout } = await load("source", "handshake", fake.url, ...options);
  expect(exitCode).toBe(EXIT.nothing);
  expect(result.errors["connect:EADDRNOTAVAIL"]?.first).toContain("no port of this machine is left");
  expect(stdout).toContain("WARNING: This machine ran out of ports to connect from");
});

describe("the exit code says what came of it", () => {
  test.concurrent.each<[string, string[], number]>([
    ["nothing failed", [], EXIT.good],
    ["what failed was not expected", ["mute"], EXIT.failed],
    ["what failed was expected to fail", ["mute", "--expect", "failed<=5"], EXIT.good],
    ["the kind that failed was expected", ["mute", "--expect", "errors.timeout:ready<=5"], EXIT.good],
    ["another kind was expected", ["mute", "--expect", "errors.closed:4500<=5"], EXIT.failed],
    ["more failed than was expected", ["mute", "--expect", "failed<5"], EXIT.missed],
  ])("%s", async (_, [fault, ...expect_], code) => {
    const faults = fault === "mute" ? { sessionFaults: ["mute" as const], sessionFaultEvery: 2 } : {};
    await using fake = await FakeRelay.start(faults);
    const options = ["--sessions", "10", "--timeout", "2s", ...expect_]; // a busy machine fails nothing that is whole
    const { exitCode, result } = await load("source", "handshake", fake.url, ...options);
    expect(exitCode).toBe(code);
    expect(result.exitCode).toBe(code);
  });

  test("messages that were lost are no less than sessions, unless they were expected to be", async () => {
    await using fake = await FakeRelay.start({ messageFaults: ["lose"], messageFaultEvery: 10 });
    const options = ["--pairs", "2", "--message-rate", "20", "--duration", "500ms", "--timeout", "2s"];
    expect((await load("source", "relay", fake.url, ...options)).exitCode).toBe(EXIT.failed);
    expect((await load("source", "relay", fake.url, ...options, "--expect", "lost<=6")).exitCode).toBe(EXIT.good);
  });
});
