/**
 * How runs end: on time or before it, whatever becomes of workers, relay and disk, with what was measured until then and
 * an exit code that says what came of it.
 */
import { describe, expect, test } from "bun:test";
import { EXIT } from "../../src/load/outcome.ts";
import { newFolder } from "../support/machines/folder.ts";
import { expectWhole } from "../support/machines/load-checks.ts";
import { isRunning, LoadRun, load, loadCommand } from "../support/machines/load-run.ts";
import { Network } from "../support/machines/netns.ts";
import { atLeast, equals, until } from "../support/machines/until.ts";
import { FakeRelay } from "../support/relays/fake-relay.ts";
import { Output, run, spawn, spawnRelay } from "../support/relays/relay.ts";

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
    const { exitCode, result } = await run.over();
    expect({ exitCode, interrupted: result.interrupted }).toEqual({ exitCode: EXIT.interrupted, interrupted: true });
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

  test.concurrent.each([
    ["handshake", ["--rate", "50", "--sessions", "1000000000"]],
    ["handshake", ["--sessions", "1000000000"]],
    ["hold", ["--rate", "2", "--pairs", "4000"]],
    ["relay", ["--rate", "2", "--pairs", "4000"]],
  ])("%s %j: one that is not there", async (scenario, options) => {
    const startMs = performance.now();
    const { exitCode, result } = await load(
      ...(["source", scenario, "ws://127.0.0.1:1", ...options] as const),
      ...["--duration", "500ms", "--timeout", "1s"],
    );
    expect(performance.now() - startMs).toBeLessThan(MOST_MS);
    expect(exitCode).toBe(EXIT.nothing);
    const { offered, failed } = result.counts;
    expect(offered).toBe(failed);
    expect([4_000, 1_000_000_000]).toContain(failed);
    expect(result.percentiles[result.main === "message" ? "ready" : result.main]?.count).toBe(failed);
    expect(result.errors["timeout:begin"]?.count).toBeGreaterThan(failed / 2);
  });

  test("one that is offered more than any tester can make", async () => {
    const open = () => {};
    using silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { open, data() {} } });
    const startMs = performance.now();
    const options = ["--rate", "100000", "--duration", "1s", "--timeout", "500ms", "--workers", "1"];
    const { exitCode, result } = await load("source", "handshake", `ws://127.0.0.1:${silent.port}`, ...options);
    expect(performance.now() - startMs).toBeLessThan(MOST_MS);
    expect(exitCode).toBe(EXIT.nothing);
    expect(result.counts).toMatchObject({ offered: 100_000, failed: 100_000 });
    expect(result.percentiles.session).toMatchObject({ count: 100_000, failed: 100_000 });
  });

  test("one that is sent more than any tester can send", async () => {
    await using fake = await FakeRelay.start();
    const startMs = performance.now();
    const options = ["--pairs", "10", "--message-rate", "50000", "--duration", "1s", "--timeout", "1s"];
    const { result } = await load("source", "relay", fake.url, ...options);
    expect(performance.now() - startMs).toBeLessThan(MOST_MS);
    expectWhole(result);
    expect(result.troubles).toEqual([]);
    expect(result.counts.meant).toBe(1_000_000);
    expect(result.counts.sent).toBeGreaterThan(10_000);
  });

  test("one that reads nothing more of what it is sent", async () => {
    await using fake = await FakeRelay.start();
    const options = ["--pairs", "1", "--message-rate", "50", "--size", "1MiB", "--timeout", "5s", "--duration", "1h"];
    await using run = await LoadRun.start("source", "relay", fake.url, ...options);
    await until("1 message", async () => (await fake.seen()).messages, atLeast(1));
    process.kill(fake.pid, "SIGSTOP");
    const { exitCode, result } = await run.over();
    process.kill(fake.pid, "SIGCONT");
    expect(exitCode).toBe(EXIT.dropped);
    expect(result.errors).toMatchObject({ stuffed: { count: 1 } });
  });

  test("one that stands still under pairs that only wait", async () => {
    await using fake = await FakeRelay.start();
    const options = ["--pairs", "5", "--duration", "2s", "--timeout", "1s"];
    await using run = await LoadRun.start("source", "hold", fake.url, ...options);
    await until("all pairs", async () => (await fake.seen()).sessions, equals(5));
    process.kill(fake.pid, "SIGSTOP");
    const { exitCode, result } = await run.over();
    process.kill(fake.pid, "SIGCONT");
    expect(exitCode).toBe(EXIT.dropped);
    expect(result).toMatchObject({
      counts: { done: 0, failed: 5, dropped: 5 },
      errors: { "timeout:pong": { count: 5 } },
    });
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

test("pairs that are lost in a storm, or after it, did not end well", async () => {
  await using fake = await FakeRelay.start();
  const options = ["--pairs", "6", "--storms", "1000", "--timeout", "500ms"];
  await using run = await LoadRun.start("source", "storm", fake.url, ...options);
  await until("the first storm", async () => (await fake.seen()).sessions, atLeast(12));
  await fake[Symbol.asyncDispose]();
  const { exitCode, result } = await run.over();
  expect(exitCode).toBe(EXIT.dropped);
  expectWhole(result);
  const { done, failed, dropped, stranded } = result.counts;
  expect({ done, failed, gone: dropped + stranded }).toEqual({ done: 0, failed: 6, gone: 6 });
});

test("a search ends by Ctrl-C between two runs too, with what was found", async () => {
  await using fake = await FakeRelay.start();
  await using folder = await newFolder();
  const json = folder.file("found.json");
  const options = ["--from", "10", "--duration", "100ms", "--json", json];
  const child = spawn(loadCommand("source", "find", "handshake", fake.url, ...options));
  const output = new Output(child.stdout);
  await until("the first step", () => output.text.includes("rate=10 "));
  child.kill("SIGINT");
  expect(await child.exited).toBe(EXIT.interrupted);
  expect((await Bun.file(json).json()).steps).toMatchObject([{ rate: 10 }]);
});

test("where no port or address is left to come from, that is what is said", async () => {
  await using fake = await FakeRelay.start();
  const options = ["--sessions", "2", "--source", "192.0.2.1"]; // of nobody: RFC 5737
  const { exitCode, result, stdout } = await load("source", "handshake", fake.url, ...options);
  expect(exitCode).toBe(EXIT.nothing);
  expect(result.errors["connect:EADDRNOTAVAIL"]?.first).toContain("no port of this machine is left");
  expect(stdout).toContain("WARNING: This machine ran out of ports to connect from");
});

test.skipIf(!(await Network.isPossible()))("where ports become few, that is said before they are used up", async () => {
  await using network = await Network.create();
  await using folder = await newFolder();
  const host = ["--host", network.address, "--exempt", "198.18.77.0/24"];
  await using relay = await spawnRelay("source", ...host);
  const json = folder.file("result.json");
  const url = `ws://${network.address}:${relay.port}`;
  const options = ["--pairs", "12", "--duration", "100ms", "--json", json];
  const few = 'echo "40000 40029" > /proc/sys/net/ipv4/ip_local_port_range; ip link set lo up; exec "$@"';
  const command = [...network.through, "sh", "-c", few, "sh", ...loadCommand("source", "hold", url, ...options)];
  const { stdout, exitCode } = await run(command);
  expect(exitCode).toBe(EXIT.good);
  expect(stdout).toContain("WARNING: More than half of the 30 ports to connect from were taken");
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
