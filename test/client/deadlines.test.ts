/** When a session that is not connected gives up, and why: whatever the relay says, it does. Its timers are in the test's hand. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ConnectOptions } from "../../src/client/client.ts";
import { beginByHand, connectedByHand, type HandSession, HandSocket, JOINED, READY } from "./hand-platform.ts";
import { type HandTimers, holdTimers } from "./hand-timers.ts";

let timers: HandTimers;
let begun: HandSession;

beforeEach(() => {
  timers = holdTimers();
});
afterEach(() => {
  begun.session.close();
  timers[Symbol.dispose]();
});

/** A session that sits at a relay. */
async function joined(options: Partial<ConnectOptions> = {}): Promise<HandSocket> {
  begun = beginByHand({ role: "initiator", ...options });
  await timers.pass(0);
  const socket = await HandSocket.last.open();
  await socket.say(JOINED);
  return socket;
}

/** Who was left looks for the other once, after 5 s. Returns the socket that it has then. */
async function joinedAnew(): Promise<HandSocket> {
  await timers.pass(5_000);
  const socket = await HandSocket.last.open();
  await socket.say(JOINED);
  return socket;
}

/** Goes on, a second at a time, until it has failed. Returns after how many ms that was. */
async function untilFailed(longestMs: number, second: () => Promise<void>): Promise<number> {
  for (let passed = 1_000; passed <= longestMs; passed += 1_000) {
    await timers.pass(1_000);
    if (begun.session.state === "failed") return passed;
    await second();
  }
  throw new Error(`after ${longestMs} ms it is ${begun.session.state}`);
}

describe("a relay can't put off the deadline of two who have met", () => {
  test("by saying ready again and again", async () => {
    const socket = await joined();
    await socket.say(READY);
    expect(await untilFailed(60_000, () => socket.say(READY))).toBe(30_000);
    expect(begun.session.state).toBe("failed");
    await expect(begun.session.connected).rejects.toMatchObject({ reason: "no-answer", retry: true });
  });

  test.each([
    ["taking the other away and bringing it back", () => [{ type: "peer-left" }, READY]],
    ["bringing another each time", () => [{ ...READY, peer: crypto.randomUUID() }]],
  ])("for ever by %s: both its times together are all there is", async (_, told) => {
    const socket = await joined({ waitMs: 60_000, connectMs: 20_000 });
    const passed = await untilFailed(200_000, () => socket.say(...told()));
    expect(passed).toBeGreaterThanOrEqual(60_000);
    expect(passed).toBeLessThanOrEqual(80_000);
  });
});

test("who has left before it could be met is not there", async () => {
  const socket = await joined();
  await socket.say(READY, { type: "peer-left" }); // both before anything that waits for its turn
  expect([begun.session.state, begun.log]).toEqual(["waiting", ["waiting", "peer-left", "waiting"]]);
});

describe("the time to be alone", () => {
  test("goes on where somebody came and left again", async () => {
    const socket = await joined({ waitMs: 60_000 });
    await timers.pass(50_000);
    await socket.say(READY);
    expect(begun.session.state).toBe("ready");
    await socket.say({ type: "peer-left" });
    await timers.pass(9_999);
    expect(begun.session.state).toBe("waiting");
    await timers.pass(1);
    expect(begun.session.state).toBe("failed");
    await expect(begun.session.connected).rejects.toMatchObject({ reason: "no-peer", retry: true });
  });

  test("begins anew for two who were connected, when the other has gone; and there is an end to it", async () => {
    const made = await connectedByHand({ waitMs: 60_000 });
    begun = made;
    await timers.pass(300_000);
    await HandSocket.last.say({ type: "peer-left" }); // as a client that needs the relay no more
    await made.pc.become("failed");
    expect(begun.session.state).toBe("waiting");
    await timers.pass(59_999);
    expect(begun.log).not.toContain("failed");
    await timers.pass(1);
    expect(begun.session.state).toBe("failed");
  });

  test("is not that of two who were connected, meet again and take long: they may", async () => {
    const made = await connectedByHand({ waitMs: 60_000 });
    begun = made;
    await made.pc.become("failed");
    const socket = HandSocket.last;
    for (let minute = 0; minute < 10; minute++) {
      await socket.say({ type: "peer-left" }, { ...READY, peer: `bob ${minute}` });
      expect(begun.session.state).toBe("ready");
      await timers.pass(50_000);
    }
    await socket.say({ type: "peer-left" });
    expect(begun.session.state).toBe("waiting");
  });

  test("begins anew for who brings an own connection, each time that the other leaves", async () => {
    let socket = await joined({ connection: false, waitMs: 60_000 });
    await socket.say(READY);
    for (let hour = 0; hour < 3; hour++) {
      for (let minute = 0; minute < 60; minute++) {
        await timers.pass(59_000);
        await socket.say({ type: "pong" });
      }
      expect(begun.session.state).toBe("ready");
      await socket.say({ type: "peer-left" });
      expect(begun.session.state).toBe("waiting");
      socket = await joinedAnew();
      await timers.pass(54_000);
      await socket.say(READY);
    }
    await socket.say({ type: "peer-left" });
    await joinedAnew();
    await timers.pass(55_000);
    expect(begun.session.state).toBe("failed");
    await expect(begun.session.connected).rejects.toMatchObject({ reason: "no-peer" });
  });

  test.each([30 * 86_400_000, Infinity])("of %d ms, which no timer can hold, is not none", async (waitMs) => {
    const socket = await joined({ waitMs });
    await timers.pass(1);
    expect(begun.session.state).toBe("waiting");
    await socket.say(READY);
    await socket.say({ type: "peer-left" });
    await timers.pass(1);
    expect(begun.session.state).toBe("waiting");
  });

  test("of 24.8 days, the longest that a timer can hold, is one", async () => {
    await joined({ waitMs: 1.99e9 });
    await timers.pass(1);
    expect(begun.session.state).toBe("waiting");
  });
});
