/** That the metrics move with what happens, and by no more: one thing is done, and every count beside it stays at 0. */
import { describe, expect, test } from "bun:test";
import { ERRORS, type ErrorName } from "../../src/core/protocol.ts";
import { counted, scrape } from "../support/machines/metrics.ts";
import { equals, until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newCode, newPair, type Pair, untilSilent } from "../support/peers/client.ts";
import { frame, OP, RawClient, UPGRADE } from "../support/peers/raw.ts";
import { Reader } from "../support/peers/reader.ts";
import { RELEASED, type RunningRelay, spawnRelay } from "../support/relays/relay.ts";

const ADMIN = "--admin=127.0.0.1:0";
const PING = '{"type":"ping"}';

/** Waits until so much of a family is counted, and then there must be that and no more. To expect nothing is to wait for nothing. */
async function expectCounts(relay: RunningRelay, family: string, expected: Record<string, number>): Promise<void> {
  const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);
  if (sum(expected) === 0) throw new Error(`${family}: nothing is expected, which is so before anything is done`);
  await until(
    `${sum(expected)} in ${family}`,
    () => counted(relay, family),
    (seen) => sum(seen) >= sum(expected),
  );
  expect(await counted(relay, family)).toEqual(expected);
}

/** A pair of which the joiner never reads, and so never answers a ping. */
async function newDeafPair(relay: RunningRelay): Promise<{ code: string; alice: Client; bob: Reader }> {
  const code = newCode();
  const alice = await Client.join(relay.url, code, true);
  const bob = await Reader.join(relay.port, code, false);
  await alice.expect("ready");
  return { code, alice, bob };
}

async function joinAs(relay: RunningRelay, sessionCode: string, isInitiator: boolean, token?: string): Promise<Client> {
  const client = await Client.connect(relay.url);
  client.send({ type: "join", sessionCode, isInitiator, token });
  return client;
}

/** How a peer gets each error once and nobody gets any other: with which options, and by what. */
const PROVOCATIONS: Record<ErrorName, { args?: string[]; provoke(relay: RunningRelay): Promise<unknown> }> = {
  "bad-message": { provoke: async ({ url }) => (await Client.connect(url)).send("{}") },
  "not-joined": {
    provoke: async ({ url }) => (await Client.connect(url)).send({ type: "offer", sessionCode: newCode(), offer: {} }),
  },
  "already-joined": {
    provoke: async ({ url }) => (await newPair(url)).alice.send({ type: "join", sessionCode: newCode() }),
  },
  "wrong-session": {
    provoke: async ({ url }) => (await newPair(url)).alice.send({ type: "offer", sessionCode: newCode(), offer: {} }),
  },
  stale: {
    async provoke({ url }) {
      const { alice, code } = await newPair(url);
      alice.send({ type: "offer", sessionCode: code, offer: {}, pairing: 2 });
    },
  },
  "no-peer": {
    async provoke({ url }) {
      const sessionCode = newCode();
      (await Client.join(url, sessionCode, true)).send({ type: "offer", sessionCode, offer: {} });
    },
  },
  "session-full": { provoke: async (relay) => joinAs(relay, (await newPair(relay.url)).code, true) },
  "role-taken": {
    async provoke(relay) {
      const code = newCode();
      await Client.join(relay.url, code, true);
      await joinAs(relay, code, true);
    },
  },
  "session-expired": { args: ["--session-ttl=1s"], provoke: ({ url }) => Client.join(url, newCode(), true) },
  "join-timeout": { args: ["--join-timeout=1s"], provoke: ({ url }) => Client.connect(url) },
  replaced: {
    async provoke(relay) {
      const code = newCode();
      const alice = await joinAs(relay, code, true);
      const { token } = await alice.expect("joined");
      await joinAs(relay, code, true, String(token));
    },
  },
  "too-large": {
    provoke: async ({ url }) => (await Client.connect(url)).send(`{"type":"ping","x":"${"x".repeat(65_536)}"}`),
  },
  quota: {
    args: ["--exempt=none", "--quota-messages=10"],
    async provoke({ url }) {
      const client = await Client.connect(url);
      for (let sent = 0; sent < 11; sent++) client.send(PING);
    },
  },
  "rate-limited": {
    args: ["--exempt=none", "--message-burst=1", "--message-rate=1"],
    async provoke({ url }) {
      const client = await Client.connect(url);
      for (let sent = 0; sent < 2; sent++) client.send(PING);
    },
  },
  slow: {
    args: ["--max-buffered=64KiB"],
    async provoke(relay) {
      const { code, alice } = await newDeafPair(relay);
      const offer = JSON.stringify({ type: "offer", sessionCode: code, offer: { sdp: "x".repeat(60_000) } });
      for (let heard: string[] = []; !heard.includes('{"type":"peer-left"}'); heard = await alice.drain())
        if (heard.length === 0) alice.send(offer);
    },
  },
  "at-capacity": {
    args: ["--max-waiting=1"],
    async provoke(relay) {
      await Client.join(relay.url, newCode(), true);
      await joinAs(relay, newCode(), true);
    },
  },
  restarting: {
    args: ["--drain=60s"],
    async provoke(relay) {
      await newPair(relay.url); // it keeps the relay up
      await Client.join(relay.url, newCode(), true);
      relay.process.kill("SIGTERM");
    },
  },
};

describe.concurrent.each(RELEASED)("the metrics (%s)", (variant) => {
  test.each(Object.keys(PROVOCATIONS) as ErrorName[])("count the error %s, and its close", async (name) => {
    const { args = [], provoke } = PROVOCATIONS[name];
    await using relay = await spawnRelay(variant, ADMIN, ...args);
    await provoke(relay);
    await expectCounts(relay, "whisper_errors_total", { [name]: 1 });
    const isFinal = ERRORS[name].close !== null && name !== "bad-message";
    if (!isFinal) (await Client.connect(relay.url)).close(1000); // after which a close for the error would be counted too
    await expectCounts(relay, "whisper_closes_total", isFinal ? { [name]: 1 } : { left: 1 });
  });

  test("count the sixth bad message as the reason of the close", async () => {
    await using relay = await spawnRelay(variant, ADMIN);
    const mallory = await Client.connect(relay.url);
    for (let sent = 0; sent < 6; sent++) mallory.send("{}");
    await mallory.closed;
    await expectCounts(relay, "whisper_closes_total", { "bad-message": 1 });
    expect(await counted(relay, "whisper_errors_total")).toEqual({ "bad-message": 6 });
  });

  test("tell who left from who was lost, and both from who was silent", async () => {
    await using relay = await spawnRelay(variant, ADMIN, "--ping-interval=1s");
    const raw = async () => RawClient.connect(relay.port);
    (await Client.connect(relay.url)).close(1000);
    (await Client.connect(relay.url)).send({ type: "leave" });
    (await raw()).end();
    (await raw()).end(true);
    (await raw()).write(frame(OP.text, "x".repeat(200_000))); // more than is read
    (await raw()).write(frame(5, "x")); // no such frame in RFC 6455
    await expectCounts(relay, "whisper_closes_total", { left: 2, lost: 4 });
    await raw();
    await expectCounts(relay, "whisper_closes_total", { left: 2, lost: 4, silent: 1 });
  });

  test("count each message that is passed on, and each of its bytes, and none that is not", async () => {
    await using relay = await spawnRelay(variant, ADMIN);
    const { code, alice, bob } = await newPair(relay.url);
    const sent = { offer: 0, answer: 0, "ice-candidate": 0 };
    const pass = async (from: Client, to: Client, type: keyof typeof sent, payload: object) => {
      const text = from.send({ type, sessionCode: code, ...payload });
      expect(await to.next()).toBe(text);
      sent[type] += Buffer.byteLength(text);
    };
    await pass(alice, bob, "offer", { offer: { sdp: "größer €𝄞" } });
    for (const n of [1, 2, 3]) await pass(alice, bob, "ice-candidate", { candidate: { n } });
    await pass(bob, alice, "answer", { answer: { sdp: "" } });
    await pass(bob, alice, "ice-candidate", { candidate: {} });
    alice.send(PING);
    alice.send({ type: "offer", sessionCode: newCode(), offer: {} });
    alice.send({ type: "offer", sessionCode: code });
    await alice.drain();
    expect(await counted(relay, "whisper_messages_relayed_total")).toEqual({ offer: 1, answer: 1, "ice-candidate": 4 });
    expect(await counted(relay, "whisper_bytes_relayed_total")).toEqual(sent);
  });

  test("show each peer and each session in its state", async () => {
    await using relay = await spawnRelay(variant, ADMIN);
    const expectStates = async (peers: Record<string, number>, sessions: Record<string, number>) => {
      await expectCounts(relay, "whisper_peers", peers);
      expect(await counted(relay, "whisper_sessions")).toEqual(sessions);
      const sockets = Object.values(peers).reduce((sum, count) => sum + count, 0);
      expect((await scrape(relay)).get("whisper_sockets")).toBe(sockets);
    };
    expect([await counted(relay, "whisper_peers"), await counted(relay, "whisper_sessions")]).toEqual([{}, {}]);
    const mallory = await Client.connect(relay.url);
    await expectStates({ "not-joined": 1 }, {});
    const { code, alice } = await newDeafPair(relay);
    await expectStates({ "not-joined": 1, paired: 2 }, { paired: 1 });
    await Client.join(relay.url, newCode(), false);
    await expectStates({ "not-joined": 1, paired: 2, waiting: 1 }, { paired: 1, waiting: 1 });
    await untilSilent();
    mallory.send({ type: "join", sessionCode: code, isInitiator: false });
    await until("a probe", async () => (await counted(relay, "whisper_peers"))["probing"], equals(1)); // bob is asked, and is deaf
    await expectStates({ probing: 1, paired: 2, waiting: 1 }, { paired: 1, waiting: 1 });
    await alice.expect("peer-left");
    await alice.expect("ready");
    await mallory.expect("joined");
    await until("the newcomer to be paired", async () => (await counted(relay, "whisper_peers"))["paired"], equals(2));
    expect(await counted(relay, "whisper_sessions")).toEqual({ paired: 1, waiting: 1 });
  });

  describe("count a session, once it has ended,", () => {
    const hangUp = ({ alice, bob }: Pair) => [alice, bob].map((peer) => peer.close());
    const expectOutcome = async (relay: RunningRelay, outcome: string) => {
      await expectCounts(relay, "whisper_session_outcomes_total", { [outcome]: 1 });
      expect((await scrape(relay)).get("whisper_self_check_differences_total")).toBe(0);
    };

    test("as paired when an answer was passed on, whatever else came to pass, and how long it took", async () => {
      await using relay = await spawnRelay(variant, ADMIN, "--session-ttl=2s");
      const pair = await newPair(relay.url);
      await (await joinAs(relay, pair.code, true)).expectError("session-full");
      await expectUndisturbed(pair);
      expect(await counted(relay, "whisper_session_outcomes_total")).toEqual({});
      expect((await pair.alice.closed).reason).toBe("session-expired");
      await expectOutcome(relay, "paired");
      const samples = await scrape(relay);
      for (const name of ["whisper_time_to_ready_seconds", "whisper_time_to_answer_seconds"]) {
        expect(samples.get(`${name}_count`)).toBe(1);
        expect(samples.get(`${name}_sum`)).toBeWithin(0, 5);
        expect(samples.get(`${name}_bucket{le="5"}`)).toBe(1);
      }
    });

    test("as lonely when nobody came", async () => {
      await using relay = await spawnRelay(variant, ADMIN);
      (await Client.join(relay.url, newCode(), true)).close();
      await expectOutcome(relay, "lonely");
    });

    test("as crowded when a third peer was turned away and no answer came", async () => {
      await using relay = await spawnRelay(variant, ADMIN);
      const pair = await newPair(relay.url);
      await (await joinAs(relay, pair.code, true)).expectError("session-full");
      hangUp(pair);
      await expectOutcome(relay, "crowded");
    });

    test("as expired when its time ran out and no answer came", async () => {
      await using relay = await spawnRelay(variant, ADMIN, "--session-ttl=1s");
      await newPair(relay.url);
      await expectOutcome(relay, "expired");
      expect(await counted(relay, "whisper_closes_total")).toEqual({ "session-expired": 2 });
    });

    test("as lost when both were there and one went before the answer", async () => {
      await using relay = await spawnRelay(variant, ADMIN);
      const pair = await newPair(relay.url);
      pair.bob.terminate();
      await pair.alice.expect("peer-left");
      expect(await counted(relay, "whisper_session_outcomes_total")).toEqual({}); // bob may come back
      pair.alice.close();
      await expectOutcome(relay, "lost");
    });
  });

  test.each<[result: string, status: number, args: string[], from: string, to: string]>([
    ["origin", 403, ["--origin=https://chat.example"], "chat.example", "evil.example"],
    ["address", 429, ["--exempt=none", "--max-per-address=1"], "", ""],
    ["at-capacity", 503, ["--max-peers=2"], "", ""],
    ["malformed", 200, [], "Sec-WebSocket-Key", "X-Key"],
  ])("count an upgrade that is refused: %s", async (result, status, args, from, to) => {
    await using relay = await spawnRelay(variant, ADMIN, ...args);
    const knock = async (upgrade: string) => {
      const raw = await RawClient.dial(relay.port);
      raw.write(upgrade);
      return Number((await raw.head()).slice(9, 12));
    };
    const good = UPGRADE.replace("\r\n\r\n", "\r\nOrigin: https://chat.example\r\n\r\n");
    const takes = args.includes("--max-peers=2") ? 2 : 1;
    for (let n = 0; n < takes; n++) expect(await knock(good)).toBe(101);
    expect(await knock(good.replace(from, to))).toBe(status);
    await expectCounts(relay, "whisper_upgrades_total", { taken: takes, [result]: 1 });
  });
});
