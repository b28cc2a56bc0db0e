/** How faults are tried on real processes: how often, on which engine, and what nodes say of how they are. */
import { test } from "bun:test";
import { until } from "../machines/until.ts";
import { type RunningRelay, VARIANTS } from "../relays/relay.ts";
import type { EngineProcess } from "./engine-process.ts";
import { type Nodes, startNodes } from "./nodes.ts";

const REPEATS = Number(process.env["CLUSTER_REPEATS"] ?? 1);
export const VARIANT = VARIANTS.find((variant) => variant === process.env["CLUSTER_VARIANT"]) ?? "binary";
/** The promise: a seat of a node that is gone is free within so long. */
export const FREE_MS = 10_000;
export const ADMIN = "--admin=127.0.0.1:0";

/** A test that is run CLUSTER_REPEATS times, and prints what each run took. */
export function repeated(title: string, run: (took: (ms: number) => void) => Promise<void>): void {
  const times: number[] = [];
  test.each(Array.from({ length: REPEATS }, (_, n) => n + 1))(`${title} (%d)`, async (n) => {
    await run((ms) => times.push(ms));
    if (n < REPEATS || times.length === 0) return;
    const seconds = times.toSorted((a, b) => a - b).map((ms) => (ms / 1_000).toFixed(2));
    console.info(`${title}: median ${seconds[Math.floor(seconds.length / 2)]}, longest ${seconds.at(-1)} s`);
  });
}

export const start = (engine: EngineProcess | null = null): Promise<Nodes> => startNodes(2, VARIANT, [ADMIN], engine);

export function two(nodes: Nodes): [RunningRelay, RunningRelay] {
  const [one, other] = nodes.nodes;
  if (!one || !other) throw new Error("no two nodes");
  return [one, other];
}

export const readiness = async (relay: RunningRelay) => (await (await relay.admin("/readyz")).text()).trim();
export const untilReady = (relay: RunningRelay) =>
  until("the node to be ready", async () => (await readiness(relay)) === "ok");
export const untilCutOff = (relay: RunningRelay) =>
  until("the node to say that it is cut off", async () => (await readiness(relay)) === "cut-off");
