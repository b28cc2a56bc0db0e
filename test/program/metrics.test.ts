/** What is counted, and under which name: the text of it to the letter, without a relay. */
import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { OUTCOMES } from "../../src/core/events.ts";
import { ERRORS, type ErrorName } from "../../src/core/protocol.ts";
import type { Gauges } from "../../src/program/books.ts";
import { Metrics, type Resources } from "../../src/program/metrics.ts";
import { parseMetrics } from "../support/machines/metrics.ts";
import { HAS_PROMETHEUS, promtool } from "../support/machines/prometheus.ts";
import { newPair } from "../support/peers/client.ts";
import { ROOT, spawnRelay } from "../support/relays/relay.ts";

const NOBODY: Gauges = { sockets: 0, notJoined: 0, probing: 0, seated: 0, sessions: 0, seatsHeld: 0 };
const NOTHING: Resources = {
  memoryBytes: 0,
  memoryMarkBytes: 0,
  residentBytes: 0,
  cpuSeconds: 0,
  openFiles: 0,
  maxFiles: 0,
  startedAt: 0,
};
const UNKNOWN = {
  memoryBytes: null,
  memoryMarkBytes: null,
  residentBytes: null,
  cpuSeconds: null,
  openFiles: null,
  maxFiles: null,
  startedAt: null,
};
const PROGRAM = { version: "1.2.3", commit: "abc", bun: "4.5.6", isLocked: false, droppedLines: 0 };
const NAMES = Object.keys(ERRORS) as ErrorName[];

const rows = (metrics: Metrics, gauges = NOBODY) => parseMetrics(metrics.write(gauges, NOTHING, PROGRAM, 0));

/** The rows that are not as in fresh metrics. */
function changes(metrics: Metrics): Record<string, number> {
  const fresh = rows(new Metrics());
  return Object.fromEntries([...rows(metrics)].filter(([name, value]) => fresh.get(name) !== value));
}

describe("the text", () => {
  test("of fresh metrics has every family with its help, its type and all its rows, at 0", async () => {
    const expected = await Bun.file(resolve(ROOT, "test/fixtures/metrics.txt")).text();
    expect(new Metrics().write(NOBODY, NOTHING, PROGRAM, 0)).toBe(expected);
    for (const [name, value] of parseMetrics(expected))
      expect([name, value]).toEqual([name, Number(name.startsWith("whisper_build_info{"))]);
  });

  test("never gets or loses a row", () => {
    const metrics = new Metrics();
    for (const name of NAMES) metrics.refused(name);
    for (const name of NAMES.filter((name) => ERRORS[name].close !== null)) metrics.closed(name, 4_000);
    metrics.ready(1e9);
    metrics.relayed("answer", 1);
    metrics.answered(2e9);
    metrics.ended("paired");
    metrics.swept(1e9);
    metrics.differed(1);
    expect([...rows(metrics).keys()]).toEqual([...rows(new Metrics()).keys()]);
  });

  test("leaves out what this system does not tell, and a certificate that there is not", () => {
    const text = new Metrics().write(NOBODY, UNKNOWN, PROGRAM, null);
    expect(text).not.toMatch(/process_|_memory_|certificate|null|NaN/);
    expect(text).toContain("whisper_build_info{");
  });

  test("tells an expired certificate by seconds below 0", () => {
    expect(new Metrics().write(NOBODY, UNKNOWN, PROGRAM, -5)).toContain(
      "\nwhisper_tls_certificate_expiry_seconds -5\n",
    );
  });

  test("sorts the peers into states that add up to the sockets, and the sessions into two", () => {
    const found = rows(new Metrics(), { sockets: 14, notJoined: 3, probing: 2, seated: 9, sessions: 5, seatsHeld: 9 });
    const of = (family: string) => [...found].filter(([name]) => name.startsWith(family)).map(([, value]) => value);
    expect(of("whisper_peers{")).toEqual([3, 2, 1, 8]);
    expect(of("whisper_sockets")).toEqual([14]);
    expect(of("whisper_sessions{")).toEqual([1, 4]);
  });

  test.skipIf(!HAS_PROMETHEUS)("is what promtool finds no fault with", async () => {
    await using relay = await spawnRelay("source", "--admin=127.0.0.1:0");
    const { alice } = await newPair(relay.url);
    alice.send("{}");
    await alice.expectError("bad-message");
    const text = await (await relay.admin("/metrics")).text();
    expect(text).toContain("process_open_fds");
    expect(await promtool(["check", "metrics"], text)).toEqual({ exitCode: 0, printed: "" });
    expect((await promtool(["check", "metrics"], `${text}whisper_x 1\n`)).exitCode).not.toBe(0);
  });
});

describe("a counter", () => {
  test.each(NAMES)("counts the error %s by its own name", (name) => {
    const metrics = new Metrics();
    metrics.refused(name);
    metrics.refused(name);
    expect(changes(metrics)).toEqual({ [`whisper_errors_total{error="${name}"}`]: 2 });
  });

  test.each<[ErrorName | "silent" | null, number, string]>([
    ["quota", 4506, "quota"],
    ["quota", 1006, "quota"], // the peer was gone before the close frame
    ["silent", 1006, "silent"],
    [null, 1000, "left"],
    [null, 1001, "left"],
    [null, 1005, "left"],
    [null, 4999, "left"],
    [null, 1006, "lost"],
  ])("counts a close after %j with %j as %s", (refusal, code, reason) => {
    const metrics = new Metrics();
    metrics.closed(refusal, code);
    expect(changes(metrics)).toEqual({ [`whisper_closes_total{reason="${reason}"}`]: 1 });
  });

  test("of messages and one of bytes count what is passed on, by type", () => {
    const metrics = new Metrics();
    for (const bytes of [10, 20]) metrics.relayed("ice-candidate", bytes);
    metrics.relayed("offer", 5);
    expect(changes(metrics)).toEqual({
      'whisper_messages_relayed_total{type="ice-candidate"}': 2,
      'whisper_messages_relayed_total{type="offer"}': 1,
      'whisper_bytes_relayed_total{type="ice-candidate"}': 30,
      'whisper_bytes_relayed_total{type="offer"}': 5,
    });
  });

  test("of differences counts what each look found", () => {
    const metrics = new Metrics();
    for (const differences of [0, 2, 3]) metrics.differed(differences);
    expect(rows(metrics).get("whisper_self_check_differences_total")).toBe(5);
  });
});

test.each(OUTCOMES)("a session that ended %s is counted as that", (outcome) => {
  const metrics = new Metrics();
  metrics.ended(outcome);
  expect(changes(metrics)).toEqual({ [`whisper_session_outcomes_total{outcome="${outcome}"}`]: 1 });
});

describe("a histogram", () => {
  const bucketsOf = (metrics: Metrics, name: string) =>
    [...rows(metrics)].filter(([row]) => row.startsWith(`${name}_bucket`)).map(([, value]) => value);

  test("counts a time in its bucket and in all above, bounds included", () => {
    const metrics = new Metrics();
    for (const ms of [1, 1.001, 5, 2_000, 9_000]) metrics.swept(ms);
    const name = "whisper_event_loop_lag_seconds"; // 1, 5, 10, 50, 100, 500 ms, 1, 5 s, all
    expect(bucketsOf(metrics, name)).toEqual([1, 3, 3, 3, 3, 3, 3, 4, 5]);
    expect(rows(metrics).get(`${name}_count`)).toBe(5);
    expect(rows(metrics).get(`${name}_sum`)).toBeCloseTo(11.007001, 9);
  });

  test("of times to ready and to the answer has what it is told, each in its own", () => {
    const metrics = new Metrics();
    metrics.ready(3_000);
    metrics.answered(500);
    expect(rows(metrics).get("whisper_time_to_ready_seconds_sum")).toBe(3);
    expect(bucketsOf(metrics, "whisper_time_to_ready_seconds")).toEqual([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect(rows(metrics).get("whisper_time_to_answer_seconds_sum")).toBe(0.5);
    expect(rows(metrics).get("whisper_time_to_answer_seconds_count")).toBe(1);
  });
});
