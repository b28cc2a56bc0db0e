/**
 * All relays of a cluster are restarted, one after the other, behind the real HAProxy with the file of deploy/cluster,
 * while pairs stay and pairs come: docs/OPERATIONS.md says who is cut, and for how long. And the same for relays that
 * share nothing, which a client's list names.
 */
import { expect, test } from "bun:test";
import { HAPROXY, startBalancer } from "../support/cluster/balancer.ts";
import { EngineProcess } from "../support/cluster/engine-process.ts";
import { newFolder } from "../support/machines/folder.ts";
import { freePort } from "../support/machines/free-port.ts";
import { parseMetrics } from "../support/machines/metrics.ts";
import { until } from "../support/machines/until.ts";
import { type RunningRelay, spawnRelay } from "../support/relays/relay.ts";
import { Nodes, newcomersDuring, Two, untilMet } from "./shards.ts";

const PAIRS = 30;
/** A relay sends its peers away for up to 5 s, and half a second more is the client's own chance. */
const DELAY_MS = 6_000;
const PLAIN = { sealed: false } as const;

test.skipIf(HAPROXY === null)(
  "each relay of a cluster stops and starts, one after the other: only pairs of which one sat there are cut, for seconds",
  async () => {
    await using engine = await EngineProcess.start();
    await using folder = await newFolder();
    await using running = new AsyncDisposableStack();
    const secret = await folder.write("secret", crypto.randomUUID());
    const nodes = [0, 1, 2].map(() => ({ port: freePort(), admin: freePort() }));
    const start = async ({ port, admin }: { port: number; admin: number }): Promise<RunningRelay> =>
      running.use(
        await spawnRelay(
          "binary",
          ...[`--port=${port}`, `--admin=127.0.0.1:${admin}`, "--trust-proxy=127.0.0.1", "--drain=2s"],
          ...[`--cluster=${engine.url}`, `--cluster-secret-file=${secret}`],
        ),
      );
    const relays = await Promise.all(nodes.map(start));
    await using balancer = await startBalancer(nodes);
    const { url } = balancer;
    using started = new DisposableStack();
    const pairs = Array.from({ length: PAIRS }, () => started.use(new Two(url, url, PLAIN)));
    await untilMet(pairs);
    const newcomers = await newcomersDuring(
      () => new Two(url, url, PLAIN),
      async () => {
        for (const [i, node] of nodes.entries()) {
          expect(await relays[i]?.stop()).toMatchObject({ exitCode: 0, stderr: "" });
          const again = await start(node);
          await until("it to be ready", async () => (await again.admin("/readyz")).status === 200);
        }
      },
    );
    for (const pair of newcomers) started.use(pair);
    const all = [...pairs, ...newcomers];
    await untilMet(all);
    const longestMs = Math.max(...all.map((pair) => pair.longestMs));
    console.log(`a cluster: of ${all.length} pairs none was apart for longer than ${Math.round(longestMs)} ms`);
    expect(all.flatMap(({ failures }) => failures)).toEqual([]);
    for (const pair of all) pair[Symbol.dispose]();
    await engine.untilForgotten();
    expect(longestMs).toBeLessThan(2 * DELAY_MS); // who came back to the next one may be cut there again
  },
);

test("each relay of a client's list stops and starts, one after the other: nobody is lost", async () => {
  await using nodes = await Nodes.start("--admin=127.0.0.1:0");
  const urls = nodes.ports.map((port) => `ws://127.0.0.1:${port}`);
  using started = new DisposableStack();
  const pairs = Array.from({ length: PAIRS }, () => started.use(new Two(urls, urls.toReversed(), PLAIN)));
  const onTwo = async () => {
    const texts = nodes.ports.map(async (port) => (await nodes.relay(port).admin("/metrics")).text());
    const paired = (await Promise.all(texts)).map((text) => parseMetrics(text).get('whisper_sessions{state="paired"}'));
    return paired.reduce((sum = 0, sessions = 0) => sum + sessions) === 2 * PAIRS;
  };
  await until("everybody to sit on two", onTwo);
  let unheard = 0;
  const timer = setInterval(() => {
    for (const { peers } of pairs) if (!peers[0].signal({ data: "there?" })) unheard++;
  }, 100);
  using _timer = { [Symbol.dispose]: () => clearInterval(timer) };
  for (const port of nodes.ports) {
    await nodes.relay(port).stop();
    await nodes.up(port);
    await until("everybody to sit on two again", onTwo);
  }
  expect(unheard).toBe(0);
});
