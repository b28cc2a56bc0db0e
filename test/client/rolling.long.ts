/**
 * A rolling upgrade of all nodes behind the real HAProxy and the real nginx, with pairs who stay and pairs who come: in
 * both ways that docs/OPERATIONS.md names, everybody is together again after seconds. And what a node that comes back
 * leaves behind: pairs who sit elsewhere.
 */
import { describe, expect, test } from "bun:test";
import { whyNoFront } from "../support/machines/fronts.ts";
import { atLeast, until } from "../support/machines/until.ts";
import { BALANCERS, Nodes, newcomersDuring, plainPair, startBalancer, untilMet } from "./shards.ts";

const PAIRS = 30;
/** A relay sends its peers away for up to 5 s, and half a second more is the client's own chance. */
const DELAY_MS = 6_000;
/** Who is alone is sent away once more, by a node that drains or by USR2; or dials again after 5 s. */
const TWICE_MS = 2 * DELAY_MS;

const obstacle = whyNoFront();

describe.skipIf(obstacle !== null).each(BALANCERS)("behind %s", (name) => {
  test.each(["hands over to another", "stops and starts"] as const)(
    "each node %s, one after the other: pairs and newcomers are together again after seconds, and none is turned away",
    async (how) => {
      await using nodes = await Nodes.start("--reuse-port");
      await using balancer = await startBalancer(name, nodes.ports);
      const url = `wss://127.0.0.1:${balancer.port}`;
      using started = new DisposableStack();
      const pairs = Array.from({ length: PAIRS }, (_, n) => started.use(plainPair(url, n)));
      await untilMet(pairs);
      const newcomers = await newcomersDuring(
        (n) => plainPair(url, PAIRS + n),
        async () => {
          for (const [i, port] of nodes.ports.entries()) {
            const old = nodes.relay(port);
            if (how === "hands over to another") await nodes.up(port);
            expect(await old.stop()).toMatchObject({ exitCode: 0, stderr: "" });
            if (how === "hands over to another") continue;
            await nodes.up(port);
            await until("newcomers to be led to it", async () => (await nodes.sessions())[i] ?? 0, atLeast(1));
            nodes.gather();
          }
        },
      );
      for (const pair of newcomers) started.use(pair);
      const all = [...pairs, ...newcomers];
      await untilMet(all);
      const longestMs = Math.max(...all.map((pair) => pair.longestMs));
      console.log(
        `behind ${name}, each node ${how}: of ${all.length} pairs none was apart for longer than ${Math.round(longestMs)} ms`,
      );
      expect(longestMs).toBeLessThan(how === "hands over to another" ? DELAY_MS : TWICE_MS);
      expect(all.flatMap(({ failures }) => failures)).toEqual([]);
    },
  );

  test("pairs who came to others while a node was gone find each other at it when one reloads after it is back", async () => {
    await using nodes = await Nodes.start("--reuse-port");
    await using balancer = await startBalancer(name, nodes.ports);
    const url = `wss://127.0.0.1:${balancer.port}`;
    using started = new DisposableStack();
    await nodes.kill(nodes.ports[0]);
    const pairs = Array.from({ length: PAIRS }, (_, n) => started.use(plainPair(url, n)));
    await untilMet(pairs);
    await nodes.up(nodes.ports[0]);
    let next = PAIRS;
    await until(
      "newcomers to be led to it",
      async () => {
        await untilMet([started.use(plainPair(url, next++))]);
        return (await nodes.sessions())[0] ?? 0;
      },
      atLeast(1),
    );
    for (const pair of pairs) pair.reload();
    await untilMet(pairs);
    expect(Math.max(...pairs.map(({ longestMs }) => longestMs))).toBeLessThan(DELAY_MS);
  });
});
