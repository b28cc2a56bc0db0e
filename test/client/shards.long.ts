/**
 * Three relays that know nothing of each other, behind the real HAProxy and the real nginx with what `print` writes, and
 * with a client's own list: both peers of every session come to the same one, whatever becomes of a node.
 */
import { describe, expect, test } from "bun:test";
import { connect } from "../../src/client/client.ts";
import { whyNoFront } from "../support/machines/fronts.ts";
import { atLeast, equals, until } from "../support/machines/until.ts";
import { ALONE, BALANCERS, met, Nodes, startBalancer, Two, untilMet } from "./shards.ts";

const PAIRS = 20;
/** Within so long all are paired again after a node was killed, from there to the last `ready`. */
const AGAIN_MS = 1_000;

const obstacle = whyNoFront();
if (obstacle !== null) console.warn(`shards.long.ts: real balancers are not tested: ${obstacle}`);

test.skipIf(!process.env["CI"])("CI has the balancers to test with", () => {
  expect(obstacle).toBe(null);
});

/** Every pair's one says something, and its other hears it. */
async function expectHeard(all: readonly Two[]): Promise<void> {
  const before = all.map(({ heard }) => heard.length);
  for (const { peers } of all) expect(peers[0].signal({ data: "there?" })).toBe(true);
  await until("all to be heard", () => all.every(({ heard }, i) => heard.length > (before[i] ?? 0)));
}

describe.skipIf(obstacle !== null).each(BALANCERS)("behind %s", (name) => {
  test("all meet, each pair on one node and the pairs on all; a killed one's are paired again, and it comes back", async () => {
    await using nodes = await Nodes.start();
    await using balancer = await startBalancer(name, nodes.ports);
    const url = `wss://127.0.0.1:${balancer.port}`;
    using started = new DisposableStack();
    const pairs = (n: number) => Array.from({ length: n }, () => started.use(new Two(url)));
    const all = pairs(PAIRS);
    await untilMet(all);
    const spread = await nodes.sessions();
    expect(spread.reduce((sum, sessions) => sum + sessions)).toBe(PAIRS);
    expect(Math.min(...spread)).toBeGreaterThan(0);

    const [victim] = nodes.ports;
    const killedAt = performance.now();
    await nodes.kill(victim);
    await until(
      "the others to have all",
      () => nodes.sessions(),
      ([gone, ...rest]) => {
        return gone === 0 && rest.reduce((sum, sessions) => sum + sessions) === PAIRS;
      },
    );
    await untilMet(all);
    const againMs = Math.max(...all.flatMap(({ readyAt }) => readyAt)) - killedAt;
    console.log(
      `behind ${name}: paired again ${Math.round(againMs)} ms after a node with ${spread[0]} of ${PAIRS} pairs was killed`,
    );
    expect(againMs).toBeLessThan(AGAIN_MS);
    await expectHeard(all);

    await nodes.up(victim);
    await until(
      "its share of new pairs",
      async () => {
        const more = pairs(2);
        await untilMet(more);
        return (await nodes.sessions())[0] ?? 0;
      },
      atLeast(1),
    );
    await expectHeard(all);
  });

  test("who waits alone while a node comes back is gathered by USR2, and met at once by who comes later", async () => {
    await using nodes = await Nodes.start();
    await using balancer = await startBalancer(name, nodes.ports);
    const url = `wss://127.0.0.1:${balancer.port}`;
    await nodes.kill(nodes.ports[0]);
    await using started = new AsyncDisposableStack();
    const waiting = Array.from({ length: PAIRS }, () => started.use(connect({ ...ALONE, url })));
    await until("all to wait", () => waiting.every(({ state }) => state === "waiting"));
    await nodes.up(nodes.ports[0]);
    await until(
      "the balancer to see it",
      async () => {
        using pair = new Two(url);
        await untilMet([pair]);
        return (await nodes.sessions())[0] ?? 0;
      },
      atLeast(1),
    );
    nodes.gather();
    await until("all to have come back", async () => (await nodes.sessions())[0] ?? 0, atLeast(1));
    await until("all to wait", () => waiting.every(({ state }) => state === "waiting"));
    const partners = waiting.map(({ code }) => started.use(connect({ ...ALONE, url, code })));
    await until("all to meet", () => partners.every(({ state }) => state === "ready"));
  });

  test("clients that give no digits all come to one node, and to the next where that is gone", async () => {
    await using nodes = await Nodes.start();
    await using balancer = await startBalancer(name, nodes.ports);
    const url = `wss://127.0.0.1:${balancer.port}`;
    using started = new DisposableStack();
    const all = Array.from({ length: PAIRS }, () => started.use(new Two(url, url, { hint: false })));
    await untilMet(all);
    const spread = await nodes.sessions();
    expect(spread.toSorted((a, b) => b - a)).toEqual([PAIRS, 0, 0]);
    await nodes.kill(nodes.ports[spread.indexOf(PAIRS)] ?? 0);
    await until("one of the others to have all", async () => Math.max(...(await nodes.sessions())), equals(PAIRS));
    await untilMet(all);
  });
});

test.skipIf(obstacle !== null)(
  "two balancers that disagree for a while part some, who meet once they agree and the lonely are gathered",
  async () => {
    await using nodes = await Nodes.start();
    await using one = await startBalancer("haproxy", nodes.ports);
    let other = await startBalancer("haproxy", nodes.ports.slice(0, 2));
    try {
      using started = new DisposableStack();
      const all = Array.from({ length: PAIRS }, () =>
        started.use(new Two(`wss://127.0.0.1:${one.port}`, `wss://127.0.0.1:${other.port}`)),
      );
      await until("everybody to be seated", () =>
        all.every(({ peers }) => peers.every(({ state }) => state !== "connecting")),
      );
      await until("whose node is known to both", () => met(all), atLeast(Math.floor(PAIRS / 3)));
      expect(met(all)).toBeLessThan(PAIRS); // those who belong to the third
      await other.stop();
      other = await startBalancer("haproxy", nodes.ports, other.port);
      nodes.gather();
      await untilMet(all);
    } finally {
      await other[Symbol.asyncDispose]();
    }
  },
);

/** Of a list one node is enough. */
const untilReady = (all: readonly Two[]) =>
  until("all pairs to be ready", () => all.every(({ peers }) => peers.every(({ state }) => state === "ready")));

test("with a list and no balancer, nobody is lost when a node is killed, and new pairs meet meanwhile", async () => {
  await using nodes = await Nodes.start();
  const urls = nodes.ports.map((port) => `ws://127.0.0.1:${port}`);
  using started = new DisposableStack();
  const all = Array.from({ length: PAIRS }, () => started.use(new Two(urls, urls.toReversed())));
  await untilReady(all);
  await until(
    "everybody to sit on two",
    async () => (await nodes.sessions()).reduce((sum, n) => sum + n),
    equals(2 * PAIRS),
  );
  const [, seats = 0] = await nodes.sessions();
  await nodes.kill(nodes.ports[1]);
  const noticed = () => all.filter(({ isLost }) => !isLost.includes(false)).length;
  await until("all who sat there to notice", noticed, equals(seats));
  await expectHeard(all);
  const more = Array.from({ length: PAIRS }, () => started.use(new Two(urls, urls.toReversed())));
  await untilReady(more); // though one of their two may be gone
  await nodes.up(nodes.ports[1]);
  await expectHeard([...all, ...more]);
});
