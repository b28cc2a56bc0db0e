/** The wire from outside: docs/PROTOCOL.md, line by line. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import handshake from "../../fixtures/handshake.json" with { type: "json" };
import { equals, until } from "../../support/machines/until.ts";
import { BAD_MESSAGES } from "../../support/peers/bad.ts";
import { Client, expectUndisturbed, newCode, newPair, type Pair } from "../../support/peers/client.ts";
import { frame, OP, RawClient } from "../../support/peers/raw.ts";
import { printedToTheEnd, type RunningRelay, type Start } from "../../support/relays/relay.ts";

const MAX_MESSAGE_BYTES = 64 * 1024;

/** An offer of exactly this many bytes. */
function offerOf(sessionCode: string, bytes: number, filler = "x"): string {
  const around = JSON.stringify({ type: "offer", sessionCode, offer: { sdp: "" } });
  const sdp = filler.repeat(Math.floor((bytes - around.length) / Buffer.byteLength(filler)));
  const rest = bytes - around.length - Buffer.byteLength(sdp);
  return JSON.stringify({ type: "offer", sessionCode, offer: { sdp: sdp + "x".repeat(rest) } });
}

/** @param start starts the relay that is tried */
/** All that the log has of it: a limit refused somebody. */
const TOO_LARGE = "whisper-signaling: warning: limit (--max-message) begins to refuse; counted as errors too-large\n";

export function wire(start: Start): void {
  describe("the wire", () => {
    let relay: RunningRelay;
    let url: string;
    beforeAll(async () => {
      relay = await start();
      url = relay.url;
    });
    afterAll(async () => {
      await until("the last session to end", () => relay.sessions(), equals(0));
      const outcome = await relay.stop();
      // After all that was thrown at it: it still runs, it ends well, and it said nothing about any of it.
      expect(outcome).toEqual({ exitCode: 0, stdout: printedToTheEnd(relay.port), stderr: TOO_LARGE });
    });

    /** Runs `attack` beside an honest pair, which must neither hear of it nor be hindered. */
    async function besideAPair(attack: (pair: Pair) => Promise<void>): Promise<void> {
      const pair = await newPair(url);
      await attack(pair);
      await expectUndisturbed(pair);
      await leave(pair.alice, pair.bob);
    }
    async function leave(...clients: Client[]): Promise<void> {
      for (const client of clients) client.close();
      await Promise.all(clients.map((client) => client.closed));
    }

    describe("between two peers", () => {
      test("the exchange recorded from the web client passes byte for byte", async () => {
        const peers: Record<string, Client> = {};
        let relayed = 0;
        for (const { from, to, payload, close } of handshake.frames) {
          const peer = peers[from ?? to ?? ""];
          const other = peers[from === "initiator" ? "joiner" : "initiator"];
          if (to) expect(await peer?.next()).toBe(payload ?? "");
          else if (close) peer?.close();
          else if (from && !peer) {
            peers[from] = await Client.connect(url);
            peers[from].send(payload ?? "");
            await peers[from].expect("joined");
          } else {
            peer?.send(payload ?? "");
            expect(await other?.next()).toBe(payload ?? "");
            relayed++;
          }
        }
        expect(relayed).toBe(6);
        await Promise.all(Object.values(peers).map((peer) => peer.closed));
      });

      test("joined carries 128 random bits and the time an idle session has", async () => {
        const peers = await Promise.all(Array.from({ length: 20 }, () => Client.connect(url)));
        const tokens = new Set<string>();
        for (const peer of peers) {
          peer.send({ type: "join", sessionCode: newCode() });
          const { token, expiresInMs } = await peer.expect("joined");
          expect(token).toMatch(/^[0-9a-f]{32}$/);
          expect(expiresInMs).toBe(600_000);
          tokens.add(String(token));
        }
        expect(tokens.size).toBe(20);
        await leave(...peers);
      });

      test("ready is exactly this text, to both, each time the second seat is filled", async () => {
        const code = newCode();
        const bob = await Client.join(url, code, false);
        expect(await bob.drain()).toEqual([]);
        for (let reload = 0; reload < 3; reload++) {
          const alice = await Client.join(url, code, true);
          expect([await alice.next(), await bob.next()]).toEqual(['{"type":"ready"}', '{"type":"ready"}']);
          alice.close();
          expect(await bob.next()).toBe('{"type":"peer-left"}');
        }
        await leave(bob);
      });

      test("bytes leave as they came: white space, escapes, order of names, every plane of Unicode", async () => {
        const code = newCode();
        const [alice, bob] = [await RawClient.connect(relay.port), await RawClient.connect(relay.port)];
        for (const [peer, isInitiator] of [[alice, true] as const, [bob, false] as const]) {
          peer.say({ type: "join", sessionCode: code, isInitiator });
          expect(await peer.text()).toStartWith('{"type":"joined"');
        }
        expect([await alice.text(), await bob.text()]).toEqual(['{"type":"ready"}', '{"type":"ready"}']);
        const bytes = Buffer.from(
          `\t{ "offer":\n{"sdp":"\\u0041\\/é€🔑\u2028\\ud83d\\udd11\\u0000","n":1.50e2},"sessionCode" : "${code}","x":[],"type":"offer"} `,
        );
        alice.write(frame(OP.text, bytes));
        expect(await bob.next()).toEqual({ opcode: OP.text, payload: bytes });
        const middle = Math.floor(bytes.indexOf("🔑")) + 2; // a fragment may end inside a character
        alice.write(frame(OP.text, bytes.subarray(0, middle), false), frame(OP.ping, "between"));
        alice.write(frame(OP.continuation, bytes.subarray(middle)));
        expect(await bob.next()).toEqual({ opcode: OP.text, payload: bytes });
        expect(await alice.next()).toEqual({ opcode: OP.pong, payload: Buffer.from("between") });
        alice.end();
        bob.end();
      });

      test("a thousand messages each way arrive in order", async () => {
        const { code, alice, bob } = await newPair(url);
        const sent: string[][] = [[], []];
        for (let n = 0; n < 1_000; n++) {
          sent[0]?.push(alice.send({ type: "ice-candidate", sessionCode: code, candidate: { n } }));
          sent[1]?.push(bob.send({ type: "ice-candidate", sessionCode: code, candidate: { n } }));
        }
        for (const [peer, expected = []] of [[bob, sent[0]] as const, [alice, sent[1]] as const]) {
          const heard: string[] = [];
          while (heard.length < expected.length) heard.push(await peer.next());
          expect(heard).toEqual(expected);
        }
        expect([await alice.drain(), await bob.drain()]).toEqual([[], []]);
        await leave(alice, bob);
      });

      test("when one closes, the other is told, keeps its seat, and hears that nobody is there", async () => {
        const { code, alice, bob } = await newPair(url);
        alice.close();
        expect(await bob.next()).toBe('{"type":"peer-left"}');
        bob.send({ type: "answer", sessionCode: code, answer: {} });
        await bob.expectError("no-peer");
        const mallory = await Client.connect(url);
        mallory.send({ type: "join", sessionCode: code, isInitiator: false });
        await mallory.expectError("role-taken");
        const again = await Client.join(url, code, true);
        await bob.expect("ready");
        await again.expect("ready");
        await expectUndisturbed({ code, alice: again, bob });
        await leave(again, bob, mallory);
      });

      test("leave frees the seat before it closes, and what follows it in the same breath is not heard", async () => {
        const { code, alice, bob } = await newPair(url);
        await leave(alice);
        await bob.expect("peer-left");
        const raw = await RawClient.connect(relay.port);
        raw.say({ type: "join", sessionCode: code, isInitiator: true });
        expect(await raw.text()).toStartWith('{"type":"joined"');
        expect([await raw.text(), await bob.next()]).toEqual(['{"type":"ready"}', '{"type":"ready"}']);
        const join = frame(OP.text, JSON.stringify({ type: "join", sessionCode: code, isInitiator: true }));
        raw.write(frame(OP.text, '{"type":"leave"}'), join);
        expect(await raw.text()).toBe("close 1000");
        expect([await bob.next(), ...(await bob.drain())]).toEqual(['{"type":"peer-left"}']);
        await leave(bob);
      });

      test("leave before a join just closes", async () => {
        const alice = await Client.connect(url);
        alice.send({ type: "leave" });
        expect((await alice.closed).code).toBe(1000);
      });
    });

    describe("refusals", () => {
      test("a third peer is refused and closed, whatever role it asks for, and the pair never notices", async () => {
        await besideAPair(async ({ code }) => {
          for (const isInitiator of [true, false, undefined]) {
            const mallory = await Client.connect(url);
            mallory.send({ type: "join", sessionCode: code, isInitiator });
            await mallory.expectError("session-full");
            expect(await mallory.closed).toEqual({ code: 4500, reason: "session-full" });
          }
        });
      });

      test("a held seat is refused while the other is free, and the session stays whole", async () => {
        const code = newCode();
        const alice = await Client.join(url, code, true);
        const mallory = await Client.connect(url);
        mallory.send({ type: "join", sessionCode: code, isInitiator: true });
        await mallory.expectError("role-taken");
        expect(await mallory.closed).toEqual({ code: 4501, reason: "role-taken" });
        expect(await alice.drain()).toEqual([]);
        const bob = await Client.join(url, code, false);
        await Promise.all([alice.expect("ready"), bob.expect("ready")]);
        await expectUndisturbed({ code, alice, bob });
        await leave(alice, bob);
      });

      test("before a join, and with another session's code, nothing is relayed", async () => {
        await besideAPair(async ({ code }) => {
          const mallory = await Client.connect(url);
          for (const [type, name] of [
            ["offer", "offer"],
            ["answer", "answer"],
            ["ice-candidate", "candidate"],
          ] as const) {
            mallory.send({ type, sessionCode: code, [name]: {} });
            await mallory.expectError("not-joined");
          }
          const own = newCode();
          mallory.send({ type: "join", sessionCode: own });
          await mallory.expect("joined");
          mallory.send({ type: "offer", sessionCode: code, offer: {} });
          await mallory.expectError("wrong-session");
          mallory.send({ type: "join", sessionCode: newCode() });
          await mallory.expectError("already-joined");
          mallory.send({ type: "join", sessionCode: own });
          await mallory.expectError("already-joined");
          expect(await relay.sessions()).toBe(2);
          await leave(mallory);
        });
      });

      test("a code has 8 to 64 characters", async () => {
        for (const [length, type] of [
          [7, "error"],
          [8, "joined"],
          [63, "joined"],
          [64, "joined"],
          [65, "error"],
        ] as const) {
          const peer = await Client.connect(url);
          peer.send({ type: "join", sessionCode: "x".repeat(length) });
          await peer.expect(type);
          await leave(peer);
        }
      });

      test.each(["x", "é", "🔑"])("64 KiB of %j pass; one byte more is too large", async (filler) => {
        await besideAPair(async () => {
          const { code, alice, bob } = await newPair(url);
          const largest = alice.send(offerOf(code, MAX_MESSAGE_BYTES, filler));
          expect(Buffer.byteLength(largest)).toBe(MAX_MESSAGE_BYTES);
          expect(await bob.next()).toBe(largest);
          alice.send(offerOf(code, MAX_MESSAGE_BYTES + 1, filler));
          await alice.expectError("too-large");
          expect(await alice.closed).toEqual({ code: 1009, reason: "too-large" });
          expect([await bob.next(), ...(await bob.drain())]).toEqual(['{"type":"peer-left"}']);
          await leave(bob);
        });
      });

      test("a message of any size more is closed with the same code", async () => {
        const mallory = await Client.connect(url);
        mallory.send("x".repeat(10 * MAX_MESSAGE_BYTES));
        expect((await mallory.closed).code).toBe(1009);
      });

      test("five bad messages are forgiven, the sixth is not", async () => {
        await besideAPair(async () => {
          const mallory = await Client.connect(url);
          for (let n = 0; n < 5; n++) {
            mallory.send("rubbish");
            await mallory.expectError("bad-message");
          }
          expect(await mallory.drain()).toEqual([]);
          mallory.send("rubbish");
          await mallory.expectError("bad-message");
          expect(await mallory.closed).toEqual({ code: 4505, reason: "bad-message" });
        });
      });
    });

    describe("bad input", () => {
      test.each(BAD_MESSAGES)("%s is a bad message", async (_what, text) => {
        await besideAPair(async () => {
          const mallory = await Client.connect(url);
          mallory.send(text);
          const answer = await mallory.next();
          expect(JSON.parse(answer)).toEqual({
            type: "error",
            code: "bad-message",
            message: "This is not a message of the protocol.",
            retry: false,
            field: expect.stringMatching(/^[a-zA-Z]+$/),
          });
          expect(await mallory.drain()).toEqual([]);
          await leave(mallory);
        });
      });

      test("so is a binary frame, also one that holds a message, also an empty one", async () => {
        const mallory = await Client.connect(url);
        for (const bytes of [new TextEncoder().encode('{"type":"ping"}'), new Uint8Array(0)]) {
          mallory.sendBytes(bytes);
          await mallory.expectError("bad-message");
        }
        await leave(mallory);
      });

      test("a member of the pair who sends it harms neither the other nor itself", async () => {
        const pair = await newPair(url);
        pair.alice.send("rubbish");
        await pair.alice.expectError("bad-message");
        await expectUndisturbed(pair);
        await leave(pair.alice, pair.bob);
      });

      test.each([
        ["text that is not UTF-8", [frame(OP.text, Buffer.from([0x22, 0xff, 0x22]))], 1007],
        ["a surrogate in UTF-8", [frame(OP.text, Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))], 1007],
        ["a frame without a mask", [Buffer.from([0x81, 2, 0x7b, 0x7d])], 1002],
        ["a reserved opcode", [frame(3, "x")], 1002],
        ["a continuation of nothing", [frame(OP.continuation, "x")], 1002],
        ["a ping in fragments", [frame(OP.ping, "x", false)], 1002],
        ["a close frame with a reserved code", [frame(OP.close, Buffer.from([0x03, 0xed]))], 1002],
      ])("%s ends only the socket it came on", async (_what, bytes, code) => {
        await besideAPair(async () => {
          const mallory = await RawClient.connect(relay.port);
          mallory.write(...bytes);
          expect(await mallory.text()).toBe(`close ${code}`);
          mallory.end();
        });
      });
    });

    describe("races", () => {
      test("of 100 peers that join one code in one tick exactly two are seated, one in each role", async () => {
        for (let round = 0; round < 10; round++) {
          const code = newCode();
          const peers = await Promise.all(Array.from({ length: 100 }, () => Client.connect(url)));
          for (const [i, peer] of peers.entries())
            peer.send({ type: "join", sessionCode: code, isInitiator: round % 2 === 0 ? i % 2 === 0 : i < 50 });
          const answers = await Promise.all(peers.map((peer) => peer.next()));
          const seated = peers.filter((_peer, i) => answers[i]?.startsWith('{"type":"joined"'));
          expect(seated.length).toBe(2);
          for (const peer of seated) expect(await peer.next()).toBe('{"type":"ready"}');
          const refused = await Promise.all(peers.filter((peer) => !seated.includes(peer)).map((peer) => peer.closed));
          expect(refused.filter(({ code }) => code !== 4500 && code !== 4501)).toEqual([]);
          expect(await relay.sessions()).toBe(1);
          await leave(...seated);
          await until("the last session to end", () => relay.sessions(), equals(0));
        }
      });

      test("of 100 peers that want the same role exactly one is seated", async () => {
        const code = newCode();
        const peers = await Promise.all(Array.from({ length: 100 }, () => Client.connect(url)));
        for (const peer of peers) peer.send({ type: "join", sessionCode: code, isInitiator: true });
        const answers = await Promise.all(peers.map((peer) => peer.next()));
        expect(answers.filter((answer) => answer.startsWith('{"type":"joined"')).length).toBe(1);
        expect(answers.filter((answer) => answer.includes('"role-taken"')).length).toBe(99);
        await leave(...peers);
      });

      test("a join and the end of the connection in one segment leave nothing behind", async () => {
        const code = newCode();
        for (const reset of [false, true]) {
          const raw = await RawClient.connect(relay.port);
          raw.say({ type: "join", sessionCode: code });
          raw.end(reset);
          await until("the last session to end", () => relay.sessions(), equals(0));
        }
        await leave(await Client.join(url, code, false));
      });
    });
  });
}
