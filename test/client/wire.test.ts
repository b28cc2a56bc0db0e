/** What goes between two through the relay, and what the relay says of coming back, against a platform in the test's hand. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ConnectOptions, Session, Signal } from "../../src/client/client.ts";
import { ANSWER, beginByHand, HandConnection, HandSocket, JOINED, READY } from "./hand-platform.ts";
import { type HandTimers, holdTimers } from "./hand-timers.ts";

const CODE = "A3F7B9E2C1D4";
const listen = globalThis.addEventListener;
let timers: HandTimers;
let page: EventTarget;
let session: Session;

beforeEach(() => {
  timers = holdTimers();
  page = new EventTarget();
  globalThis.addEventListener = page.addEventListener.bind(page);
});
afterEach(() => {
  session.close();
  timers[Symbol.dispose]();
  globalThis.addEventListener = listen;
});

/** A session whose socket is open. */
async function dialled(options: Partial<ConnectOptions> = {}): Promise<HandSocket> {
  ({ session } = beginByHand({ role: "initiator", ...options }));
  await timers.pass(0);
  return HandSocket.last.open();
}

describe("a peer that was asked for patience comes back when it is over, and not before,", () => {
  test.each([
    ["though its network came back meanwhile", ["online"]],
    ["though it was shown again meanwhile", ["visibilitychange"]],
    ["though it was in the back/forward cache meanwhile", ["pagehide", "pageshow"]],
  ])("%s", async (_, types) => {
    const socket = await dialled({ waitMs: Infinity });
    await socket.say({ type: "error", code: "restarting", message: "m", retry: true, retryAfterMs: 5_000 });
    await socket.end(1012, "restarting");
    await timers.pass(2_000);
    for (const type of types) page.dispatchEvent(Object.assign(new Event(type), { persisted: true }));
    await timers.pass(2_999);
    expect(HandSocket.all.length).toBe(1);
    await timers.pass(1);
    expect(HandSocket.all.length).toBe(2);
  });
});

test("an answer that is being applied when the next attempt is due is waited for", async () => {
  /** As browsers do: what was asked of a connection that is closed meanwhile is never answered. */
  class Slow extends HandConnection {
    override async setRemoteDescription(description: object) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      if (this.connectionState === "closed") await new Promise(() => {});
      await super.setRemoteDescription(description);
    }
  }
  const socket = await dialled({ RTCPeerConnection: Slow as never });
  await socket.say(JOINED, READY);
  await timers.pass(9_500);
  await socket.say(ANSWER); // 0.5 s before the next attempt
  await timers.pass(1_500);
  await socket.say(ANSWER);
  await timers.pass(1_000);
  expect(HandConnection.all.at(-1)?.remoteDescription).not.toBeNull();
});

test("a candidate whose user name is none keeps no other from being used", async () => {
  const socket = await dialled();
  await socket.say(JOINED, READY);
  const [pc] = HandConnection.all;
  const added: unknown[] = [];
  Object.assign(pc ?? {}, { addIceCandidate: async (one: unknown) => void added.push(one) });
  for (const usernameFragment of [{ toString: 1 }, 5, "other", undefined])
    await socket.say({ type: "ice-candidate", sessionCode: CODE, candidate: { candidate: "x", usernameFragment } });
  await socket.say(ANSWER);
  expect(added).toEqual([{ candidate: "x" }]);
});

describe("on the plain wire, who brings an own connection", () => {
  test.each<[Signal, object]>([
    [{ candidate: null }, { type: "ice-candidate", candidate: null }],
    [{ data: null }, { type: "signal", data: null }],
    [{ description: { type: "offer", sdp: "v=0" } }, { type: "offer", offer: { type: "offer", sdp: "v=0" } }],
  ])("says %j, and hears it as it was said", async (signal, wire) => {
    const socket = await dialled({ connection: false });
    await socket.say(JOINED, READY);
    const heard: Signal[] = [];
    session.addEventListener("signal", ({ detail }) => heard.push(detail));
    expect(session.signal(signal)).toBe(true);
    await timers.pass(0);
    expect(socket.sent.at(-1)).toEqual({ sessionCode: CODE, pairing: 1, ...wire });
    await socket.say({ sessionCode: CODE, ...wire });
    expect(heard.map((one) => [Object.keys(one), one])).toEqual([[Object.keys(signal), signal]]);
  });
});
