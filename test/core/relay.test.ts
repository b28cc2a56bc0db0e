/** The relay in this process, on real sockets, with the time in the test's hand. */

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Relay } from "../../src/core/relay.ts";
import { gauges } from "../../src/program/books.ts";
import { LoopClock } from "../../src/program/clock.ts";
import { readConfig } from "../../src/program/config.ts";
import { equals, until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newCode, newPair } from "../support/peers/client.ts";
import { type HandRelay, startHandRelay } from "../support/relays/in-process.ts";

const { sessionTtlMs, joinTimeoutMs } = readConfig([], {});
const NOTHING = { sockets: 0, notJoined: 0, probing: 0, seated: 0, sessions: 0, seatsHeld: 0 };

let hand: HandRelay;
let relay: Relay;
let url: string;
const sweepAt = (ms: number) => hand.sweepAt(ms);

beforeEach(() => {
  hand = startHandRelay();
  ({ relay, url } = hand);
});
afterEach(async () => {
  expect(hand.warnings).toEqual([]);
  await hand[Symbol.asyncDispose]();
});

test("gathering sends those who sit alone to come back, and pairs and whoever has not joined never notice", async () => {
  const pair = await newPair(url);
  const [initiator, joiner] = [await Client.join(url, newCode(), true), await Client.join(url, newCode(), false)];
  const late = await Client.connect(url);
  relay.gather();
  for (const alone of [initiator, joiner]) {
    const error = await alone.expect("error");
    expect(error["retryAfterMs"]).toBeLessThan(5_000);
    expect(error).toMatchObject({ code: "restarting", retry: true });
    expect((await alone.closed).code).toBe(1012);
  }
  expect(await late.drain()).toEqual([]);
  await expectUndisturbed(pair);
  late.send({ type: "join", sessionCode: newCode(), isInitiator: true });
  await late.expect("joined");
});

test("how long a session took to be ready and to be answered is told once, from its first join and its first ready", async () => {
  const code = newCode();
  const alice = await Client.join(url, code, true);
  hand.clock.at = 1_000;
  const bob = await Client.join(url, code, false);
  bob.close();
  await alice.expect("ready");
  await alice.expect("peer-left");
  hand.clock.at = 3_000;
  const again = await Client.join(url, code, false);
  hand.clock.at = 4_000;
  for (const _ of ["once", "twice"]) again.send({ type: "answer", sessionCode: code, answer: {} });
  await again.drain();
  const told = ["ready_seconds_sum", "ready_seconds_count", "answer_seconds_sum", "answer_seconds_count"];
  expect(told.map((name) => hand.count(`whisper_time_to_${name}`))).toEqual([1, 1, 3, 1]);
});

describe("an idle session", () => {
  test("ends at its time: both peers are told and closed, and nothing is left", async () => {
    const { code, alice, bob } = await newPair(url);
    sweepAt(sessionTtlMs - 1);
    expect([await alice.drain(), await bob.drain()]).toEqual([[], []]);
    expect(relay.server.subscriberCount(code)).toBe(2);
    sweepAt(sessionTtlMs);
    for (const peer of [alice, bob]) {
      await peer.expectError("session-expired");
      expect(await peer.closed).toEqual({ code: 4502, reason: "session-expired" });
    }
    expect(gauges(relay.state)).toEqual(NOTHING);
    expect(relay.server.subscriberCount(code)).toBe(0);
  });

  test("is told so also where only one peer waits", async () => {
    const alice = await Client.join(url, newCode(), true);
    sweepAt(sessionTtlMs);
    await alice.expectError("session-expired");
    expect((await alice.closed).code).toBe(4502);
    expect(gauges(relay.state)).toEqual(NOTHING);
  });

  test("is kept alive by a relayed message, and not by a ping, a bad message or a refused join", async () => {
    const pair = await newPair(url);
    hand.clock.at = 300_000;
    await expectUndisturbed(pair);
    hand.clock.at = 599_999;
    expect(await pair.alice.drain()).toEqual([]);
    pair.bob.send("rubbish");
    await pair.bob.expectError("bad-message");
    const mallory = await Client.connect(url);
    mallory.send({ type: "join", sessionCode: pair.code });
    await mallory.expectError("session-full");
    sweepAt(300_000 + sessionTtlMs - 1);
    await expectUndisturbed(pair);
    sweepAt(300_000 + 2 * sessionTtlMs - 1);
    await pair.alice.expectError("session-expired");
  });

  test("ends within five seconds of its time without anyone asking", async () => {
    const started = performance.now();
    await using running = startHandRelay(["--session-ttl=1s"], { clock: new LoopClock() });
    const alice = await Client.join(running.url, newCode(), true);
    await alice.expectError("session-expired");
    expect(performance.now() - started).toBeWithin(1_000, 6_000);
  });
});

describe("a peer that does not join", () => {
  test("is told and closed at its time; a ping does not put that off", async () => {
    const mallory = await Client.connect(url);
    hand.clock.at = joinTimeoutMs - 1;
    relay.sweep();
    expect(await mallory.drain()).toEqual([]);
    sweepAt(joinTimeoutMs);
    await mallory.expectError("join-timeout");
    expect(await mallory.closed).toEqual({ code: 4503, reason: "join-timeout" });
    expect(gauges(relay.state)).toEqual(NOTHING);
  });

  test("is not confused with one that came later, or with one that joined", async () => {
    const joined = await Client.join(url, newCode(), true);
    const early = await Client.connect(url);
    hand.clock.at = 1;
    const late = await Client.connect(url);
    expect(await late.drain()).toEqual([]);
    sweepAt(joinTimeoutMs);
    await early.expectError("join-timeout");
    expect([await joined.drain(), await late.drain()]).toEqual([[], []]);
  });
});

test("every way of leaving takes the peer out of every count and its topic", async () => {
  const endings: ((client: Client) => void)[] = [
    (client) => client.close(),
    (client) => client.close(1000),
    (client) => client.terminate(),
    (client) => client.send({ type: "leave" }),
  ];
  for (const end of endings) {
    const { code, alice, bob } = await newPair(url);
    expect(gauges(relay.state)).toEqual({ ...NOTHING, sockets: 2, seated: 2, sessions: 1, seatsHeld: 2 });
    end(alice);
    await bob.expect("peer-left");
    await until("one socket to be left", () => gauges(relay.state).sockets, equals(1));
    expect(gauges(relay.state)).toEqual({ ...NOTHING, sockets: 1, seated: 1, sessions: 1, seatsHeld: 1 });
    expect(relay.server.subscriberCount(code)).toBe(1);
    end(bob);
    await until("the last socket to close", () => gauges(relay.state).sockets, equals(0));
    expect(gauges(relay.state)).toEqual(NOTHING);
    expect(relay.server.subscriberCount(code)).toBe(0);
  }
});

test("stopping closes every peer and frees the port", async () => {
  const { alice, bob } = await newPair(url);
  const { port } = relay;
  await relay.stop();
  expect([(await alice.closed).code, (await bob.closed).code]).toEqual([1001, 1001]);
  expect(gauges(relay.state)).toEqual(NOTHING);
  await using again = startHandRelay([`--port=${port}`]);
  expect(again.relay.port).toBe(port);
});
