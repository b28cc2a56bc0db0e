/**
 * Everything that can happen to a relay, played by marked peers: good pairs, every error, every refusal of an upgrade,
 * malformed input of all kinds, abrupt ends. Each act ends when what it brings about has been seen.
 */

import { HEARD_MS } from "../../../src/core/admission.ts";
import {
  enter,
  enterAndJoin,
  expectText,
  forwarded,
  knock,
  markedClose,
  markedMessage,
  markedPair,
  markedPing,
  markedUpgrade,
  passOn,
  type Stage,
} from "../peers/marked-peer.ts";
import { pour } from "../peers/pour.ts";
import { frame, OP, type RawClient } from "../peers/raw.ts";
import { badFrames, badTexts, requests } from "./marked-malice.ts";

export type Act = (stage: Stage) => Promise<void>;

/** So many fit in. */
const CROWD = { waiting: 20, sockets: 80 };
/** With these each limit is within reach; the acts count on them. */
export const LIMITS: readonly string[] = [
  ...[`--max-peers=${CROWD.sockets}`, `--max-waiting=${CROWD.waiting}`, "--max-per-address=2"],
  ...["--quota-bytes=64KiB", "--max-buffered=64KiB"],
  ...["--trust-proxy=127.128.0.0/9", "--admin=127.0.0.1:0"],
];
/** The largest message taken, unless --max-message says otherwise, and a big one. */
const MAX_MESSAGE_BYTES = 64 * 1_024;
const BIG_BYTES = 60_000;
/** More than --message-burst. */
const TOO_MANY = 200;
/** One bad message more than are forgiven. */
const ENOUGH_BAD_MESSAGES = 6;

/** That the connection is closed with this code, or without a close frame: "end". */
async function expectEnd(peer: RawClient, end: string): Promise<void> {
  let text = await peer.text();
  while (text.startsWith("{")) text = await peer.text();
  if (text !== end) throw new Error(`expected ${end}, got ${text}`);
}

async function expectRefused(peer: RawClient, error: string, code: number): Promise<void> {
  await expectText(peer, error);
  await expectEnd(peer, `close ${code}`);
}

/** What comes back for each request, every one on a connection of its own. */
export function answersTo(requests: readonly string[], port: number): Promise<Buffer[]> {
  return Promise.all(requests.map((request) => pour(port, [Buffer.from(request, "latin1")], "FIN")));
}

/** Those that take no longer than the messages take; one after another. */
export const QUICK: readonly Act[] = [
  async function aSession(stage) {
    const { code, alice, bob } = await markedPair(stage);
    for (const type of ["offer", "ice-candidate", "ice-candidate"] as const)
      await passOn(stage, alice.peer, bob.peer, markedMessage(stage, type, code));
    for (const type of ["answer", "ice-candidate", "ice-candidate"] as const)
      await passOn(stage, bob.peer, alice.peer, markedMessage(stage, type, code));
    alice.peer.say(markedMessage(stage, "offer", stage.markers.make("a session code that was not joined")));
    await expectText(alice.peer, "wrong-session");
    alice.peer.say({ ...markedMessage(stage, "offer", code), pairing: 7 });
    await expectText(alice.peer, "stale");
    alice.peer.say({ type: "join", sessionCode: stage.markers.make("a second session code"), token: alice.token });
    await expectText(alice.peer, "already-joined");
    const again = await enterAndJoin(stage, code, true, alice.token);
    await expectRefused(alice.peer, "replaced", 4504);
    for (const { peer } of [again, bob]) await expectText(peer, "ready");
    await passOn(stage, again.peer, bob.peer, markedMessage(stage, "offer", code));
    bob.peer.say({ type: "leave", reason: stage.markers.make("the reason of a leave") });
    await expectEnd(bob.peer, "close 1000");
    await expectText(again.peer, "peer-left");
    again.peer.say(markedMessage(stage, "offer", code));
    await expectText(again.peer, "no-peer");
    again.peer.write(markedClose(stage));
    await expectEnd(again.peer, "close 4000");
  },
  async function twoPages(stage) {
    const sessionCode = stage.markers.make("a session code");
    const come = async (isInitiator: boolean) => {
      const instance = stage.markers.make("the instance of a page");
      const peer = await enter(stage);
      peer.say({ type: "join", sessionCode, isInitiator, instance });
      await expectText(peer, "joined");
      return { peer, instance };
    };
    const [alice, bob] = [await come(true), await come(false)];
    for (const [{ peer }, { instance }] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      stage.owed.push(instance);
      const ready = await expectText(peer, "ready");
      if (ready["peer"] !== instance) throw new Error(`not the page opposite: ${ready["peer"]}`);
    }
    const signal = { type: "signal", sessionCode, data: [stage.markers.make("the data of a signal")], pairing: 1 };
    await passOn(stage, alice.peer, bob.peer, signal);
    alice.peer.say({ ...markedMessage(stage, "answer", sessionCode), pairing: 2 });
    await expectText(alice.peer, "stale");
    for (const { peer } of [alice, bob]) peer.end();
  },
  async function aPing(stage) {
    const peer = await enter(stage);
    peer.say(markedMessage(stage, "answer", stage.markers.make("a session code that nobody joined")));
    await expectText(peer, "not-joined");
    peer.write(frame(OP.pong, stage.markers.make("the payload of a pong")), markedPing(stage));
    for (let next = await peer.next(); next?.opcode !== OP.pong; next = await peer.next());
    peer.end();
  },
  async function heldSeats(stage) {
    const { code, alice, bob } = await markedPair(stage);
    async function beRefused(error: string, close: number): Promise<void> {
      const mallory = await enter(stage);
      mallory.say({ type: "join", sessionCode: code, isInitiator: true, token: stage.markers.make("a wrong token") });
      await expectRefused(mallory, error, close); // at once, for alice was heard just now
    }
    await beRefused("session-full", 4500);
    bob.peer.end();
    await expectText(alice.peer, "peer-left");
    await beRefused("role-taken", 4501);
    alice.peer.end(true);
  },
  async function badMessages(stage) {
    const bad = badTexts(stage.markers).map((text) => frame(OP.text, text));
    do bad.push(frame(OP.binary, stage.markers.make("a binary frame")));
    while (bad.length % ENOUGH_BAD_MESSAGES !== 0);
    async function hearNo(frames: readonly Buffer[]): Promise<void> {
      const mallory = await enter(stage);
      mallory.write(...frames);
      await expectRefused(mallory, "bad-message", 4505);
    }
    const sockets: Promise<void>[] = [];
    while (bad.length > 0) sockets.push(hearNo(bad.splice(0, ENOUGH_BAD_MESSAGES)));
    await Promise.all(sockets);
  },
  async function tooMuch(stage) {
    const { markers } = stage;
    const large = await enter(stage);
    large.write(frame(OP.text, markers.make("a large message").padEnd(MAX_MESSAGE_BYTES + 1)));
    await expectRefused(large, "too-large", 1009);
    const fast = await enter(stage, stage.counted);
    const ping = frame(OP.text, `{"type":"ping","${markers.make("a name in a ping")}":1}`);
    fast.write(...Array<Buffer>(TOO_MANY).fill(ping));
    await expectEnd(fast, "close 4029");
    const tireless = await enter(stage, stage.counted);
    const message = { ...markedMessage(stage, "offer", markers.make("a session code")), pad: "x".repeat(BIG_BYTES) };
    for (let n = 0; n < 2; n++) tireless.say(message);
    await expectEnd(tireless, "close 4506");
  },
  async function aSlowReader(stage) {
    const { code, alice, bob } = await markedPair(stage);
    const talk = stage.exempt.talks.find((talk) => talk.heard().includes(bob.token));
    talk?.pause();
    const message = { ...markedMessage(stage, "ice-candidate", code), pad: "x".repeat(BIG_BYTES) };
    for (let text = ""; text !== '{"type":"peer-left"}'; text = await alice.peer.text()) {
      stage.owed.push(JSON.stringify(message));
      alice.peer.say(message);
      alice.peer.say({ type: "ping" });
    }
    talk?.resume();
    await expectEnd(bob.peer, "close 4001");
    alice.peer.end();
  },
  async function malformedFrames(stage) {
    const broken = badFrames(stage.markers).map((bytes) => {
      const { head, subprotocol } = markedUpgrade(stage);
      stage.owed.push(`Sec-WebSocket-Protocol: ${subprotocol}`);
      const join = { type: "join", sessionCode: stage.markers.make("a session code") };
      return pour(stage.exempt.port, [Buffer.from(head), frame(OP.text, JSON.stringify(join)), bytes], "FIN");
    });
    await Promise.all(broken);
  },
  async function plainRequests(stage) {
    for (const { port } of [stage.exempt, stage.counted, stage.operator]) await answersTo(requests(stage), port);
  },
  async function refusedUpgrades(stage) {
    const refusals: number[] = [];
    const { origin, markers, exempt, counted } = stage;
    const page = `https://${markers.make("a strange origin")}.example`;
    if (origin !== null) refusals.push((await knock(stage, exempt, { Origin: page })).status);
    refusals.push((await knock(stage, exempt, { "Sec-WebSocket-Key": markers.make("a bad key") })).status);
    const from = forwarded(stage, 4);
    for (let n = 0; n < 3; n++) refusals.push((await knock(stage, counted, from)).status);
    const expected = [...(origin === null ? [] : [403]), 404, 101, 101, 429];
    if (refusals.join() !== expected.join()) throw new Error(`upgrades came to ${refusals}`);
    const untrusted = await knock(stage, exempt, forwarded(stage, 6)); // this the relay warns of
    untrusted.peer.end();
  },
  async function abruptEnds(stage) {
    const { markers, exempt } = stage;
    for (const ending of ["FIN", "RST"] as const) {
      const { head, subprotocol } = markedUpgrade(stage);
      stage.owed.push(`Sec-WebSocket-Protocol: ${subprotocol}`);
      const join = frame(OP.text, JSON.stringify({ type: "join", sessionCode: markers.make("a session code") }));
      const half = frame(OP.text, markers.make("half a message").repeat(2_000)).subarray(0, 30_000);
      await pour(exempt.port, [Buffer.from(head), join, half], ending);
      await pour(exempt.port, [Buffer.from(head.slice(0, 200))], ending);
      const { alice, bob } = await markedPair(stage);
      alice.peer.end(ending === "RST");
      await expectText(bob.peer, "peer-left");
      bob.peer.end(ending === "RST");
    }
  },
];

/** Takes some 7 s: a newcomer gets the seat of one who was silent before it was asked, and does not answer. */
export async function aGhost(stage: Stage): Promise<void> {
  const code = stage.markers.make("a session code");
  const ghost = await enterAndJoin(stage, code, false);
  await Bun.sleep(HEARD_MS);
  const newcomer = await enterAndJoin(stage, code, false);
  await expectRefused(ghost.peer, "replaced", 4504);
  newcomer.peer.end();
}

/** Takes three of --ping-interval and 5 s: a peer that answers nothing is cut off. */
export async function aSilentPeer(stage: Stage): Promise<void> {
  const alice = await enterAndJoin(stage, stage.markers.make("a session code"), true);
  await expectEnd(alice.peer, "end");
}

/** Takes --session-ttl and --join-timeout. */
export async function expiries(stage: Stage): Promise<void> {
  const { alice, bob } = await markedPair(stage);
  const idle = await enter(stage);
  for (const { peer } of [alice, bob]) await expectRefused(peer, "session-expired", 4502);
  await expectRefused(idle, "join-timeout", 4503);
}

/** Fills the relay: peers that wait until no more may, then connections. They stay. */
export async function aCrowd(stage: Stage): Promise<void> {
  async function wait(): Promise<void> {
    const peer = await enter(stage);
    peer.say({ type: "join", sessionCode: stage.markers.make("a session code") });
    await peer.text();
  }
  const { waiting, sockets } = CROWD;
  await Promise.all(Array.from({ length: waiting + 1 }, wait));
  await Promise.all(Array.from({ length: sockets - waiting }, () => knock(stage, stage.exempt)));
}
