/**
 * The wall clock steps by a day, forwards and back, under a running relay (Debian: faketime): nobody expires before
 * their time or after it. Where libfaketime is missing this is skipped, but never under CI.
 */
import { expect, test } from "bun:test";
import { measured, secondsSince } from "../support/machines/outside.ts";
import { atMost, until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newCode, newPair } from "../support/peers/client.ts";
import { frame, OP, RawClient } from "../support/peers/raw.ts";
import { hasFaketime, spawnUnderFaketime } from "../support/relays/faketime.ts";

const DAY_MS = 86_400_000;
/** Where the wall clock goes, in days off the machine's. */
const STEPS = [1, -1, 30, -400, 0, 1];
/** Longer than all steps take, so that only a clock that jumps could end a session among them. */
const TTL_MS = 30_000;
/** How late an end may be: the relay looks once a second, the rest is for a busy machine. */
const LATE_MS = 5_000;

if (!hasFaketime()) console.warn("clock.long.ts: no clock is stepped, there is no libfaketime");

test.skipIf(!process.env["CI"])("CI has a clock to step", () => {
  expect(hasFaketime()).toBe(true);
});

/** Waits until the relay has swept once from beginning to end: at the end of each it pings every peer. */
async function swept(watcher: RawClient): Promise<void> {
  const ping = await watcher.next();
  if (ping?.opcode !== OP.ping) throw new Error(`the watcher was told: ${ping?.payload}`);
  watcher.write(frame(OP.pong, ping.payload));
}

/** Resolves with how long after `since` the session of `peer` was ended. */
async function expiry(peer: Client, since: number): Promise<number> {
  await peer.expectError("session-expired");
  return performance.now() - since;
}

test.skipIf(!hasFaketime())("steps of the wall clock drop nobody and put nothing off", async () => {
  const options = ["--session-ttl", `${TTL_MS / 1_000}s`, "--join-timeout", "1m", "--ping-interval", "1s"];
  await using relay = await spawnUnderFaketime(...options);
  const { url } = relay;
  const watcher = await RawClient.connect(relay.port);
  const hasNotJoined = await Client.connect(url);
  const aloneSince = performance.now();
  const waitsForAPeer = await Client.join(url, newCode(), true);
  const pair = await newPair(url);
  let pairSince = 0;

  for (const days of STEPS) {
    relay.step(days);
    // That the step has reached the process: the header of an answer shows it. Else this waits in vain.
    await until(
      "the step to reach the relay",
      async () => Math.abs((await relay.offMs()) - days * DAY_MS),
      atMost(DAY_MS / 24),
    );
    await swept(watcher); // it may have begun before the step
    await swept(watcher);
    for (const peer of [waitsForAPeer, hasNotJoined, pair.alice, pair.bob])
      expect(await Promise.race([peer.drain(), peer.closed])).toEqual([]);
    pairSince = performance.now();
    await expectUndisturbed(pair);
    const { alice, bob } = await newPair(url);
    alice.close();
    await bob.expect("peer-left");
    bob.close();
    await Promise.all([alice.closed, bob.closed]);
    expect(await relay.sessions()).toBe(2);
  }
  measured(`clock: ${STEPS.length} steps took ${secondsSince(aloneSince).toFixed(1)} s of ${TTL_MS / 1_000}`);

  watcher.end();
  const ends = [expiry(waitsForAPeer, aloneSince), expiry(pair.alice, pairSince), expiry(pair.bob, pairSince)];
  for (const end of await Promise.all(ends)) {
    expect(end).toBeGreaterThanOrEqual(TTL_MS);
    expect(end).toBeLessThan(TTL_MS + LATE_MS);
  }
  expect(await relay.sessions()).toBe(0);
  expect(await hasNotJoined.drain()).toEqual([]);
});
