/** The dashboard that is shipped, and what it asks a Prometheus. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ROOT } from "../relays/relay.ts";

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

/** The dashboard in deploy/, as Grafana reads it. */
export function dashboard(): Dashboard {
  return JSON.parse(readFileSync(resolve(ROOT, "deploy/grafana.json"), "utf8"));
}

/** Every expression that it asks, with the title of what shows it. */
export function targets(): { title: string; expr: string }[] {
  const { panels, annotations } = dashboard();
  const shown = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
  return [...shown, ...annotations.list.map(({ name, expr }) => ({ title: name, expr }))];
}

/** An expression as Grafana sends it. */
export function asked(expression: string): string {
  return expression.replaceAll("$__rate_interval", "1m").replaceAll(/\$(job|instance)/g, ".*");
}
