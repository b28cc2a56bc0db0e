/** When a session acts by itself: redials, restarts, attempts. Its timers are in the test's hand, so no second passes. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ConnectOptions, Session } from "../../src/client/client.ts";
import {
  ANSWER,
  beginByHand,
  connectedByHand,
  HandConnection,
  HandSocket,
  JOINED,
  PickyConnection,
  READY,
} from "./hand-platform.ts";
import { type HandTimers, holdTimers } from "./hand-timers.ts";

const listen = globalThis.addEventListener;
let timers: HandTimers;
let session: Session;
let log: string[];

beforeEach(() => {
  timers = holdTimers();
  globalThis.addEventListener = page.addEventListener.bind(page);
});
afterEach(() => {
  session.close();
  timers[Symbol.dispose]();
  globalThis.addEventListener = listen;
});

function begin(options: Partial<ConnectOptions> = {}): void {
  ({ session, log } = beginByHand(options));
}

/** An initiator that is connected. */
async function connected(): Promise<HandConnection> {
  const made = await connectedByHand();
  ({ session, log } = made);
  return made.pc;
}

/** Nothing here is a window; what the session listens to is heard by itself alone. */
const page = new EventTarget();
function dispatch(type: string): void {
  page.dispatchEvent(new Event(type));
}

describe("a peer that waits alone", () => {
  test.each([
    [0, 60_000],
    [0.999999, 90_000],
  ])("by chance %d redials after %i ms, with its token, again and again", async (chance, ms) => {
    begin({ waitMs: Infinity });
    timers.chance = chance;
    await timers.pass(0);
    for (let round = 0; round < 3; round++) {
      const socket = await HandSocket.last.open();
      expect(socket.sent).toMatchObject([{ type: "join", ...(round && { token: "t" }) }]);
      await socket.say({ ...JOINED, opposite: false });
      await timers.pass(ms - 2);
      expect([socket.readyState, HandSocket.all.length]).toEqual([1, round + 1]);
      await timers.pass(2);
      expect([socket.readyState, HandSocket.all.length]).toEqual([3, round + 2]);
    }
    expect(log).toEqual(["waiting", "waiting", "waiting"]);
  });

  test.each(["left alone", "cut off"] as const)("%s, redials once after 5 s, and then is as patient", async (how) => {
    begin({ waitMs: Infinity });
    const joined = { type: "joined", token: "t", expiresInMs: 600_000, opposite: false };
    await timers.pass(0);
    await (await HandSocket.last.open()).say(joined, READY);
    if (how === "left alone") await HandSocket.last.say({ type: "peer-left" });
    else {
      await HandSocket.last.end(1012, "restarting");
      await timers.pass(500);
      await (await HandSocket.last.open()).say(joined);
    }
    const { last } = HandSocket;
    await timers.pass(4_999);
    expect(HandSocket.last).toBe(last);
    await timers.pass(1);
    const again = await HandSocket.last.open();
    expect(again).not.toBe(last);
    await again.say(joined);
    await timers.pass(59_999);
    expect(HandSocket.last).toBe(again);
  });

  test("left alone, stays where it is when the other is back within 5 s", async () => {
    begin({ connection: false });
    await timers.pass(0);
    await (await HandSocket.last.open()).say(READY, { type: "peer-left" }, READY);
    await timers.pass(600_000);
    expect([HandSocket.last.readyState, HandSocket.all.length]).toEqual([1, 1]);
  });

  test("fails with no-peer when its time is over, and with no-relay where it never joined", async () => {
    begin({ waitMs: 5_000 });
    await timers.pass(0);
    await (await HandSocket.last.open()).say(JOINED);
    await timers.pass(4_999);
    expect(log).toEqual(["waiting"]);
    await timers.pass(1);
    await expect(session.connected).rejects.toMatchObject({ reason: "no-peer", retry: true });
    begin({ waitMs: 5_000 });
    await timers.pass(5_000);
    await expect(session.connected).rejects.toMatchObject({ reason: "no-relay", retry: true });
  });

  test("gives a socket up that has not joined within 15 s, and dials again with a pause that grows", async () => {
    begin({ waitMs: Infinity });
    timers.chance = 0.5;
    await timers.pass(0);
    for (const pause of [250, 500, 1_000, 2_000]) {
      const { length } = HandSocket.all;
      await timers.pass(15_000 + pause - 1);
      expect(HandSocket.all.length).toBe(length);
      await timers.pass(1);
      expect(HandSocket.all.length).toBe(length + 1);
    }
  });
});

describe("a connection", () => {
  test("is there as soon as its channel opens, though its state may lag behind: what comes then is heard", async () => {
    begin({ role: "initiator" });
    await timers.pass(0);
    await (await HandSocket.last.open()).say(JOINED, READY);
    await HandSocket.last.say(ANSWER);
    const [pc] = HandConnection.all;
    if (!pc) throw new Error("there is no connection");
    const heard: unknown[] = [];
    session.addEventListener("connected", ({ detail: { channel } }) =>
      channel.addEventListener("message", ({ data }) => heard.push(data)),
    );
    pc.connectionState = "connecting";
    pc.channel.readyState = "open";
    pc.channel.dispatchEvent(new Event("open"));
    pc.channel.dispatchEvent(new MessageEvent("message", { data: "first" }));
    expect([session.state, heard]).toEqual(["connected", ["first"]]);
  });

  test("that is disconnected for 5 s is interrupted and gets a restart of ICE; not a moment sooner", async () => {
    const pc = await connected();
    await pc.become("disconnected");
    await timers.pass(4_999);
    expect([session.state, pc.asked.includes("restartIce")]).toEqual(["connected", false]);
    await timers.pass(1);
    expect([session.state, pc.asked.includes("restartIce")]).toEqual(["interrupted", true]);
    expect(HandSocket.last.sent.filter(({ type }) => type === "offer").length).toBe(2);
    await pc.become("connected");
    expect(log.filter((type) => type === "connected").length).toBe(2);
    expect(HandConnection.all.length).toBe(1);
  });

  test("that comes back by itself within 5 s was never interrupted", async () => {
    const pc = await connected();
    await pc.become("disconnected");
    await timers.pass(4_999);
    await pc.become("connected");
    await timers.pass(600_000);
    expect([session.state, pc.asked.includes("restartIce"), log.includes("interrupted")]).toEqual([
      "connected",
      false,
      false,
    ]);
  });

  test("that failed gets a restart of ICE at once, with fresh servers; and when that came to nothing, a new one", async () => {
    const pc = await connected();
    await pc.become("failed");
    expect([session.state, pc.asked.slice(-2)]).toEqual(["interrupted", ["setConfiguration", "restartIce"]]);
    // The other side answers nothing: 10 s, then 20, 40, and a minute for as long as it takes.
    for (const [index, seconds] of [10, 20, 40, 60, 60].entries()) {
      // The relay is heard all the time: else its socket would be doubted.
      for (let second = 1; second < seconds; second++) {
        await timers.pass(1_000);
        await HandSocket.last.say({ type: "pong" });
      }
      await timers.pass(999);
      expect([seconds, HandConnection.all.length]).toEqual([seconds, index + 1]);
      await timers.pass(1);
      expect([seconds, HandConnection.all.length]).toEqual([seconds, index + 2]);
    }
    expect(session.state).toBe("interrupted");
  });

  test("that failed while the relay was out of reach is mended as soon as the other is there", async () => {
    const pc = await connected();
    await HandSocket.last.end(1006);
    await pc.become("failed");
    expect(pc.asked).not.toContain("restartIce");
    const socket = await HandSocket.last.open();
    await socket.say({ ...JOINED, opposite: true }, READY);
    expect(pc.asked).toContain("restartIce");
    expect(socket.sent.at(-1)).toMatchObject({ type: "offer" });
    expect(HandConnection.all.length).toBe(1);
  });

  test("that is disconnected has its socket show that it is alive: a dead one is known before it is needed", async () => {
    const pc = await connected();
    const [dead] = HandSocket.all;
    if (!dead) throw new Error("nothing was dialled");
    dead.isAlive = false;
    await pc.become("disconnected");
    await timers.pass(1_999);
    expect(HandSocket.all.length).toBe(1);
    await timers.pass(1);
    const socket = await HandSocket.last.open();
    expect([dead.readyState, HandSocket.all.length, socket.sent[0]]).toMatchObject([
      3,
      2,
      { type: "join", token: "t" },
    ]);
    await socket.say({ ...JOINED, opposite: true }, READY);
    await timers.pass(3_000);
    expect([session.state, socket.sent.at(-1)]).toMatchObject(["interrupted", { type: "offer" }]);
  });

  test("that looks well after a change of network gets a new socket and a restart of ICE, at once", async () => {
    const pc = await connected();
    dispatch("online");
    await timers.pass(0);
    expect([HandSocket.all.length, pc.asked.includes("restartIce")]).toEqual([2, false]);
    const socket = await HandSocket.last.open();
    await socket.say({ ...JOINED, opposite: true }, READY);
    expect([session.state, pc.asked.at(-1), socket.sent.at(-1)]).toMatchObject([
      "connected",
      "restartIce",
      { type: "offer" },
    ]);
    expect(HandConnection.all.length).toBe(1);
  });

  test("whose offer was lost with a socket says it again when the other is there, connected or not", async () => {
    const pc = await connected();
    session.restart();
    await timers.pass(0);
    expect([session.state, pc.signalingState]).toEqual(["connected", "have-local-offer"]);
    await HandSocket.last.end(1006);
    await timers.pass(0);
    const socket = await HandSocket.last.open();
    await socket.say({ ...JOINED, opposite: true }, READY);
    expect(socket.sent.at(-1)).toMatchObject({ type: "offer" });
    await socket.say(ANSWER); // to an older offer of ours, or this one: on the plain wire nobody can tell
    expect(pc.signalingState).toBe("stable");
    expect(HandConnection.all.length).toBe(1);
  });

  test("is not made anew before a restart of ICE that the other could hear of has had its time", async () => {
    const pc = await connected();
    await pc.become("failed");
    await HandSocket.last.end(1006); // and with it what was just told
    const socket = await HandSocket.last.open();
    await socket.say({ ...JOINED, opposite: true }, READY);
    expect(socket.sent.at(-1)).toMatchObject({ type: "offer" });
    expect(HandConnection.all.length).toBe(1);
    await timers.pass(10_000);
    expect(HandConnection.all.length).toBe(2);
  });

  test("that works outlives the relay, and its session's expiry is no reason to come back", async () => {
    const pc = await connected();
    await HandSocket.last.end(4502, "session-expired");
    const { length } = HandSocket.all;
    await timers.pass(3_600_000);
    expect([session.state, HandSocket.all.length]).toEqual(["connected", length]);
    await pc.become("failed"); // now it is
    expect(HandSocket.all.length).toBe(length + 1);
  });
});

describe("a session that is closed by what it says", () => {
  test.each(["waiting", "ready", "connected", "peer-left", "interrupted", "retrying", "failed"] as const)(
    "in %s stays closed, and lets go",
    async (type) => {
      begin({ role: "initiator" });
      session.addEventListener(type, () => session.close());
      await timers.pass(0);
      const socket = await HandSocket.last.open();
      await socket.say({ ...JOINED, opposite: false });
      if (type === "retrying") await socket.end(1006);
      if (type === "failed") await socket.end(4506, "quota");
      if (type !== "waiting") await socket.say(READY);
      if (type === "peer-left") await socket.say({ type });
      if (type === "connected") {
        await socket.say(ANSWER);
        await HandConnection.all[0]?.become("connected");
      }
      const [pc] = HandConnection.all;
      if (type === "interrupted") {
        await socket.say(ANSWER);
        await pc?.become("connected");
        await pc?.become("failed");
      }
      session.restart();
      await timers.pass(3_600_000);
      expect([session.state, log.filter((one) => one === "waiting").length]).toEqual(["closed", 1]);
      expect([HandSocket.all.length, socket.readyState]).toEqual([1, 3]);
      expect(HandConnection.all.filter(({ connectionState }) => connectionState !== "closed")).toEqual([]);
    },
  );
});

/** What a peer may say that knows the code, or a relay in its place on the plain wire. */
const ODD: readonly object[] = [
  { type: "answer", answer: null },
  { type: "answer", answer: "text" },
  { type: "answer", answer: { type: "answer", sdp: { toString: 1 } } },
  { type: "answer", answer: { type: "answer", sdp: "a=fingerprint:sha-256 BB", n: 1e308 } },
  { type: "answer", answer: { type: "rollback", n: "1" } },
  { type: "answer", answer: { type: "toString", sdp: [] } },
  { type: "offer", offer: [] },
  { type: "offer", offer: { type: "offer", sdp: "x".repeat(60_000), n: { toString: 1 } } },
  { type: "ice-candidate", candidate: 5 },
  { type: "ice-candidate", candidate: { candidate: 5 } },
  { type: "ice-candidate", candidate: { candidate: "x", usernameFragment: { toString: 1 } } },
  { type: "ice-candidate", candidate: { candidate: { toString: 1 }, sdpMLineIndex: -1e308 } },
  { type: "ice-candidate", candidate: { hello: "bob" } },
  { type: "signal", data: { __proto__: null, constructor: 1 } },
  { type: "__proto__" },
  { type: "hasOwnProperty", constructor: 1 },
];

test.each(ODD)("%j, said by the other, does no harm", async (odd) => {
  begin({ role: "initiator" });
  await timers.pass(0);
  const socket = await HandSocket.last.open();
  await socket.say(JOINED, READY);
  await socket.say({ sessionCode: "A3F7B9E2C1D4", ...odd });
  expect(session.state).toBe("ready");
  await socket.say(ANSWER);
  await HandConnection.all[0]?.become("connected");
  expect([session.state, HandConnection.all.length]).toEqual(["connected", 1]);
  await socket.say({ sessionCode: "A3F7B9E2C1D4", ...odd });
  expect([session.state, HandConnection.all.length]).toEqual(["connected", 1]);
});

describe("a relay that lies", () => {
  test.each([[5], [{}], [[null]], ["turn:x"], [[{ urls: "http://x" }]]])(
    "about servers, %p, is not believed: the two connect without",
    async (iceServers) => {
      begin({ role: "initiator", RTCPeerConnection: PickyConnection as never });
      await timers.pass(0);
      const socket = await HandSocket.last.open();
      await socket.say(JOINED, { ...READY, iceServers });
      await socket.say(ANSWER);
      const [pc] = HandConnection.all;
      await pc?.become("connected");
      expect(session.state).toBe("connected");
      await pc?.become("failed");
      expect(pc?.asked.at(-1)).toBe("restartIce");
    },
  );

  test.each([[-1e12], ["soon"], [{}], [{ toString: 1 }], [1e12]])(
    "about when to come back, %p, is not dialled without a pause",
    async (retryAfterMs) => {
      begin({ waitMs: Infinity });
      timers.chance = 0.5;
      await timers.pass(0);
      for (let round = 0; round < 20; round++) {
        const socket = await HandSocket.last.open();
        await socket.say({ type: "error", code: "slow", message: "m", retryAfterMs, retry: true });
        if (socket.readyState === 1) await socket.end(4001, "slow");
        await timers.pass(1_000);
      }
      expect(HandSocket.all.length).toBeLessThan(10); // of 21 that it could have
    },
  );

  test("about why it sends away, with what is no text, is heard, and it is over", async () => {
    begin();
    await timers.pass(0);
    const socket = await HandSocket.last.open();
    await socket.say({ type: "error", code: "quota", message: { toString: 1 } });
    await socket.end(4506, "quota");
    await expect(session.connected).rejects.toMatchObject({ reason: "quota" });
  });
});
