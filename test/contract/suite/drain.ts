/**
 * The end of a relay, from outside: SIGTERM drains it. Pairs may finish, everyone else is sent to come back, each
 * after a delay of its own, and nobody is lost without a word. Drains that must not run out last an hour here.
 */
import { describe, expect, test } from "bun:test";
import { equals, until } from "../../support/machines/until.ts";
import {
  Client,
  comeUntilProbed,
  expectUndisturbed,
  newCode,
  newPair,
  untilSilent,
} from "../../support/peers/client.ts";
import { OP, RawClient, UPGRADE } from "../../support/peers/raw.ts";
import { printedToTheEnd, type Start } from "../../support/relays/relay.ts";

const WAITING = 50;
const RESTARTING = { code: 1012, reason: "restarting" };

/** That a peer is told to come back, and closed. Returns after how many ms. */
async function expectToldToComeBack(peer: Client): Promise<number> {
  const { code, retryAfterMs } = await peer.expect("error");
  expect(code).toBe("restarting");
  expect(retryAfterMs).toBeNumber();
  expect(await peer.closed).toEqual(RESTARTING);
  return Number(retryAfterMs);
}

/** @param start starts the relay that is tried; `startAlone`: the same where one process is asked about itself */
export function drain(start: Start, startAlone = start): void {
  describe("a relay that drains", () => {
    test("says so: 503 for its health, and 503 with Retry-After for an upgrade", async () => {
      await using relay = await startAlone("--drain=1h");
      const { alice, bob } = await newPair(relay.url);
      const ended = relay.stop();
      await until("503 for its health", async () => (await relay.get("/health")).status, equals(503));
      expect(await (await relay.get("/health")).text()).toBe('{"status":"draining","sessions":1}');
      expect((await relay.get("/")).status).toBe(200);
      const late = await RawClient.dial(relay.port);
      late.write(UPGRADE);
      const head = await late.head();
      expect(head).toStartWith("HTTP/1.1 503 ");
      expect(Number(/^retry-after: (\d+)$/im.exec(head)?.[1])).toBeWithin(0, 6);
      late.end();
      alice.close();
      expect(await bob.next()).toBe('{"type":"peer-left"}');
      await expectToldToComeBack(bob);
      expect((await ended).exitCode).toBe(0);
    });

    test("sends whoever waits or has not joined away, each with a delay of its own", async () => {
      await using relay = await start("--drain=1h");
      const waiting = await Promise.all(
        Array.from({ length: WAITING }, (_, i) => Client.join(relay.url, newCode(), i % 2 === 0)),
      );
      const notJoined = await Client.connect(relay.url);
      const ended = relay.stop();
      const delays = await Promise.all([...waiting, notJoined].map(expectToldToComeBack));
      for (const delay of delays) expect(delay).toBeWithin(0, 5_000);
      expect(new Set(delays).size).toBeGreaterThan(WAITING / 2);
      expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(1_000);
      expect(await ended).toEqual({ exitCode: 0, stdout: printedToTheEnd(relay.port, 3_600), stderr: "" });
    });

    test.concurrent("sends a newcomer away that waits for a held seat, and its holder stays", async () => {
      await using relay = await start("--drain=1h");
      const ghost = await RawClient.connect(relay.port); // answers no ping
      const code = newCode();
      ghost.say({ type: "join", sessionCode: code, isInitiator: true });
      expect(await ghost.text()).toStartWith('{"type":"joined"');
      const bob = await Client.join(relay.url, code, false);
      await bob.expect("ready");
      await untilSilent();
      const mallory = await comeUntilProbed(relay.url, { sessionCode: code, isInitiator: true });
      expect(await ghost.text()).toBe('{"type":"ready"}');
      expect((await ghost.next())?.opcode).toBe(OP.ping);
      const ended = relay.stop();
      await expectToldToComeBack(mallory);
      expect(await bob.drain()).toEqual([]);
      bob.close();
      ghost.end();
      expect((await ended).exitCode).toBe(0);
    });

    test.concurrent("sends both away where a newcomer waits for the seat of one who waits", async () => {
      await using relay = await start("--drain=1h");
      const ghosts: RawClient[] = [];
      const newcomers: Client[] = [];
      const joins = Array.from({ length: 10 }, () => ({ type: "join", sessionCode: newCode(), isInitiator: true }));
      for (const join of joins) {
        const ghost = await RawClient.connect(relay.port);
        ghost.say(join);
        expect(await ghost.text()).toStartWith('{"type":"joined"');
        ghosts.push(ghost);
      }
      await untilSilent();
      for (const [n, join] of joins.entries()) {
        const newcomer = await comeUntilProbed(relay.url, join);
        expect((await ghosts[n]?.next())?.opcode).toBe(OP.ping); // the holder is asked, and gives no answer
        newcomers.push(newcomer);
      }
      const ended = relay.stop();
      await Promise.all(newcomers.map(expectToldToComeBack));
      for (const ghost of ghosts) {
        expect(await ghost.text()).toContain('"restarting"');
        expect(await ghost.text()).toBe("close 1012");
      }
      expect((await ended).exitCode).toBe(0);
    });

    test("lets a pair finish, and exits as soon as both have left", async () => {
      await using relay = await start("--drain=1h");
      const pair = await newPair(relay.url);
      const waiting = await Client.join(relay.url, newCode(), true);
      const offer = pair.alice.send({ type: "offer", sessionCode: pair.code, offer: { sdp: "before" } });
      const ended = relay.stop();
      await expectToldToComeBack(waiting);
      expect(await pair.bob.next()).toBe(offer);
      for (let n = 0; n < 20; n++) await expectUndisturbed(pair);
      expect([await pair.alice.drain(), await pair.bob.drain()]).toEqual([[], []]);
      pair.alice.send({ type: "leave" });
      pair.bob.send({ type: "leave" });
      await Promise.all([pair.alice.closed, pair.bob.closed]);
      expect(await ended).toEqual({ exitCode: 0, stdout: printedToTheEnd(relay.port, 3_600), stderr: "" });
    });

    test("sends the one away whose peer leaves", async () => {
      await using relay = await start("--drain=1h");
      const pairs = await Promise.all([newPair(relay.url), newPair(relay.url), newPair(relay.url)]);
      const waiting = await Client.join(relay.url, newCode(), true);
      const ended = relay.stop();
      await expectToldToComeBack(waiting);
      pairs[0].alice.close();
      pairs[1].alice.send({ type: "leave" });
      pairs[2].alice.terminate();
      for (const { bob } of pairs) {
        expect(await bob.next()).toBe('{"type":"peer-left"}');
        await expectToldToComeBack(bob);
      }
      expect((await ended).exitCode).toBe(0);
    });

    test("sends a pair away that has not finished when the time is up", async () => {
      await using relay = await start("--drain=1s");
      const pairs = await Promise.all(Array.from({ length: 10 }, () => newPair(relay.url)));
      const begun = performance.now();
      const ended = relay.stop();
      const delays = await Promise.all(pairs.flatMap(({ alice, bob }) => [alice, bob]).map(expectToldBesidePeerLeft));
      expect(performance.now() - begun).toBeGreaterThan(950);
      expect(new Set(delays).size).toBeGreaterThan(pairs.length);
      expect(await ended).toEqual({ exitCode: 0, stdout: printedToTheEnd(relay.port, 1), stderr: "" });
    });

    test("stops at once on a second signal", async () => {
      await using relay = await startAlone("--drain=1h");
      const waiting = await Client.join(relay.url, newCode(), true);
      const { alice, bob } = await newPair(relay.url);
      relay.process.kill("SIGTERM");
      await expectToldToComeBack(waiting);
      const outcome = await relay.stop("SIGINT");
      expect(outcome).toEqual({
        exitCode: 1,
        stdout: printedToTheEnd(relay.port, 3_600, "stopped at once"),
        stderr: "",
      });
      expect([(await alice.closed).code, (await bob.closed).code]).toEqual([1006, 1006]);
    });

    test.each(["before", "amid", "after"])("loses no join that comes with the signal: %s it", async (order) => {
      await using relay = await start("--drain=1h");
      const codes = Array.from({ length: WAITING }, newCode);
      // Both peers of half the sessions, one peer of each of the others.
      const seats = codes.flatMap((code, i) =>
        i % 2 === 0 ? [{ code, is: true }] : [true, false].map((is) => ({ code, is })),
      );
      const peers = await Promise.all(seats.map(async (seat) => ({ ...seat, peer: await Client.connect(relay.url) })));
      let ended = order === "after" ? relay.stop() : null;
      for (const [i, { peer, code, is }] of peers.entries()) {
        if (order === "amid" && i === WAITING / 2) ended = relay.stop();
        peer.send({ type: "join", sessionCode: code, isInitiator: is });
      }
      ended ??= relay.stop();
      const heard = await Promise.all(peers.map(({ peer }) => hearToTheEnd(peer)));
      for (const line of heard)
        expect(line).toMatch(/^((joined )?restarting 1012|joined ready( peer-left)?( restarting)? 10(00|12))$/);
      expect((await ended).exitCode).toBe(0);
    });

    test("with --reuse-port leaves the port at once, and a new relay takes everything", async () => {
      await using old = await start("--drain=1h", "--reuse-port");
      const pair = await newPair(old.url);
      const waiting = await Client.join(old.url, newCode(), true);
      await using young = await start(`--port=${old.port}`, "--reuse-port");
      const ended = old.stop();
      await expectToldToComeBack(waiting);
      const others = await Promise.all(Array.from({ length: WAITING }, () => newPair(young.url)));
      expect(await young.sessions()).toBe(WAITING);
      await expectUndisturbed(pair);
      pair.alice.close();
      pair.bob.close();
      expect(await ended).toEqual({ exitCode: 0, stdout: printedToTheEnd(old.port, 3_600), stderr: "" });
      for (const other of others) await expectUndisturbed(other);
    });

    test("with --reuse-port and no other relay nobody listens any more", async () => {
      await using relay = await start("--drain=1h", "--reuse-port");
      const pair = await newPair(relay.url);
      const waiting = await Client.join(relay.url, newCode(), true);
      const ended = relay.stop();
      await expectToldToComeBack(waiting);
      await expect(RawClient.dial(relay.port)).rejects.toThrow();
      await expectUndisturbed(pair);
      pair.alice.close();
      pair.bob.close();
      expect((await ended).exitCode).toBe(0);
    });

    test("a port is shared only where both relays ask for it", async () => {
      for (const [first, second] of [
        [[], []],
        [["--reuse-port"], []],
        [[], ["--reuse-port"]],
      ] as const) {
        await using relay = await start(...first);
        const refusal = `can't listen on 127.0.0.1 port ${relay.port}: it is in use; \`ss -ltnp\` shows by whom\n`;
        await expect(start(`--port=${relay.port}`, ...second)).rejects.toThrow(refusal);
      }
    });
  });
}

/** As expectToldToComeBack, where the peer opposite may have been sent away a moment before. */
async function expectToldBesidePeerLeft(peer: Client): Promise<number> {
  const first = JSON.parse(await peer.next());
  if (first.type === "peer-left") return expectToldToComeBack(peer);
  expect(first.code).toBe("restarting");
  expect(await peer.closed).toEqual(RESTARTING);
  return first.retryAfterMs;
}

/** All that one peer hears, in words, and the code it is closed with. A peer that gets `ready` leaves, as may its other. */
async function hearToTheEnd(peer: Client): Promise<string> {
  const words: string[] = [];
  for (;;) {
    const heard = await peer.nextOrEnd();
    if (typeof heard !== "string") return [...words, heard.code].join(" ");
    const { type, code } = JSON.parse(heard);
    words.push(code ?? type);
    if (type === "ready") peer.close(1000);
  }
}
