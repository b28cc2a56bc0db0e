/**
 * What one peer can do to others who did nothing, from outside, with all limits on. Strangers come from
 * addresses of their own, as a proxy on this machine would name them.
 */
import { describe, expect, test } from "bun:test";
import { HEARD_MS, PROBE_MS } from "../../../src/core/admission.ts";
import {
  Client,
  comeUntilProbed,
  expectUndisturbed,
  newCode,
  newPair,
  untilSilent,
} from "../../support/peers/client.ts";
import { frame, OP, RawClient } from "../../support/peers/raw.ts";
import type { RunningRelay, Start } from "../../support/relays/relay.ts";

const STRANGERS = ["--exempt=none", "--trust-proxy=127.0.0.1"];

/** A join that is refused. Returns the error. */
async function refused(url: string, join: object, from: string): Promise<Record<string, unknown>> {
  const client = await Client.connect(url, from);
  client.send({ type: "join", ...join });
  const error = await client.expect("error");
  await client.closed;
  return error;
}

/** The same for each of these, some at a time. */
async function inTurns<T>(items: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  for (let first = 0; first < items.length; first += 20) await Promise.all(items.slice(first, first + 20).map(act));
}

/** A peer that has joined, and answers only what the test writes. */
async function rawPeer(relay: RunningRelay, sessionCode: string, isInitiator: boolean): Promise<RawClient> {
  const peer = await RawClient.connect(relay.port);
  peer.say({ type: "join", sessionCode, isInitiator });
  expect(await peer.text()).toStartWith('{"type":"joined"');
  return peer;
}

/** A holder that has been asked whether it is there, and the newcomer who waits for its seat. */
async function aProbe(relay: RunningRelay): Promise<{ holder: RawClient; newcomer: Client }> {
  const code = newCode();
  const holder = await rawPeer(relay, code, true);
  await untilSilent();
  const newcomer = await comeUntilProbed(relay.url, { sessionCode: code, isInitiator: true }, "203.0.113.1");
  expect((await holder.next())?.opcode).toBe(OP.ping);
  return { holder, newcomer };
}
const signal = (relay: RunningRelay, name: "SIGSTOP" | "SIGCONT") => relay.process.kill(name);

/**
 * @param startRelay starts the relay that is tried; `startAlone`: the same where one process is to stand still
 * @param hasLease whether it holds its sessions by a lease, which ends while it stands still past a probe's end
 */
export function bystanders(startRelay: Start, startAlone = startRelay, hasLease = false): void {
  const testPastProbe = hasLease ? test.skip : test.concurrent;
  const start: Start = (...args) => startRelay(...STRANGERS, ...args);
  const startOne: Start = (...args) => startAlone(...STRANGERS, ...args);

  describe("bystanders", () => {
    test.concurrent("joins for a held seat cost its holder nothing, whoever makes how many of them", async () => {
      await using relay = await start();
      const pair = await newPair(relay.url, newCode(), "192.0.2.1");
      const join = { sessionCode: pair.code, isInitiator: true };
      const addresses = Array.from({ length: 130 }, (_, i) => `203.0.113.${i % 2}`);
      await inTurns(addresses, async (from) => {
        expect(await refused(relay.url, join, from)).toMatchObject({ code: "session-full", retry: false });
      });
      await expectUndisturbed(pair);
    });

    test.concurrent("a holder that answers as often as it is asked is never charged, and the newcomers are", async () => {
      await using relay = await start(
        "--quota-messages=10",
        "--ping-interval=1s",
        "--failed-join-burst=3",
        "--failed-join-rate=1",
      );
      const alice = await Client.join(relay.url, "alice-sits-here", true, "192.0.2.1"); // a browser's: it answers pings
      const since = performance.now();
      const join = { sessionCode: "alice-sits-here", isInitiator: true };
      const errors = await Promise.all(Array.from({ length: 20 }, () => refused(relay.url, join, "203.0.113.1")));
      const limited = errors.filter(({ code }) => code === "rate-limited");
      expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(["role-taken", "rate-limited"]));
      for (const { retryAfterMs } of limited) expect(Number(retryAfterMs)).toBeGreaterThanOrEqual(1_000);
      for (const error of limited) expect(error).toMatchObject({ retry: true, retryAfterMs: expect.any(Number) });
      await Bun.sleep(since + 11_500 - performance.now());
      const bob = await Client.join(relay.url, "alice-sits-here", false, "192.0.2.2");
      await Promise.all([alice.expect("ready"), bob.expect("ready")]);
    });

    test.concurrent("pongs that answer nothing count, so that they are no way around the limits", async () => {
      await using relay = await start("--message-burst=10", "--message-rate=1");
      const raw = await RawClient.connect(relay.port);
      raw.write(...Array.from({ length: 11 }, () => frame(OP.pong, "")));
      expect(await raw.text()).toContain('"rate-limited"');
    });

    testPastProbe(
      "a relay that stands still past a probe's end hears the answer that came meanwhile: the holder stays",
      async () => {
        await using relay = await startOne();
        const { holder, newcomer } = await aProbe(relay);
        signal(relay, "SIGSTOP");
        holder.write(frame(OP.pong, ""));
        await Bun.sleep(PROBE_MS + 1_500);
        signal(relay, "SIGCONT");
        await newcomer.expectError("role-taken");
      },
    );

    testPastProbe(
      "a peer whose answer is still under way when the relay goes on has as long as if it had not stood still",
      async () => {
        await using relay = await startOne();
        const { holder, newcomer } = await aProbe(relay);
        signal(relay, "SIGSTOP");
        await Bun.sleep(PROBE_MS + 1_500);
        signal(relay, "SIGCONT");
        await Bun.sleep(1_500); // the network had stood still too
        holder.write(frame(OP.pong, ""));
        await newcomer.expectError("role-taken");
      },
    );

    test.concurrent("a join, a message and a burst that come while the relay stands still are none too late and none too fast", async () => {
      await using relay = await startOne(
        "--join-timeout=1s",
        "--session-ttl=2s",
        "--message-rate=10",
        "--message-burst=10",
      );
      const pair = await newPair(relay.url, newCode(), "192.0.2.1");
      const late = await Client.connect(relay.url, "192.0.2.2");
      signal(relay, "SIGSTOP");
      await Bun.sleep(200);
      late.send({ type: "join", sessionCode: newCode() });
      const offers = Array.from({ length: 30 }, (_, i) =>
        pair.alice.send({ type: "offer", sessionCode: pair.code, offer: { type: "offer", sdp: `${i}` } }),
      );
      await Bun.sleep(3_500);
      signal(relay, "SIGCONT");
      for (const offer of offers) expect(await pair.bob.next()).toBe(offer);
      await late.expect("joined");
    });

    test.concurrent("who lost its seat to silence is told that it may come back, and who lost it to its token is not", async () => {
      await using relay = await start();
      const code = newCode();
      const ghost = await rawPeer(relay, code, true);
      await untilSilent();
      const since = performance.now();
      const alice = await comeUntilProbed(relay.url, { sessionCode: code, isInitiator: true }, "192.0.2.1");
      const { token } = await alice.expect("joined");
      expect(performance.now() - since).toBeWithin(PROBE_MS - 50, PROBE_MS + 2_000);
      expect(JSON.parse(await ghost.text())).toMatchObject({ code: "replaced", retry: true });
      const again = await Client.connect(relay.url, "192.0.2.1");
      again.send({ type: "join", sessionCode: code, isInitiator: true, token });
      await again.expect("joined");
      expect(await alice.expect("error")).toMatchObject({ code: "replaced", retry: false });
    });

    test.concurrent("one address fills its own share of the waiting sessions, and strangers still wait and meet", async () => {
      await using relay = await start("--max-waiting=1000");
      const crowd: Client[] = [];
      const codes = Array.from({ length: 70 }, newCode);
      const outcomes: string[] = [];
      await inTurns(codes, async (sessionCode) => {
        const client = await Client.connect(relay.url, "203.0.113.1");
        crowd.push(client);
        client.send({ type: "join", sessionCode });
        const { type, code } = JSON.parse(await client.next());
        outcomes.push(type === "error" ? code : type);
      });
      expect(outcomes.filter((outcome) => outcome === "joined").length).toBe(64);
      expect(outcomes.filter((outcome) => outcome === "rate-limited").length).toBe(6);
      await expectUndisturbed(await newPair(relay.url, newCode(), "192.0.2.1"));
    });

    test.concurrent("guesses run out, also those that wait alone and leave, and nobody else's joins do", async () => {
      await using relay = await start(
        "--failed-join-burst=20",
        "--failed-join-rate=1",
        "--connect-rate=1000",
        "--connect-burst=1000",
      );
      const waiting = await Client.join(relay.url, "the-right-code", true, "192.0.2.1");
      await inTurns(Array.from({ length: 60 }, newCode), async (code) => {
        const client = await Client.connect(relay.url, "203.0.113.1");
        client.send({ type: "join", sessionCode: code });
        client.send({ type: "leave" });
        await client.closed;
      });
      const error = await refused(relay.url, { sessionCode: "the-right-code" }, "203.0.113.1");
      expect(error["code"]).toBe("rate-limited");
      expect(await waiting.drain()).toEqual([]);
      const bob = await Client.join(relay.url, "the-right-code", false, "192.0.2.2");
      await Promise.all([waiting.expect("ready"), bob.expect("ready")]);
    });

    test.concurrent("a page that answers by itself keeps its seat by a pong message, and loses it where only its browser answers", async () => {
      await using relay = await start();
      const [present, frozen] = [newCode(), newCode()];
      const alice = await Client.connect(relay.url);
      alice.send({ type: "join", sessionCode: present, isInitiator: true, answers: true });
      await alice.expect("joined");
      const ghost = await RawClient.connect(relay.port);
      ghost.say({ type: "join", sessionCode: frozen, isInitiator: true, answers: true });
      await ghost.text();
      await untilSilent();

      const mallory = await comeUntilProbed(relay.url, { sessionCode: present, isInitiator: true });
      expect(await alice.next()).toBe('{"type":"probe"}');
      alice.send('{ "type" : "pong" }'); // however it is written
      await mallory.expectError("role-taken");

      const since = performance.now();
      const again = await comeUntilProbed(relay.url, { sessionCode: frozen, isInitiator: true });
      expect(await ghost.text()).toBe('{"type":"probe"}');
      ghost.write(frame(OP.pong, "")); // as the browser of a page in the back/forward cache answers a ping
      await again.expect("joined");
      expect(performance.now() - since).toBeWithin(PROBE_MS - 50, PROBE_MS + HEARD_MS);
    });

    test.concurrent("a pong of the WebSocket before it takes nothing from the answer to a probe", async () => {
      await using relay = await start();
      const code = newCode();
      const holder = await RawClient.connect(relay.port);
      holder.say({ type: "join", sessionCode: code, isInitiator: true, answers: true });
      await holder.text();
      await untilSilent();
      const mallory = await comeUntilProbed(relay.url, { sessionCode: code, isInitiator: true }, "203.0.113.1");
      expect(await holder.text()).toBe('{"type":"probe"}');
      holder.write(frame(OP.pong, ""));
      holder.say({ type: "pong" });
      await mallory.expectError("role-taken");
    });

    test.concurrent("a drain that stands still past its end passes on what came meanwhile, and lasts as long as it should", async () => {
      await using relay = await startOne("--drain=3s");
      const { code, alice, bob } = await newPair(relay.url, newCode(), "192.0.2.1");
      const waiting = await Client.join(relay.url, newCode(), true, "192.0.2.2");
      const ended = relay.stop();
      await waiting.expectError("restarting");
      signal(relay, "SIGSTOP");
      const offer = alice.send({ type: "offer", sessionCode: code, offer: {} });
      await Bun.sleep(4_000);
      signal(relay, "SIGCONT");
      expect(await bob.next()).toBe(offer);
      const answer = bob.send({ type: "answer", sessionCode: code, answer: {} });
      expect(await alice.next()).toBe(answer);
      for (const peer of [alice, bob]) peer.send({ type: "leave" });
      expect((await ended).exitCode).toBe(0);
    });
  });
}
