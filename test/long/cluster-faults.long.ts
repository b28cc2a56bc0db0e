/**
 * What can happen to nodes, helpers and their connections, done to real ones. Each as often as CLUSTER_REPEATS says; what
 * it took to recover is printed.
 */
import { describe, expect, test } from "bun:test";
import { LEASE_MS } from "../../src/cluster/times.ts";
import { EngineProcess } from "../support/cluster/engine-process.ts";
import { ADMIN, FREE_MS, repeated, start, two, untilCutOff, untilReady, VARIANT } from "../support/cluster/faults.ts";
import { startNodes } from "../support/cluster/nodes.ts";
import { helperOf, newPairAt, tryJoin, untilSeated, untilSentBack } from "../support/cluster/peers.ts";
import { freePort } from "../support/machines/free-port.ts";
import { Network } from "../support/machines/netns.ts";
import { Client, expectUndisturbed, newCode } from "../support/peers/client.ts";
import { hasFaketime, spawnUnderFaketime } from "../support/relays/faketime.ts";

const hasNetworks = await Network.isPossible();

describe("a node", () => {
  repeated("killed: who sat opposite is told, and the seat is free", async (took) => {
    await using cluster = await start();
    const [home, other] = two(cluster);
    const { code, bob } = await newPairAt(home, other);
    const since = performance.now();
    home.process.kill("SIGKILL");
    await untilSentBack(bob);
    const [, again] = await untilSeated(other, code, false);
    took(performance.now() - since);
    expect(performance.now() - since).toBeLessThan(FREE_MS);
    again.close();
  });

  repeated("killed with its helper: the seat is free within 10 s", async (took) => {
    await using cluster = await start();
    const [home, other] = two(cluster);
    const { code, bob } = await newPairAt(home, other);
    process.kill(await helperOf(home), "SIGKILL");
    home.process.kill("SIGKILL");
    const since = performance.now();
    await untilSentBack(bob);
    const [, again] = await untilSeated(other, code, false);
    took(performance.now() - since);
    expect(performance.now() - since).toBeLessThan(FREE_MS);
    again.close();
  });

  repeated("killed where the guest sat: who is at home hears peer-left, and keeps its seat", async (took) => {
    await using cluster = await start();
    const [home, other] = two(cluster);
    const { code, alice } = await newPairAt(home, other);
    const since = performance.now();
    other.process.kill("SIGKILL");
    await alice.expect("peer-left");
    took(performance.now() - since);
    expect(performance.now() - since).toBeLessThan(FREE_MS);
    const bob = await Client.join(home.url, code, false);
    await Promise.all([alice.expect("ready"), bob.expect("ready")]);
  });

  repeated("stopped for longer than its lease, goes on with nothing that another may have", async () => {
    await using cluster = await start();
    const [home, other] = two(cluster);
    const { code, alice, bob } = await newPairAt(home, home);
    home.process.kill("SIGSTOP");
    alice.send({ type: "offer", sessionCode: code, offer: { late: true } });
    const [, carol] = await untilSeated(other, code, true);
    home.process.kill("SIGCONT");
    await Promise.all([untilSentBack(alice), untilSentBack(bob)]); // and bob does not hear the offer
    const [, dave] = await untilSeated(home, code, false);
    await Promise.all([carol.expect("ready"), dave.expect("ready")]);
    await expectUndisturbed({ code, alice: carol, bob: dave });
  });

  repeated("stopped for a moment loses nobody", async () => {
    await using cluster = await start();
    const [home, other] = two(cluster);
    const pair = await newPairAt(home, other);
    home.process.kill("SIGSTOP");
    await Bun.sleep(1_200);
    home.process.kill("SIGCONT");
    await expectUndisturbed(pair);
  });
});

(hasFaketime() ? repeated : test.skip)(
  "nodes whose clocks are days apart, and are set while they serve, are as good as any",
  async () => {
    await using cluster = await startNodes(1, VARIANT, [ADMIN]);
    const [near] = cluster.nodes;
    await using far = await spawnUnderFaketime(
      `--cluster=${cluster.engine.url}`,
      `--cluster-secret-file=${cluster.secret}`,
    );
    if (!near) throw new Error("no node");
    far.step(3);
    const pair = await newPairAt(near, far);
    const other = await newPairAt(far, near);
    far.step(-5);
    for (let n = 0; n < 10; n++) {
      await Bun.sleep((LEASE_MS + 1_000) / 10);
      for (const each of [pair, other]) await expectUndisturbed(each);
    }
  },
);

describe("a helper", () => {
  repeated("killed: the relay says so, drains and ends; its pair has its time", async () => {
    await using cluster = await start();
    const [home, other] = two(cluster);
    const pair = await newPairAt(home, home);
    const across = await newPairAt(home, other);
    process.kill(await helperOf(home), "SIGKILL");
    await untilSentBack(across.alice);
    await expectUndisturbed(pair);
    await Promise.all([pair.alice, pair.bob, across.bob].map(untilSentBack));
    const { exitCode, stderr } = await home.ended();
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining("a helper of --cluster has ended")]);
  });

  repeated("stopped for longer than a lease: nobody new is taken, and then everybody is again", async (took) => {
    await using cluster = await start();
    const [home, other] = two(cluster);
    const { code, alice, bob } = await newPairAt(home, other);
    const helper = await helperOf(home);
    process.kill(helper, "SIGSTOP");
    await untilCutOff(home);
    await Promise.all([untilSentBack(alice), untilSentBack(bob)]);
    const [how] = await tryJoin(home, newCode(), true);
    expect(how).toBe("at-capacity");
    const [, carol] = await untilSeated(other, code, true);
    process.kill(helper, "SIGCONT");
    const since = performance.now();
    await untilReady(home);
    took(performance.now() - since);
    const dave = await Client.join(home.url, code, false);
    await Promise.all([carol.expect("ready"), dave.expect("ready")]);
  });
});

describe("connections to the engine", () => {
  repeated("killed by it: pairs go on, and what they say is not lost", async () => {
    await using cluster = await start();
    const [home, other] = two(cluster);
    const pair = await newPairAt(home, other);
    for (let n = 0; n < 5; n++) {
      await cluster.engine.ask("CLIENT", "KILL", "TYPE", "pubsub");
      await expectUndisturbed(pair);
    }
    await Promise.all([untilReady(home), untilReady(other)]);
  });

  (hasNetworks ? repeated : test.skip)(
    "cut: the node gives up what it has in time, and another may have it",
    async (took) => {
      await using network = await Network.create();
      const port = freePort();
      await using engine = await EngineProcess.start({
        before: network.through,
        args: ["--port", `${port}`, "--bind", "198.18.77.2", "--protected-mode", "no"],
      });
      await using cluster = await startNodes(1, VARIANT, [ADMIN], engine);
      const secret = cluster.secret;
      await using far = await cluster.start(
        `--cluster=redis://198.18.77.2:${port}`,
        `--cluster-secret-file=${secret}`,
        ADMIN,
      );
      const [near] = cluster.nodes;
      if (!near) throw new Error("no node");
      const { code, alice, bob } = await newPairAt(far, far);
      const across = await newPairAt(far, near);
      await network.cut();
      const since = performance.now();
      const [, carol] = await untilSeated(near, code, true);
      took(performance.now() - since);
      expect(performance.now() - since).toBeLessThan(FREE_MS);
      await Promise.all([alice, bob, across.alice, across.bob].map(untilSentBack));
      const [how] = await tryJoin(far, newCode(), true);
      expect(how).toBe("at-capacity");
      await network.mend();
      await untilReady(far);
      const dave = await Client.join(far.url, code, false);
      await Promise.all([carol.expect("ready"), dave.expect("ready")]);
    },
  );
});
