/**
 * What can happen to an engine, done to real ones of each program that is there: Redis, and Valkey (Debian's
 * valkey-server, in bookworm-backports and later). Each as often as CLUSTER_REPEATS says; what it took to recover is
 * printed.
 */
import { describe, expect, test } from "bun:test";
import { symlink, unlink } from "node:fs/promises";
import { LEASE_MS } from "../../src/cluster/times.ts";
import { newEngineClock, noClock } from "../support/cluster/engine-clock.ts";
import { type EngineOptions, EngineProcess, PROGRAMS } from "../support/cluster/engine-process.ts";
import { ADMIN, FREE_MS, readiness, repeated, start, two, untilReady, VARIANT } from "../support/cluster/faults.ts";
import { startNodes } from "../support/cluster/nodes.ts";
import { newPairAt, tryJoin, untilSeated, untilSentBack } from "../support/cluster/peers.ts";
import { openSlowWay } from "../support/cluster/slow-way.ts";
import { newFolder } from "../support/machines/folder.ts";
import { freePort } from "../support/machines/free-port.ts";
import { until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newCode } from "../support/peers/client.ts";

if (!PROGRAMS.includes("valkey-server")) console.info("nothing is tried with Valkey: there is no valkey-server");
const isExpected = Boolean(process.env["CI"]); // there what can't be tried is a failure
if (noClock !== null && !isExpected) console.info(`no engine's clock is set: ${noClock}`);

describe.each(PROGRAMS)("an engine (%s)", (program) => {
  const startEngine = (options: EngineOptions = {}) => EngineProcess.start({ program, ...options });
  repeated(
    "gone: pairs of one node go on, others are told, nobody new is taken; and back again it knows them",
    async (took) => {
      await using engine = await startEngine();
      await using cluster = await start(engine);
      const [home, other] = two(cluster);
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
    await using engine = await startEngine();
    await using cluster = await start(engine);
    const [home, other] = two(cluster);
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
    await using engine = await startEngine();
    await using cluster = await start(engine);
    const [home, other] = two(cluster);
    const pair = await newPairAt(home, other);
    const asleep = cluster.engine.ask("DEBUG", "SLEEP", "1");
    await expectUndisturbed(pair);
    await asleep;
    await expectUndisturbed(pair);
  });

  repeated(
    "stopped for longer than a lease: every session ends with a word, and begins again after it",
    async (took) => {
      await using engine = await startEngine();
      await using cluster = await start(engine);
      const [home, other] = two(cluster);
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
    await using engine = await startEngine();
    await using cluster = await start(engine);
    const [home, other] = two(cluster);
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
    await using first = await startEngine();
    await using second = await startEngine({ isFresh: true, args: ["--replicaof", "127.0.0.1", "1"] });
    const path = folder.file("engine.sock");
    await symlink(first.path, path);
    const port = freePort();
    await first.ask("CONFIG", "SET", "port", `${port}`);
    await second.ask("REPLICAOF", "127.0.0.1", `${port}`);
    await until("the replica to be there", async () =>
      (await second.ask("INFO", "replication")).includes("link_status:up"),
    );
    await using cluster = await startNodes(2, VARIANT, [ADMIN], first, `unix://${path}`);
    const [home, other] = two(cluster);
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

  repeated("that takes most of a second to answer: pairs go on, new ones meet, and nobody loses a lease", async () => {
    await using engine = await startEngine();
    await using way = await openSlowWay(engine.path);
    await using cluster = await startNodes(2, VARIANT, [ADMIN], engine, way.url);
    const [home, other] = two(cluster);
    const pairs = [await newPairAt(home, other)];
    way.delayMs = 400;
    pairs.push(await newPairAt(other, home));
    await Bun.sleep(LEASE_MS + 1_000);
    for (const pair of pairs) await expectUndisturbed(pair);
    for (const relay of [home, other]) expect(await readiness(relay)).toBe("ok");
  });

  repeated(
    "that takes 4 s to answer: nobody new is taken, who is held up is told, and then all goes on",
    async (took) => {
      await using engine = await startEngine();
      await using way = await openSlowWay(engine.path);
      await using cluster = await startNodes(2, VARIANT, [ADMIN], engine, way.url);
      const [home, other] = two(cluster);
      const pair = await newPairAt(home, home);
      const across = await newPairAt(home, other);
      way.delayMs = 2_000;
      const [how] = await tryJoin(other, newCode(), true);
      expect(how).toBe("at-capacity");
      await Promise.all([pair.alice, pair.bob, across.alice, across.bob].map(untilSentBack));
      way.delayMs = 0;
      const since = performance.now();
      await Promise.all([untilReady(home), untilReady(other)]);
      const [, carol] = await untilSeated(other, pair.code, true);
      took(performance.now() - since);
      const dave = await Client.join(home.url, pair.code, false);
      await Promise.all([carol.expect("ready"), dave.expect("ready")]);
    },
  );

  describe.each([
    ["ahead", 3_600],
    ["ahead by little more than a lease", 8],
    ["back", -3_600],
  ])("whose clock is set %s", (_, seconds) => {
    (noClock === null || isExpected ? repeated : test.skip)(
      "keeps seats from others, and serves new ones",
      async (took) => {
        await using clock = await newEngineClock();
        await using engine = await startEngine({ before: clock.before });
        await using cluster = await start(engine);
        const [home, other] = two(cluster);
        const pairs = [await newPairAt(home, home), await newPairAt(other, other)];
        const across = await newPairAt(home, other);
        clock.step(seconds);
        const since = performance.now();
        const thirds = async () => {
          for (const { code } of pairs)
            for (const relay of [home, other]) expect((await tryJoin(relay, code, true))[0]).not.toBe("joined");
        };
        await thirds();
        for (const peer of [across.alice, across.bob]) peer.close(); // it may be told, or not
        const [, somebody] = await untilSeated(other, newCode(), true);
        took(performance.now() - since);
        somebody.close();
        await thirds();
        for (const pair of pairs) await expectUndisturbed(pair);
        home.process.kill("SIGKILL");
        const [freeMs] = await untilSeated(other, pairs[0]?.code ?? "", true);
        expect(freeMs).toBeLessThan(FREE_MS);
      },
    );
  });
});
