/** The alarms and the dashboard in deploy/ ask for what there is, and lead to the docs. A real Prometheus is in long/. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { dashboard, targets } from "../support/machines/dashboard.ts";
import { ROOT } from "../support/relays/relay.ts";

const read = (path: string) => readFileSync(resolve(ROOT, path), "utf8");
const ofClusters = () => read("src/cluster/cluster.ts").match(/whisper_cluster_\w+/g) ?? [];

describe("the alarms", () => {
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
    for (const name of ofClusters()) families.add(name);
    for (const file of ["deploy/alerts.yml", "deploy/grafana.json"]) {
      const asked = new Set(read(file).match(/\b(whisper|process)_[a-z_]+/g));
      expect(asked.size).toBeGreaterThan(8);
      expect([...asked].filter((name) => !families.has(name))).toEqual([]);
    }
  });
});

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
    const asked = targets().flatMap(({ expr }) => expr.match(/\b(whisper|process)_[a-z_]+/g) ?? []);
    const shown = new Set(asked.map((name) => name.replace(/_(bucket|sum|count)$/, "")));
    const usual = [...read("test/fixtures/metrics.txt").matchAll(/^# TYPE (\w+)/gm)].map(([, name = ""]) => name);
    const families = [...usual, ...ofClusters()];
    expect([usual.length > 20, ofClusters().length]).toEqual([true, 6]);
    expect(families.filter((name) => !shown.has(name))).toEqual([]);
  });
});
