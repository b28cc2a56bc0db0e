/** Random joins, leaves, messages and expiries on real sockets, beside a model too small to be wrong. */

import { expect, test } from "bun:test";
import { PEER_LEFT, ready } from "../../src/core/protocol.ts";
import { gauges } from "../../src/program/books.ts";
import { readConfig } from "../../src/program/config.ts";
import { Random } from "../support/machines/random.ts";
import { equals, until } from "../support/machines/until.ts";
import { Client } from "../support/peers/client.ts";
import { startHandRelay } from "../support/relays/in-process.ts";

const READY = ready(null, null);

const CODES = ["AAAAAAAA", "BBBBBBBB", "CCCCCCCC"] as const;
const STEPS = 2_000;
const TTL_MS = readConfig([], {}).sessionTtlMs;

/** A peer as the model sees it: where it sits, and what it must hear next. */
interface Modelled {
  readonly client: Client;
  readonly code: string;
  readonly isInitiator: boolean;
  inbox: string[];
}

class Model {
  seated: Modelled[] = [];
  readonly usedAt = new Map<string, number>();

  in(code: string): Modelled[] {
    return this.seated.filter((peer) => peer.code === code);
  }
  join(peer: Modelled, now: number): string | null {
    if (this.in(peer.code).length === 2) return "session-full";
    if (this.in(peer.code).some((other) => other.isInitiator === peer.isInitiator)) return "role-taken";
    this.seated.push(peer);
    this.usedAt.set(peer.code, now);
    if (this.in(peer.code).length === 2) for (const each of this.in(peer.code)) each.inbox.push(READY);
    return null;
  }
  leave(peer: Modelled): void {
    this.seated = this.seated.filter((other) => other !== peer);
    for (const other of this.in(peer.code)) other.inbox.push(PEER_LEFT);
  }
  relay(peer: Modelled, text: string, now: number): boolean {
    const others = this.in(peer.code).filter((other) => other !== peer);
    for (const other of others) other.inbox.push(text);
    if (others.length > 0) this.usedAt.set(peer.code, now);
    return others.length > 0;
  }
  expire(now: number): Modelled[] {
    const due = this.seated.filter((peer) => now - (this.usedAt.get(peer.code) ?? 0) >= TTL_MS);
    this.seated = this.seated.filter((peer) => !due.includes(peer));
    return due;
  }
}

test.each([1, 2, 3, 4, 5])("the relay does what the model says (seed %d)", async (seed) => {
  const random = new Random(seed);
  const model = new Model();
  await using hand = startHandRelay(["--failed-join-burst=1000000"]);
  const { relay, url } = hand;
  let now = 0;
  const seen = { seated: 0, refused: 0, relayed: 0, alone: 0, left: 0, expired: 0 };

  async function joinSomebody(): Promise<void> {
    const client = await Client.connect(url);
    const peer: Modelled = { client, code: random.pick(CODES), isInitiator: random.below(2) === 0, inbox: [] };
    client.send({ type: "join", sessionCode: peer.code, isInitiator: peer.isInitiator });
    const refusal = model.join(peer, now);
    if (refusal === null) {
      seen.seated++;
      await client.expect("joined");
    } else {
      seen.refused++;
      await client.expectError(refusal);
      await client.closed;
    }
  }
  async function sendSomething(step: number): Promise<void> {
    const peer = random.pick(model.seated);
    const name = random.pick(["offer", "answer"]);
    const text = peer.client.send({ type: name, sessionCode: peer.code, [name]: { step } });
    if (model.relay(peer, text, now)) seen.relayed++;
    else {
      seen.alone++;
      await peer.client.expectError("no-peer");
    }
    expect(await peer.client.drain()).toEqual(peer.inbox.splice(0));
  }
  async function sendSomebodyAway(): Promise<void> {
    const peer = random.pick(model.seated);
    model.leave(peer);
    seen.left++;
    random.pick([
      () => peer.client.send({ type: "leave" }),
      () => peer.client.close(),
      () => peer.client.terminate(),
    ])();
    await peer.client.closed;
  }
  async function letTimePass(): Promise<void> {
    now += random.below(TTL_MS);
    const due = model.expire(now);
    hand.sweepAt(now);
    for (const { client } of due) {
      seen.expired++;
      await client.expectError("session-expired");
      await client.closed;
    }
  }
  /** What must hold after every step. */
  async function settle(): Promise<void> {
    await until("the sockets of the seated", () => gauges(relay.state).sockets, equals(model.seated.length));
    const codes = new Set(model.seated.map(({ code }) => code));
    const seatsHeld = model.seated.length;
    const nobody = { notJoined: 0, probing: 0 };
    expect(gauges(relay.state)).toEqual({
      sockets: seatsHeld,
      seated: seatsHeld,
      sessions: codes.size,
      seatsHeld,
      ...nobody,
    });
    for (const code of CODES) expect(relay.server.subscriberCount(code)).toBe(model.in(code).length);
    for (const { client, inbox } of model.seated) expect(await client.drain()).toEqual(inbox.splice(0));
  }

  for (let step = 0; step < STEPS; step++) {
    const dice = model.seated.length === 0 ? 0 : random.below(10);
    if (dice < 4) await joinSomebody();
    else if (dice < 7) await sendSomething(step);
    else if (dice < 9) await sendSomebodyAway();
    else await letTimePass();
    await settle();
  }
  while (model.seated.length > 0) {
    await sendSomebodyAway();
    await settle();
  }
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(0);
});
