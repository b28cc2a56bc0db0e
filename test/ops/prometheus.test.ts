/**
 * A real Prometheus asks a real relay, and the alarms and the dashboard in deploy/ work on what it finds. Where
 * Prometheus is missing this is skipped, but never under CI.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseMetrics } from "../support/machines/metrics.ts";
import { HAS_PROMETHEUS, Prometheus, promtool } from "../support/machines/prometheus.ts";
import { equals, until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newCode, newPair } from "../support/peers/client.ts";
import { ROOT, type RunningRelay, spawnRelay } from "../support/relays/relay.ts";

setDefaultTimeout(60_000);

const ALERTS = resolve(ROOT, "deploy/alerts.yml");
const read = (path: string) => readFileSync(resolve(ROOT, path), "utf8");

if (!HAS_PROMETHEUS) console.warn("prometheus.test.ts: not tested, there is no prometheus and promtool on the path");

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
    await untilValue('whisper_session_outcomes_total{mood="paired"}', 1);
    await untilValue('whisper_session_outcomes_total{mood="lonely"}', 1);
  });

  test("stores every row that the relay writes", async () => {
    for (const name of parseMetrics(text).keys()) await untilValue(`count(${name})`, 1);
  });

  test("takes the alarms, and none rings on a relay that is well", async () => {
    await until("every rule to be evaluated", async () =>
      (await prometheus.rules()).every(({ health }) => health !== "unknown"),
    );
    const rules = await prometheus.rules();
    const named = [...read("deploy/alerts.yml").matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
    expect(rules.map(({ name }) => name)).toEqual(named.map(String));
    expect(rules.filter(({ health, lastError }) => health !== "ok" || lastError)).toEqual([]);
    expect(rules.filter(({ state }) => state !== "inactive")).toEqual([]);
  });

  test("parses every expression of the dashboard", async () => {
    for (const { expr } of targets()) expect(await prometheus.query(asked(expr))).toBeArray();
    expect(await prometheus.query("sum(").catch(() => "not parsed")).toBe("not parsed");
    for (const { title, expr } of targets())
      if (!expr.includes("certificate") && !/rate\(|increase\(|> 0/.test(expr))
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

describe("the alarms", () => {
  test.skipIf(!HAS_PROMETHEUS)("are what promtool finds no fault with", async () => {
    const { exitCode, printed } = await promtool(["check", "rules", ALERTS]);
    expect([exitCode, printed]).toEqual([0, expect.stringContaining("rules found")]);
  });

  test.skipIf(!HAS_PROMETHEUS)("ring when they should, and not before", async () => {
    const { exitCode, printed } = await promtool(["test", "rules", resolve(ROOT, "deploy/alerts.test.yml")]);
    expect(printed).toContain("SUCCESS");
    expect(exitCode).toBe(0);
  });

  test("are all tried, and each leads to its place in the docs", () => {
    const docs = read("docs/OPERATIONS.md");
    const tried = read("deploy/alerts.test.yml");
    const rules = read("deploy/alerts.yml").split("- alert: ").slice(1);
    expect(rules.length).toBeGreaterThan(8);
    for (const rule of rules) {
      const [name = ""] = /^\w+/.exec(rule) ?? [];
      expect(rule).toContain(`runbook: docs/OPERATIONS.md#${name.toLowerCase()}\n`);
      expect(rule).toMatch(/severity: (critical|warning)\n/);
      expect(docs).toContain(`\n### ${name}\n`);
      expect(tried).toMatch(new RegExp(`alertname: ${name}\\n +exp_alerts:\\n`));
      expect(tried).toMatch(new RegExp(`alertname: ${name}\\n +exp_alerts: \\[\\]\\n`));
    }
  });

  test("and the dashboard ask only for metrics that there are", () => {
    const families = new Set(read("test/fixtures/metrics.txt").match(/^(whisper|process)_\w+/gm));
    families.add("whisper_readiness");
    for (const [name] of read("src/cluster/cluster.ts").matchAll(/whisper_cluster_\w+/g)) families.add(name);
    const asked = `${read("deploy/alerts.yml")}${read("deploy/grafana.json")}`.match(/\b(whisper|process)_[a-z_]+/g);
    expect([...new Set(asked)].filter((name) => !families.has(name))).toEqual([]);
  });
});

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}
interface Dashboard {
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
}

function dashboard(): Dashboard {
  return JSON.parse(read("deploy/grafana.json"));
}

/** Every expression that it asks, with the title of what shows it. */
function targets(): { title: string; expr: string }[] {
  const { panels, annotations } = dashboard();
  const shown = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
  return [...shown, ...annotations.list.map(({ name, expr }) => ({ title: name, expr }))];
}

/** An expression as Grafana sends it. */
function asked(expression: string): string {
  return expression.replaceAll("$__rate_interval", "1m").replaceAll(/\$(job|instance)/g, ".*");
}

describe("the dashboard", () => {
  test("has panels with titles of their own that don't overlap, on whatever data source is chosen", () => {
    const { panels, templating } = dashboard();
    expect(templating.list.map(({ name, type }) => `${name}: ${type}`)).toEqual([
      "datasource: datasource",
      "job: query",
      "instance: query",
    ]);
    for (const key of ["id", "title"] as const)
      expect(new Set(panels.map((panel) => panel[key])).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { h, w, x, y } }) =>
      Array.from({ length: h * w }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(cells.filter((cell) => Number.parseInt(cell, 10) >= 24)).toEqual([]);
    for (const { datasource } of panels.flatMap(({ targets = [] }) => targets))
      expect(datasource.uid).toBe(`\${${templating.list[0]?.name}}`);
  });

  test("shows every family of metrics", () => {
    const expressions = targets()
      .map(({ expr }) => expr)
      .join("\n");
    const families = read("test/fixtures/metrics.txt").matchAll(/^# TYPE (\w+)/gm);
    expect([...families].map(([, name = ""]) => name).filter((name) => !expressions.includes(name))).toEqual([]);
  });
});
