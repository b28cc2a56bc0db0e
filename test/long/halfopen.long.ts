/**
 * Peers that are gone though TCP has not noticed: a stopped process, a cut cable. Their seats must fall free and the
 * peers opposite must hear of it; and a relay that itself stood still must not take it out on anybody.
 */
import { describe, expect, test } from "bun:test";
import { PROBE_MS } from "../../src/core/admission.ts";
import { Network } from "../support/machines/netns.ts";
import { measured, openFiles, secondsSince } from "../support/machines/outside.ts";
import { atMost, equals, until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newCode, newPair, untilSilent } from "../support/peers/client.ts";
import { PeerProcess } from "../support/peers/peers.ts";
import { type RunningRelay, spawnRelay } from "../support/relays/relay.ts";

/** Peers that freeze at once, so that every slot in which the relay pings has a chance. */
const FROZEN = 20;
/** So long a holder that is asked has to answer; the relay looks once a second. */
const PROBE_SECONDS = PROBE_MS / 1_000;
const hasNetworks = await Network.isPossible();

/** Bobs, opposite initiators that are yet to come; `ready` is theirs to take off. */
async function bobs(relay: RunningRelay, codes: readonly string[]): Promise<Client[]> {
  return Promise.all(codes.map((code) => Client.join(relay.url, code, false)));
}

describe("a frozen peer", () => {
  test.concurrent.each([
    ["with the default interval", [], false, 90],
    ["with the default interval, though it is written to once a second", [], true, 90],
    ["with a ping a second", ["--ping-interval", "1s"], false, 10],
    ["with a ping a second, though it is written to once a second", ["--ping-interval", "1s"], true, 10],
  ] as const)("is gone %s, its pair hears it, and its seat is free", async (how, args, isWrittenTo, mostSeconds) => {
    await using relay = await spawnRelay("binary", ...args);
    const codes = Array.from({ length: FROZEN }, newCode);
    const partners = await bobs(relay, codes);
    await using frozen = await PeerProcess.join(relay.url, codes, { isInitiator: true });
    await Promise.all(partners.map((bob) => bob.expect("ready")));
    const openBefore = openFiles(relay.process.pid);

    frozen.freeze();
    const since = performance.now();
    const seconds = await Promise.all(
      partners.map(async (bob, i) => {
        const message = { type: "ice-candidate", sessionCode: codes[i], candidate: {} };
        const writing = isWrittenTo ? setInterval(() => bob.send(message), 1_000) : undefined;
        await bob.expect("peer-left");
        clearInterval(writing);
        return secondsSince(since);
      }),
    );
    const [first, last] = [Math.min(...seconds), Math.max(...seconds)].map((n) => n.toFixed(1));
    measured(`a frozen peer was gone ${how} after ${first} to ${last} s`);
    expect(Math.max(...seconds)).toBeLessThan(mostSeconds);
    expect(await relay.sessions()).toBe(FROZEN);
    await until("its files to be closed", () => openFiles(relay.process.pid), atMost(openBefore - FROZEN + 2));

    for (const [i, bob] of partners.entries()) {
      if (isWrittenTo) await bob.drain(); // a message may have found nobody there
      const code = codes[i] ?? "";
      const alice = await Client.join(relay.url, code, true);
      await Promise.all([alice.expect("ready"), bob.expect("ready")]);
      if (i === 0) {
        frozen.thaw();
        await frozen.heard(/closed/, FROZEN);
        expect(frozen.lines(/closed (?!1006)/)).toEqual([]);
      }
      await expectUndisturbed({ code, alice, bob });
      alice.close();
      bob.close();
    }
    await until("the last session to end", () => relay.sessions(), equals(0));
  });

  test("who sat alone takes its session with it", async () => {
    await using relay = await spawnRelay("binary", "--ping-interval", "1s");
    await using frozen = await PeerProcess.join(relay.url, [newCode()], { isInitiator: true });
    expect(await relay.sessions()).toBe(1);
    frozen.freeze();
    await until("the last session to end", () => relay.sessions(), equals(0));
  });

  test("the relay that stood still for 8 s drops nobody but the frozen", async () => {
    await using relay = await spawnRelay("binary", "--ping-interval", "1s");
    const pairs = await Promise.all(Array.from({ length: FROZEN }, () => newPair(relay.url)));
    const codes = Array.from({ length: FROZEN }, newCode);
    const partners = await bobs(relay, codes);
    await using frozen = await PeerProcess.join(relay.url, codes, { isInitiator: true });
    await Promise.all(partners.map((bob) => bob.expect("ready")));

    relay.process.kill("SIGSTOP");
    await Bun.sleep(8_000); // the fault itself
    relay.process.kill("SIGCONT");
    const since = performance.now();
    for (const pair of pairs) await expectUndisturbed(pair);
    for (const bob of partners) expect(await bob.drain()).toEqual([]);
    frozen.freeze(); // who falls silent now shows when a whole round of the relay's patience has passed
    await Promise.all(partners.map((bob) => bob.expect("peer-left")));
    measured(`after a standstill of the relay the frozen were gone after ${secondsSince(since).toFixed(1)} s`);
    for (const pair of pairs) await expectUndisturbed(pair);
    expect(await relay.sessions()).toBe(2 * FROZEN);
  });
});

describe("a seat that is held", () => {
  test("by a frozen peer is given to a newcomer after 5 s, and the old socket hears why", async () => {
    await using relay = await spawnRelay("binary");
    const code = newCode();
    const [bob] = await bobs(relay, [code]);
    await using frozen = await PeerProcess.join(relay.url, [code], { isInitiator: true });
    await bob?.expect("ready");
    frozen.freeze();
    await untilSilent();
    const since = performance.now();
    const alice = await Client.join(relay.url, code, true);
    const seconds = secondsSince(since);
    measured(`a newcomer had the seat of a ghost after ${seconds.toFixed(2)} s`);
    expect(seconds).toBeWithin(PROBE_SECONDS - 0.1, PROBE_SECONDS + 2);
    await alice.expect("ready");
    await bob?.expect("peer-left");
    await bob?.expect("ready");
    frozen.thaw();
    await frozen.heard(/closed/);
    expect(frozen.lines(/replaced|closed/).map((line) => /"replaced"|closed \d+/.exec(line)?.[0])).toEqual([
      '"replaced"',
      "closed 4504",
    ]);
    if (bob) await expectUndisturbed({ code, alice, bob });
    expect(await relay.sessions()).toBe(1);
  });

  test("by a peer that lives is refused at once, whether the other seat is free or not", async () => {
    await using relay = await spawnRelay("binary");
    const code = newCode();
    await using _alice = await PeerProcess.join(relay.url, [code], { isInitiator: true });
    for (const [error, close] of [
      ["role-taken", 4501],
      ["session-full", 4500],
    ] as const) {
      const mallory = await Client.connect(relay.url);
      await untilSilent(); // so that it is asked
      const since = performance.now();
      mallory.send({ type: "join", sessionCode: code, isInitiator: true });
      await mallory.expectError(error);
      measured(`a newcomer was refused with ${error} after ${(1_000 * secondsSince(since)).toFixed(1)} ms`);
      expect(secondsSince(since)).toBeLessThan(1);
      expect((await mallory.closed).code).toBe(close);
      if (error === "role-taken") await (await Client.join(relay.url, code, false)).expect("ready");
    }
  });
});

describe("a cut cable", () => {
  if (!hasNetworks) console.log("not run: a network of its own can't be made here; that takes root and iproute2");

  test.skipIf(!hasNetworks)("frees the seats behind it, and once mended its peers may come back", async () => {
    await using network = await Network.create();
    await using relay = await spawnRelay("binary", "--ping-interval", "1s", "--host", network.address);
    const url = `ws://${network.address}:${relay.port}`;
    const health = `http://${network.address}:${relay.port}/health`;
    const code = newCode();
    const bob = await Client.join(url, code, false);
    await using cutOff = await PeerProcess.join(url, [code], { isInitiator: true, through: network.through });
    await bob.expect("ready");
    await network.cut();
    const since = performance.now();
    await bob.expect("peer-left");
    measured(`a peer behind a cut cable was gone after ${secondsSince(since).toFixed(1)} s`);
    expect(secondsSince(since)).toBeLessThan(10);
    expect(await (await fetch(health)).json()).toEqual({ status: "ok", sessions: 1 });
    expect(cutOff.lines(/closed|peer-left/)).toEqual([]);
    await network.mend();
    await using back = await PeerProcess.join(url, [code], { isInitiator: true, through: network.through });
    await bob.expect("ready");
    await back.heard(/"ready"/);
    expect(await (await fetch(health)).json()).toEqual({ status: "ok", sessions: 1 });
  });

  test.skipIf(!hasNetworks)("does not stop a newcomer from this side taking the seat of a ghost", async () => {
    await using network = await Network.create();
    await using relay = await spawnRelay("binary", "--host", network.address);
    const url = `ws://${network.address}:${relay.port}`;
    const code = newCode();
    await using _cutOff = await PeerProcess.join(url, [code], { isInitiator: true, through: network.through });
    await network.cut();
    await untilSilent();
    const since = performance.now();
    await Client.join(url, code, true);
    measured(`a newcomer had the seat of a peer behind a cut cable after ${secondsSince(since).toFixed(2)} s`);
    expect(secondsSince(since)).toBeWithin(PROBE_SECONDS - 0.1, PROBE_SECONDS + 2);
  });
});
