/** An engine that answers, but with errors: what a relay and its operator make of that. */
import { expect, test } from "bun:test";
import { SAFE_MS } from "../../src/cluster/times.ts";
import { ADMIN, untilCutOff, untilReady } from "../support/cluster/faults.ts";
import { startNodes } from "../support/cluster/nodes.ts";
import { newPairAt, tryJoin, untilSentBack } from "../support/cluster/peers.ts";
import { parseMetrics } from "../support/machines/metrics.ts";
import { until } from "../support/machines/until.ts";
import { newCode } from "../support/peers/client.ts";
import type { RunningRelay } from "../support/relays/relay.ts";

async function sample(relay: RunningRelay, row: string): Promise<number> {
  return parseMetrics(await (await relay.admin("/metrics")).text()).get(row) ?? 0;
}

async function newNode() {
  const nodes = await startNodes(1, "binary", [ADMIN]);
  const [relay] = nodes.nodes;
  if (!relay) throw new Error("no node");
  await untilReady(relay);
  return { relay, engine: nodes.engine, [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose]() };
}

test("a node whose engine answers with errors is cut off, and says why", async () => {
  await using node = await newNode();
  const { relay, engine } = node;
  const { alice, bob } = await newPairAt(relay, relay);
  await engine.ask("EVAL", "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 1)", "1", "whisper:epoch");
  await untilCutOff(relay);
  expect(await sample(relay, 'whisper_cluster_engines{state="denied"}')).toBe(1);
  expect((await tryJoin(relay, newCode(), true))[0]).toBe("at-capacity");
  expect(Math.max(...(await Promise.all([untilSentBack(alice), untilSentBack(bob)])))).toBeLessThan(SAFE_MS + 1_000);
  await engine.ask("DEL", "whisper:epoch");
  await untilReady(relay);
  expect((await relay.stop()).stderr).toContain("can't be used (call): WRONGTYPE");
});

test("a node that may not publish is cut off, and says why", async () => {
  await using node = await newNode();
  const { relay, engine } = node;
  await engine.ask("ACL", "SETUSER", "default", "-publish");
  await engine.ask("CLIENT", "KILL", "TYPE", "pubsub");
  const errors = () => sample(relay, 'whisper_cluster_errors_total{stage="greet"}');
  await until("it to notice", async () => (await errors()) > 0);
  expect((await relay.stop()).stderr).toContain("can't be used (greet): NOPERM");
});

test("a node that may not call does not connect again and again without a pause", async () => {
  await using node = await newNode();
  const { relay, engine } = node;
  await engine.ask("ACL", "SETUSER", "default", "-evalsha");
  const errors = () => sample(relay, 'whisper_cluster_errors_total{stage="call"}');
  await until("the first error", async () => (await errors()) > 0);
  const since = performance.now();
  await until("many more", async () => (await errors()) > 12); // two for each connection
  expect(performance.now() - since).toBeGreaterThan(500);
});
