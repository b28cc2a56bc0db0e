/**
 * A real Prometheus asks a real relay, and the alarms and the dashboard in deploy/ work on what it finds. Where
 * Prometheus is missing this is skipped, but never under CI.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { asked, targets } from "../support/machines/dashboard.ts";
import { parseMetrics } from "../support/machines/metrics.ts";
import { HAS_PROMETHEUS, MISSING_PROMETHEUS, Prometheus, promtool } from "../support/machines/prometheus.ts";
import { equals, until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newCode, newPair } from "../support/peers/client.ts";
import { ROOT, type RunningRelay, spawnRelay } from "../support/relays/relay.ts";

const ALERTS = resolve(ROOT, "deploy/alerts.yml");

if (!HAS_PROMETHEUS)
  console.warn(`prometheus.long.ts: not tested, there is no ${MISSING_PROMETHEUS.join(", ")} on the path`);

test.skipIf(!process.env["CI"])("CI has a Prometheus to test with", () => {
  expect(HAS_PROMETHEUS).toBe(true);
});

describe.skipIf(!HAS_PROMETHEUS)("a real Prometheus", () => {
  let relay: RunningRelay;
  let prometheus: Prometheus;
  let text: string;

  beforeAll(async () => {
    relay = await spawnRelay("source", "--admin=127.0.0.1:0", "--drain=0s");
    const { url } = await relay.admin("/livez");
    prometheus = await Prometheus.start(new URL(url).host, ALERTS);
    text = await (await relay.admin("/metrics")).text();
  });

  afterAll(async () => {
    await prometheus?.[Symbol.asyncDispose]();
    await relay?.[Symbol.asyncDispose]();
  });

  /** Asks until an expression has this value; Prometheus itself asks the relay every second. */
  const untilValue = (expression: string, expected: number) =>
    until(expression, () => prometheus.value(expression), equals(expected));

  test("finds the relay up, and counts what is there", async () => {
    await untilValue("up", 1);
    await untilValue('whisper_readiness{state="ok"}', 1);
    await untilValue("sum(whisper_sessions)", 0);
    const pair = await newPair(relay.url);
    const waiting = await Client.join(relay.url, newCode(), true);
    await expectUndisturbed(pair);
    await untilValue('whisper_sessions{state="paired"}', 1);
    await untilValue('whisper_sessions{state="waiting"}', 1);
    await untilValue("sum(whisper_peers)", 3);
    await untilValue("sum(whisper_messages_relayed_total)", 2);
    for (const peer of [pair.alice, pair.bob, waiting]) peer.close();
    await untilValue("sum(whisper_sessions)", 0);
    await untilValue('whisper_session_outcomes_total{outcome="paired"}', 1);
    await untilValue('whisper_session_outcomes_total{outcome="lonely"}', 1);
  });

  test("stores every row that the relay writes", async () => {
    for (const name of parseMetrics(text).keys()) await untilValue(`count(${name})`, 1);
  });

  test("takes the alarms, and none rings on a relay that is well", async () => {
    await until("every rule to be evaluated", async () =>
      (await prometheus.rules()).every(({ health }) => health !== "unknown"),
    );
    const rules = await prometheus.rules();
    const named = [...readFileSync(ALERTS, "utf8").matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
    expect(rules.map(({ name }) => name)).toEqual(named.map(String));
    expect(rules.filter(({ health, lastError }) => health !== "ok" || lastError)).toEqual([]);
    expect(rules.filter(({ state }) => state !== "inactive")).toEqual([]);
  });

  test("parses every expression of the dashboard", async () => {
    for (const { expr } of targets()) expect(await prometheus.query(asked(expr))).toBeArray();
    expect(await prometheus.query("sum(").catch(() => "not parsed")).toBe("not parsed");
    for (const { title, expr } of targets())
      if (!/certificate|cluster/.test(expr) && !/rate\(|increase\(|> 0/.test(expr))
        expect([title, (await prometheus.query(asked(expr))).length > 0]).toEqual([title, true]);
  });

  test("sees the alarm for a relay that is gone", async () => {
    await relay.stop();
    await untilValue("up", 0);
    await until("the alarm", async () =>
      (await prometheus.rules()).some(({ name, state }) => name === "WhisperDown" && state === "pending"),
    );
  });
});

describe.skipIf(!HAS_PROMETHEUS)("the alarms", () => {
  test("are what promtool finds no fault with", async () => {
    const { exitCode, printed } = await promtool(["check", "rules", ALERTS]);
    expect([exitCode, printed]).toEqual([0, expect.stringContaining("rules found")]);
  });

  test("ring when they should, and not before", async () => {
    const { exitCode, printed } = await promtool(["test", "rules", resolve(ROOT, "deploy/alerts.test.yml")]);
    expect(printed).toContain("SUCCESS");
    expect(exitCode).toBe(0);
  });
});
