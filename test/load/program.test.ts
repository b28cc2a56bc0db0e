/**
 * The load tester as a program, against the real relay and one that does nothing: what it says, writes and refuses. Whether
 * its times are true is tried where nothing else runs, in long/load-truth.
 */
import { describe, expect, test } from "bun:test";
import { readAsked } from "../../src/load/config.ts";
import { EXIT } from "../../src/load/outcome.ts";
import { ConfigError } from "../../src/program/options.ts";
import { newFolder } from "../support/machines/folder.ts";
import { freePort } from "../support/machines/free-port.ts";
import { expectWhole } from "../support/machines/load-checks.ts";
import { load, loadCommand } from "../support/machines/load-run.ts";
import { counted } from "../support/machines/metrics.ts";
import { openFiles } from "../support/machines/outside.ts";
import { atMost, until } from "../support/machines/until.ts";
import { FakeRelay } from "../support/relays/fake-relay.ts";
import { run, spawnRelay, VARIANTS } from "../support/relays/relay.ts";

/** All the load comes from this machine, faster than one person may. */
const EXEMPT = ["--exempt", "127.0.0.1"];

describe("what it says and writes", () => {
  test("expectations are listed with what was measured, and the exit code is 1 where one is not met", async () => {
    await using fake = await FakeRelay.start();
    const met = ["--expect", "done=3", "--expect", "session.max<60s"];
    const all = await load("source", "handshake", fake.url, "--sessions", "3", ...met);
    expect(all.exitCode).toBe(0);
    expect(all.result.expectations.map(({ isMet }) => isMet)).toEqual([true, true]);
    const some = await load("source", "handshake", fake.url, "--sessions", "3", ...met, "--expect", "failed>0");
    expect(some.stdout).toMatch(/^ {2}expect +done=3, session\.max<60s, failed>0$/m);
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

  test("a summary that can't be printed is said, and a reader that has gone is not", async () => {
    await using fake = await FakeRelay.start();
    await using folder = await newFolder();
    const file = folder.file("result.json");
    const command = loadCommand("source", "handshake", fake.url, "--sessions", "3", "--json", file);
    const printing = async (where: string) =>
      await run(["bash", "-c", `"$@" ${where}; echo "\${PIPESTATUS[0]}"`, "bash", ...command]);
    const full = await printing(">/dev/full");
    expect(full.stdout).toBe(`${EXIT.broken}\n`);
    expect(full.stderr).toMatch(/^whisper-load: what was measured could not be printed: .*ENOSPC.*\n$/);
    expect((await Bun.file(file).json()).counts.done).toBe(3);
    expect(await printing("| true")).toMatchObject({ stdout: `${EXIT.good}\n`, stderr: "" });
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

  const TAKEN = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
  test.each([
    ["broken", "a status that there is not", "HTTP/1.1 600 Rubbish\r\n\r\n"],
    ["broken", "a close code that there is not", `${TAKEN}\x88\x02\x27\x0f`],
    ["broken", "half a close code", `${TAKEN}\x88\x01\x13`],
    ["closed:4999", "the last close code that there is", `${TAKEN}\x88\x02\x13\x87`],
    ["closed:1005", "no close code", `${TAKEN}\x88\x00`],
  ])("%s is what is counted where a relay answers with %s", async (kind, _, answer) => {
    const data = (socket: Bun.Socket) => void socket.write(Buffer.from(answer, "latin1"));
    using relay = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data } });
    const { result } = await load("source", "handshake", `ws://127.0.0.1:${relay.port}`, "--sessions=1");
    expect(Object.keys(result.errors)).toEqual([kind]);
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

  test.each([
    ["handshake", ["--sessions", "1000"], { connect: 2_000, ready: 1_000, answer: 1_000, session: 1_000 }],
    ["hold", ["--pairs", "1000", "--rate", "1"], { connect: 2_000, ready: 1_000 }],
  ])("what was never begun, of %s, is in all times that it did not reach", async (scenario, options, counts) => {
    const { exitCode, result } = await load(
      ...(["source", scenario, `ws://127.0.0.1:${freePort()}`, ...options] as const),
      ...["--duration", "100ms", "--timeout", "200ms"],
    );
    expect(exitCode).toBe(EXIT.nothing);
    expect(result.errors["timeout:begin"]?.count).toBeGreaterThan(0);
    const times = Object.entries(result.percentiles);
    expect(Object.fromEntries(times.map(([name, { count }]) => [name, count])) as object).toEqual(counts);
    expect(Object.fromEntries(times.map(([name, { failed }]) => [name, failed])) as object).toEqual(counts);
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
    ["hndshake", "the nearest is handshake, and "],
    ["mrege", "the nearest is merge, and "],
    ["banana", ""],
  ])("a mistyped command is called one: %s", async (word, nearest) => {
    expect(await run(loadCommand("source", word, "ws://127.0.0.1"))).toEqual({
      ...{ exitCode: 2, stdout: "" },
      stderr: `whisper-load: unknown command "${word}"; ${nearest}--help lists them\n`,
    });
  });

  test.each([
    ["--workers", "some"],
    ["--source", "banana"],
    ["--expect", "errors.typo=0"],
    ["--expect", "errors.connect:ETYPO=0"],
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

  test("a certificate that nobody vouches for, and that is of another name, needs --insecure", async () => {
    await using folder = await newFolder();
    const [cert, key] = [folder.file("cert.pem"), folder.file("key.pem")];
    const request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=elsewhere -days 2";
    await run(["openssl", ...request.split(" "), "-keyout", key, "-out", cert]);
    await using relay = await spawnRelay("source", ...EXEMPT, "--tls-cert", cert, "--tls-key", key);
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
