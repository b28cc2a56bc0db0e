/**
 * What can happen to nodes, helpers and engine, done to real ones. Each as often as CLUSTER_REPEATS says; what it took
 * to recover is printed.
 */
import { describe, expect, test } from "bun:test";
import { symlink, unlink } from "node:fs/promises";
import { LEASE_MS } from "../../src/cluster/times.ts";
import { EngineProcess } from "../support/cluster/engine-process.ts";
import { type Nodes, startNodes } from "../support/cluster/nodes.ts";
import { helperOf, newPairAt, tryJoin, untilSeated, untilSentBack } from "../support/cluster/peers.ts";
import { newFolder } from "../support/machines/folder.ts";
import { freePort } from "../support/machines/free-port.ts";
import { Network } from "../support/machines/netns.ts";
import { until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newCode } from "../support/peers/client.ts";
import { hasFaketime, spawnUnderFaketime } from "../support/relays/faketime.ts";
import type { RunningRelay } from "../support/relays/relay.ts";

const REPEATS = Number(process.env["CLUSTER_REPEATS"] ?? 1);
const VARIANT = process.env["CLUSTER_VARIANT"] === "source" ? "source" : "binary";
/** The promise: a seat of a node that is gone is free within so long. */
const FREE_MS = 10_000;
const ADMIN = "--admin=127.0.0.1:0";
const hasNetworks = await Network.isPossible();

function repeated(title: string, run: (took: (ms: number) => void) => Promise<void>): void {
  const times: number[] = [];
  test.each(Array.from({ length: REPEATS }, (_, n) => n + 1))(`${title} (%d)`, async (n) => {
    await run((ms) => times.push(ms));
    const seconds = times.map((ms) => (ms / 1_000).toFixed(2)).sort();
    if (n === REPEATS && times.length > 0) console.info(`${title}: ${seconds.join(" ")} s`);
  });
}

async function two(nodes: Nodes): Promise<[RunningRelay, RunningRelay]> {
  const [one, other] = nodes.nodes;
  if (!one || !other) throw new Error("no two nodes");
  return [one, other];
}
const start = () => startNodes(2, VARIANT, [ADMIN]);
const readiness = async (relay: RunningRelay) => (await (await relay.admin("/readyz")).text()).trim();
const untilReady = (relay: RunningRelay) =>
  until("the node to be ready", async () => (await readiness(relay)) === "ok");
const untilCutOff = (relay: RunningRelay) =>
  until("the node to say that it is cut off", async () => (await readiness(relay)) === "cut-off");

describe("a node", () => {
  repeated("killed: who sat opposite is told, and the seat is free", async (took) => {
    await using cluster = await start();
    const [home, other] = await two(cluster);
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
    const [home, other] = await two(cluster);
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
    const [home, other] = await two(cluster);
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
    const [home, other] = await two(cluster);
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
    const [home, other] = await two(cluster);
    const pair = await newPairAt(home, other);
    home.process.kill("SIGSTOP");
    await Bun.sleep(1_200);
    home.process.kill("SIGCONT");
    await expectUndisturbed(pair);
  });
});

test.skipIf(!hasFaketime())(
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
    const [home, other] = await two(cluster);
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
    const [home, other] = await two(cluster);
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
    const [home, other] = await two(cluster);
    const pair = await newPairAt(home, other);
    for (let n = 0; n < 5; n++) {
      await cluster.engine.ask("CLIENT", "KILL", "TYPE", "pubsub");
      await expectUndisturbed(pair);
    }
    await Promise.all([untilReady(home), untilReady(other)]);
  });

  const inNetworks = hasNetworks ? repeated : (title: string) => test.skip(title, () => {});
  inNetworks("cut: the node gives up what it has in time, and another may have it", async (took) => {
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
  });
});

describe("an engine", () => {
  repeated(
    "gone: pairs of one node go on, others are told, nobody new is taken; and back again it knows them",
    async (took) => {
      await using cluster = await start();
      const [home, other] = await two(cluster);
      const pair = await newPairAt(home, home);
      const across = await newPairAt(home, other);
      await cluster.engine.kill();
      await Promise.all([untilSentBack(across.alice), untilSentBack(across.bob)]);
      const client = await Client.connect(other.url);
      client.send({ type: "join", sessionCode: newCode(), isInitiator: true });
      expect(await client.expect("error")).toMatchObject({ code: "at-capacity", retry: true });
      expect([await readiness(home), await readiness(other)]).toEqual(["cut-off", "cut-off"]);
      await Bun.sleep(LEASE_MS + 1_000);
      await expectUndisturbed(pair);
      await cluster.engine.begin();
      const since = performance.now();
      await Promise.all([untilReady(home), untilReady(other)]);
      await expectUndisturbed(pair);
      for (const isInitiator of [true, false]) {
        const [how] = await tryJoin(other, pair.code, isInitiator);
        expect(how).toBe("session-full");
      }
      const [, somebody] = await untilSeated(other, newCode(), true);
      took(performance.now() - since);
      somebody.close();
    },
  );

  repeated("restarted empty: pairs notice nothing, and no third comes in", async () => {
    await using cluster = await start();
    const [home, other] = await two(cluster);
    const pairs = [await newPairAt(home, home), await newPairAt(home, other), await newPairAt(other, home)];
    await cluster.engine.kill();
    await cluster.engine.begin();
    await Promise.all([untilReady(home), untilReady(other)]);
    for (const pair of pairs) {
      await expectUndisturbed(pair);
      for (const relay of [home, other]) expect((await tryJoin(relay, pair.code, true))[0]).toBe("session-full");
    }
  });

  repeated("asleep for a second: nobody notices", async () => {
    await using cluster = await start();
    const [home, other] = await two(cluster);
    const pair = await newPairAt(home, other);
    const asleep = cluster.engine.ask("DEBUG", "SLEEP", "1");
    await expectUndisturbed(pair);
    await asleep;
    await expectUndisturbed(pair);
  });

  repeated(
    "stopped for longer than a lease: every session ends with a word, and begins again after it",
    async (took) => {
      await using cluster = await start();
      const [home, other] = await two(cluster);
      const pair = await newPairAt(home, home);
      const across = await newPairAt(home, other);
      cluster.engine.process.kill("SIGSTOP");
      const [how] = await tryJoin(other, newCode(), true);
      expect(how).toBe("at-capacity");
      await Promise.all([pair.alice, pair.bob, across.alice, across.bob].map(untilSentBack));
      cluster.engine.process.kill("SIGCONT");
      const since = performance.now();
      await Promise.all([untilReady(home), untilReady(other)]);
      const [, carol] = await untilSeated(other, pair.code, true);
      took(performance.now() - since);
      const dave = await Client.join(home.url, pair.code, false);
      await Promise.all([carol.expect("ready"), dave.expect("ready")]);
    },
  );

  repeated("out of memory: nobody new is taken, pairs go on, and nobody loses a lease", async () => {
    await using cluster = await start();
    const [home, other] = await two(cluster);
    const pair = await newPairAt(home, other);
    await cluster.engine.ask("CONFIG", "SET", "maxmemory", "1");
    const [how] = await tryJoin(other, newCode(), true);
    expect(how).toBe("at-capacity");
    await Bun.sleep(LEASE_MS + 1_000);
    await expectUndisturbed(pair);
    await cluster.engine.ask("CONFIG", "SET", "maxmemory", "0");
    await newPairAt(home, other);
  });

  repeated("replaced by a replica that lacks the last claims: pairs go on, and no third comes in", async () => {
    await using folder = await newFolder();
    await using first = await EngineProcess.start();
    await using second = await EngineProcess.start({ isFresh: true, args: ["--replicaof", "127.0.0.1", "1"] });
    const path = folder.file("engine.sock");
    await symlink(first.path, path);
    const port = freePort();
    await first.ask("CONFIG", "SET", "port", `${port}`);
    await second.ask("REPLICAOF", "127.0.0.1", `${port}`);
    await until("the replica to be there", async () =>
      (await second.ask("INFO", "replication")).includes("link_status:up"),
    );
    await using cluster = await startNodes(2, VARIANT, [ADMIN], first, `unix://${path}`);
    const [home, other] = await two(cluster);
    const known = await newPairAt(home, other);
    second.process.kill("SIGSTOP"); // it hears nothing of what comes now
    const lost = [await newPairAt(home, home), await newPairAt(other, home)];
    await first.kill();
    second.process.kill("SIGCONT");
    await second.ask("REPLICAOF", "NO", "ONE");
    await unlink(path);
    await symlink(second.path, path);
    await Promise.all([untilReady(home), untilReady(other)]);
    for (const pair of [known, ...lost]) {
      await expectUndisturbed(pair);
      for (const relay of [home, other]) expect((await tryJoin(relay, pair.code, false))[0]).toBe("session-full");
    }
  });
});
