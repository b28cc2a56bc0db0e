/** The relay's look at its own books, with a fault planted: without one, every other test expects to find none. */

import { expect, test } from "bun:test";
import { gauges } from "../../src/program/books.ts";
import { equals, until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newPair } from "../support/peers/client.ts";
import { startHandRelay } from "../support/relays/in-process.ts";

/** So many sweeps it takes to look at every session, as docs/SECURITY.md says. */
const ROUND = 60;
const FOUND = "whisper_self_check_differences_total";

test("a seat that is not given back is found, counted, warned of without its code, and seen in health", async () => {
  const hand = startHandRelay(["--ping-interval=10m"]);
  const { relay, books, url } = hand;
  const health = async () => (await fetch(`http://127.0.0.1:${relay.port}/health`)).json();
  const { code, alice, bob } = await newPair(url);
  for (let sweep = 0; sweep < ROUND; sweep++) hand.sweepAt(sweep);
  expect([hand.count(FOUND), await health()]).toEqual([0, { status: "ok", sessions: 1 }]);

  const [session] = relay.state.sessions.values();
  const seat = session?.initiator ?? null;
  alice.close();
  await until("one socket to be left", () => gauges(relay.state).sockets, equals(1));
  if (session) session.initiator = seat;
  relay.state.seats++;
  expect(books.check()).toBe(2); // a seat too many for the peers, a subscriber too few for the session
  expect(await health()).toEqual({ status: "degraded", sessions: 1 });
  expect(hand.count(FOUND)).toBe(2); // also where it was not a sweep that looked
  expect(new Set(hand.warnings).size).toBe(1);
  expect(hand.warnings.join()).not.toContain(code);
  await expectUndisturbed(await newPair(url)); // it goes on
  bob.close();
  await relay.stop();
});

test("every session is looked at within a round of sweeps, however many there are and however busy they are", async () => {
  await using hand = startHandRelay(["--max-waiting-per-address=1000", "--ping-interval=10m"]);
  const clients: Client[] = [];
  for (let i = 0; i < 100; i++) {
    hand.clock.at = i * 7.3;
    clients.push(await Client.join(hand.url, `session-${i}`, true));
  }
  const broken = [...hand.relay.state.sessions.values()].slice(0, 99); // the check must find each of them, once
  for (const session of broken) session.initiator = null;
  for (let sweep = 0; sweep < ROUND; sweep++) {
    for (const session of hand.relay.state.sessions.values()) session.activeAt = hand.clock.at; // as a message does
    hand.relay.sweep();
  }
  const seated = [...hand.relay.state.peers].filter(({ phase }) => phase === "seated");
  for (const session of broken) session.initiator = seated.find((peer) => peer.session === session) ?? null;
  expect(hand.count(FOUND)).toBe(99);
  for (const client of clients) client.terminate();
  await until("the last socket to close", () => gauges(hand.relay.state).sockets, equals(0));
});

test("a difference in one session is said from the look that finds it to the one that finds it no more", async () => {
  await using hand = startHandRelay(["--ping-interval=10m"]);
  const alice = await Client.join(hand.url, "session-of-alice", true);
  const round = () =>
    Array.from({ length: ROUND }, () => {
      hand.relay.sweep();
      return hand.books.status;
    });
  const [session] = hand.relay.state.sessions.values();
  const seat = session?.initiator ?? null;
  if (session) session.initiator = null;
  expect(new Set(round())).toEqual(new Set(["ok", "degraded"]));
  expect(new Set(round())).toEqual(new Set(["degraded"]));
  if (session) session.initiator = seat;
  round();
  expect(new Set(round())).toEqual(new Set(["ok"]));
  alice.terminate();
  await until("the last socket to close", () => gauges(hand.relay.state).sockets, equals(0));
});
