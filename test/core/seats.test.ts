/** Ghosts: who gets a seat that is held, with the time in the test's hand. A raw client answers no ping. */

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { HEARD_MS, PROBE_MS } from "../../src/core/admission.ts";
import type { Relay } from "../../src/core/relay.ts";
import { gauges } from "../../src/program/books.ts";
import { readConfig } from "../../src/program/config.ts";
import { atLeast, equals, until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newCode, newPair, type Pair } from "../support/peers/client.ts";
import { frame, OP, RawClient } from "../support/peers/raw.ts";
import { type HandRelay, startHandRelay } from "../support/relays/in-process.ts";

const { sessionTtlMs, joinTimeoutMs } = readConfig([], {});
let hand: HandRelay;
let relay: Relay;
let url: string;

function start(...args: string[]): void {
  hand = startHandRelay(args);
  ({ relay, url } = hand);
}
beforeEach(() => start());
afterEach(async () => {
  expect(hand.warnings).toEqual([]);
  await hand[Symbol.asyncDispose]();
});

/** Goes on by so many ms, and sweeps. */
const pass = (ms: number) => hand.sweepAt(hand.clock.at + ms);
const ping = (client: RawClient) => client.write(frame(OP.text, '{"type":"ping"}'));

/** A peer that holds a seat and has vanished without a word. */
async function newGhost(sessionCode: string, isInitiator: boolean): Promise<RawClient> {
  const ghost = await RawClient.connect(relay.port);
  ghost.say({ type: "join", sessionCode, isInitiator });
  expect(await ghost.text()).toStartWith('{"type":"joined"');
  hand.clock.at += HEARD_MS; // from now on it is no longer one that was heard lately
  return ghost;
}

/** A peer that asks for a held seat, and so waits. */
async function newcomer(sessionCode: string, isInitiator: boolean, token?: string): Promise<Client> {
  const client = await Client.connect(url);
  const before = gauges(relay.state).probing;
  client.send({ type: "join", sessionCode, isInitiator, token });
  await until("a probe", () => gauges(relay.state).probing, atLeast(before + 1));
  return client;
}

/** A peer that joins with a token. */
async function join(sessionCode: string, isInitiator: boolean, token: unknown): Promise<Client> {
  const client = await Client.connect(url);
  client.send({ type: "join", sessionCode, isInitiator, token });
  return client;
}

/** A pair, and the token of Alice's seat. */
async function newPairWithToken(): Promise<Pair & { token: unknown }> {
  const code = newCode();
  const alice = await Client.connect(url);
  alice.send({ type: "join", sessionCode: code, isInitiator: true });
  const { token } = await alice.expect("joined");
  const bob = await Client.join(url, code, false);
  await Promise.all([alice.expect("ready"), bob.expect("ready")]);
  return { code, alice, bob, token };
}

describe("with the holder's token", () => {
  test("the seat is taken at once: the old socket is told, the pair is ready again, nobody was said to leave", async () => {
    const { code, alice, bob, token } = await newPairWithToken();

    const again = await join(code, true, token);
    expect((await again.expect("joined"))["token"]).not.toBe(token);
    expect([await again.next(), await bob.next()]).toEqual(['{"type":"ready"}', '{"type":"ready"}']);
    await alice.expectError("replaced");
    expect(await alice.closed).toEqual({ code: 4504, reason: "replaced" });
    await expectUndisturbed({ code, alice: again, bob });
    expect(gauges(relay.state)).toMatchObject({ sockets: 2, sessions: 1, seatsHeld: 2 });
    expect(relay.server.subscriberCount(code)).toBe(2);
  });

  test("a client's own late socket never kicks its newer one", async () => {
    const code = newCode();
    const first = await Client.connect(url);
    first.send({ type: "join", sessionCode: code });
    const { token } = await first.expect("joined");
    const newer = await join(code, false, token);
    await newer.expect("joined");
    const late = await join(code, false, token); // sent before the client knew its newer token
    await late.expectError("role-taken");
    expect((await late.closed).code).toBe(4501);
    expect(await newer.drain()).toEqual([]);
    expect((await first.closed).code).toBe(4504);
    expect(gauges(relay.state)).toMatchObject({ sockets: 1, seatsHeld: 1 });
  });

  test("a peer that waits alone comes back too, also where no more sessions may wait", async () => {
    await relay.stop();
    start("--max-waiting=1");
    const code = newCode();
    const alice = await Client.connect(url);
    alice.send({ type: "join", sessionCode: code });
    const again = await join(code, false, (await alice.expect("joined"))["token"]);
    await again.expect("joined");
    expect((await alice.closed).code).toBe(4504);
    const other = await join(newCode(), false, undefined);
    await other.expectError("at-capacity");
    expect((await other.closed).code).toBe(1013);
  });

  test("of the other seat, or of nobody, it is no use", async () => {
    const { code, alice, bob, token } = await newPairWithToken();
    for (const guess of [token, "", "é".repeat(16), "0".repeat(32), String(token).slice(1)]) {
      const mallory = await join(code, false, guess);
      await mallory.expectError("session-full");
    }
    await expectUndisturbed({ code, alice, bob });
  });

  test("who waits for the same seat without it is refused", async () => {
    const code = newCode();
    const ghost = await RawClient.connect(relay.port);
    ghost.say({ type: "join", sessionCode: code });
    const { token } = JSON.parse(await ghost.text());
    hand.clock.at += HEARD_MS;
    const mallory = await newcomer(code, false);
    const again = await join(code, false, token);
    await again.expect("joined");
    await mallory.expectError("role-taken");
    expect(gauges(relay.state)).toMatchObject({ probing: 0, seatsHeld: 1 });
    ghost.end();
  });
});

describe("without it", () => {
  test("a holder who answers the probe keeps the seat, and the newcomer is refused at once", async () => {
    const pair = await newPair(url);
    for (const isInitiator of [true, false]) {
      const mallory = await join(pair.code, isInitiator, undefined);
      await mallory.expectError("session-full"); // the clock has not moved
    }
    await expectUndisturbed(pair);
  });

  test.each([true, false])("a ghost loses its seat after 5 s and not before (initiator: %p)", async (isInitiator) => {
    const code = newCode();
    const ghost = await newGhost(code, isInitiator);
    const bob = await Client.join(url, code, !isInitiator);
    await bob.expect("ready");
    expect(await ghost.text()).toBe('{"type":"ready"}');
    pass(1_000);
    const alice = await newcomer(code, isInitiator);
    pass(PROBE_MS - 1);
    expect([await alice.drain(), await bob.drain()]).toEqual([[], []]);
    pass(1);
    await alice.expect("joined");
    expect([await bob.next(), await bob.next()]).toEqual(['{"type":"peer-left"}', '{"type":"ready"}']);
    await alice.expect("ready");
    expect(JSON.parse(await ghost.text()).code).toBe("replaced");
    expect(await ghost.text()).toBe("close 4504");
    await expectUndisturbed({ code, alice, bob });
  });

  test("a holder that was heard lately is not asked, and the newcomer is refused at once", async () => {
    const code = newCode();
    const holder = await newGhost(code, true);
    hand.clock.at--;
    const mallory = await join(code, true, undefined);
    await mallory.expectError("role-taken");
    holder.end();
    expect(await holder.next()).toBeNull(); // and so no ping had come
  });

  test("a holder who answers at the last moment keeps the seat", async () => {
    const code = newCode();
    const holder = await newGhost(code, true);
    const mallory = await newcomer(code, true);
    pass(PROBE_MS - 1);
    holder.write(frame(OP.pong, ""));
    await mallory.expectError("role-taken");
    pass(1);
    ping(holder);
    expect(await holder.text()).toBe('{"type":"pong"}');
  });

  test.each([
    ["a message", frame(OP.text, '{"type":"ping"}')],
    ["rubbish", frame(OP.text, "rubbish")],
    ["a ping", frame(OP.ping, "")],
  ])("%s from the holder proves as much as a pong", async (_what, bytes) => {
    const code = newCode();
    const holder = await newGhost(code, true);
    const mallory = await newcomer(code, true);
    holder.write(bytes);
    await mallory.expectError("role-taken");
  });

  test("of two newcomers the first is seated, and the second is refused", async () => {
    const code = newCode();
    await newGhost(code, true);
    const alice = await newcomer(code, true);
    hand.clock.at += 500;
    const mallory = await newcomer(code, true);
    pass(PROBE_MS - 500);
    await alice.expect("joined");
    await mallory.expectError("role-taken");
    expect(gauges(relay.state)).toMatchObject({ probing: 0, seatsHeld: 1, sessions: 1 });
  });

  test("two ghosts opposite each other lose their seats in one turn, and each newcomer is told in order", async () => {
    const code = newCode();
    const ghosts = [await newGhost(code, true), await newGhost(code, false)];
    for (const ghost of ghosts) expect(await ghost.text()).toBe('{"type":"ready"}');
    const [alice, bob] = [await newcomer(code, true), await newcomer(code, false)];
    pass(PROBE_MS);
    const toldTo = async (client: Client) => {
      client.send({ type: "leave" });
      const types: string[] = [];
      for (let next = await client.nextOrEnd(); typeof next === "string"; next = await client.nextOrEnd())
        types.push(JSON.parse(next).type);
      return types;
    };
    expect(await toldTo(bob)).toEqual(["joined", "ready"]);
    expect(await toldTo(alice)).toEqual(["joined", "ready", "peer-left", "ready", "peer-left"]);
    const said = async (ghost: RawClient) => [JSON.parse(await ghost.text()), JSON.parse(await ghost.text())];
    expect(JSON.parse(await (ghosts[0] as RawClient).text()).code).toBe("replaced");
    expect(await said(ghosts[1] as RawClient)).toMatchObject([{ type: "peer-left" }, { type: "ready" }]);
    expect(JSON.parse(await (ghosts[1] as RawClient).text()).code).toBe("replaced");
  });

  test("a newcomer who leaves while waiting leaves no trace, and the ghost keeps its seat", async () => {
    const code = newCode();
    const ghost = await newGhost(code, true);
    for (const end of [
      (c: Client) => c.close(),
      (c: Client) => c.terminate(),
      (c: Client) => c.send('{"type":"leave"}'),
    ]) {
      const fickle = await newcomer(code, true);
      end(fickle);
      await until("the probe to end", () => gauges(relay.state).probing, equals(0));
      pass(PROBE_MS);
    }
    await until("one socket to be left", () => gauges(relay.state).sockets, equals(1));
    ping(ghost);
    expect(await ghost.text()).toBe('{"type":"pong"}');
    expect(gauges(relay.state)).toMatchObject({ seatsHeld: 1, notJoined: 0 });
  });

  test("a holder who goes during the probe makes room at once", async () => {
    const code = newCode();
    const holder = await newGhost(code, true);
    const alice = await newcomer(code, true);
    const mallory = await newcomer(code, true);
    holder.end();
    await alice.expect("joined");
    await mallory.expectError("role-taken");
  });

  test("a session that expires during the probe leaves its code to the newcomer", async () => {
    const code = newCode();
    const ghost = await newGhost(code, true);
    hand.clock.at = sessionTtlMs - 1;
    const alice = await newcomer(code, true);
    pass(1);
    await alice.expect("joined");
    expect(JSON.parse(await ghost.text()).code).toBe("session-expired");
    expect(gauges(relay.state)).toMatchObject({ sessions: 1, seatsHeld: 1, sockets: 1 });
  });

  test("a newcomer who waits can't speak, join again or time out, but is answered", async () => {
    const code = newCode();
    await newGhost(code, true);
    const alice = await Client.connect(url);
    hand.clock.at += joinTimeoutMs - 1;
    alice.send({ type: "join", sessionCode: code, isInitiator: true });
    alice.send({ type: "offer", sessionCode: code, offer: {} });
    await alice.expectError("not-joined");
    alice.send({ type: "join", sessionCode: newCode() });
    await alice.expectError("already-joined");
    pass(PROBE_MS - 1);
    expect(await alice.drain()).toEqual([]);
    pass(1);
    await alice.expect("joined");
  });

  test("who waits while the relay begins to drain is sent away like the holder", async () => {
    const code = newCode();
    await newGhost(code, true);
    const alice = await newcomer(code, true);
    const drained = relay.drain();
    await alice.expectError("restarting");
    expect((await alice.closed).code).toBe(1012);
    await drained;
    start();
  });
});
