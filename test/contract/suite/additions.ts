/** What the wire has for clients that ask for it, from outside; to those that don't it is as it always was. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Client, expectUndisturbed, newCode, newPair } from "../../support/peers/client.ts";
import type { RunningRelay, Start } from "../../support/relays/relay.ts";

/** @param start starts the relay that is tried */
export function additions(start: Start): void {
  describe("what clients may ask for", () => {
    let relay: RunningRelay;
    beforeAll(async () => {
      relay = await start("--exempt=127.0.0.1");
    });
    afterAll(() => relay[Symbol.asyncDispose]());

    /** Joins with more than the fixed wire has. Returns the client and its `joined`. */
    async function join(sessionCode: string, isInitiator: boolean, more: object = {}) {
      const client = await Client.connect(relay.url);
      client.send({ type: "join", sessionCode, isInitiator, ...more });
      return { client, joined: await client.expect("joined") };
    }

    test("a joined says whether somebody sits opposite", async () => {
      const code = newCode();
      expect((await join(code, true)).joined["opposite"]).toBe(false);
      expect((await join(code, false)).joined["opposite"]).toBe(true);
    });

    test("who names its instance hears in each ready which one it is and who is opposite; who does not, the fixed text", async () => {
      const code = newCode();
      const alice = await join(code, true, { instance: "page-of-alice" });
      const bob = await join(code, false);
      expect(await alice.client.next()).toBe('{"type":"ready","pairing":1,"peer":null}');
      expect(await bob.client.next()).toBe('{"type":"ready"}');
      const carol = await join(code, false, { instance: "page-of-carol", token: bob.joined["token"] });
      expect(await alice.client.next()).toBe('{"type":"ready","pairing":2,"peer":"page-of-carol"}');
      expect(await carol.client.next()).toBe('{"type":"ready","pairing":2,"peer":"page-of-alice"}');
    });

    test("a message that was meant for a peer who is gone does not reach the one who came in its place", async () => {
      const code = newCode();
      const alice = await join(code, true, { instance: "page-of-alice" });
      const bob = await join(code, false, { instance: "page-of-bob-1" });
      await Promise.all([alice.client.expect("ready"), bob.client.expect("ready")]);
      const again = await join(code, true, { instance: "page-of-alice-2", token: alice.joined["token"] });
      await Promise.all([again.client.expect("ready"), bob.client.expect("ready")]);
      bob.client.send({ type: "answer", sessionCode: code, answer: { sdp: "late" }, pairing: 1 });
      expect(await bob.client.expect("error")).toMatchObject({ code: "stale", retry: false });
      const text = bob.client.send({ type: "answer", sessionCode: code, answer: { sdp: "now" }, pairing: 2 });
      expect(await again.client.next()).toBe(text);
    });

    test("a signal is relayed with whatever it carries, byte for byte, and so is the end of candidates", async () => {
      const { code, alice, bob } = await newPair(relay.url);
      for (const data of ['{"a":[1,2]}', "null", '"text"', "0"]) {
        const text = `{ "type":"signal", "sessionCode":"${code}","data":${data} }`;
        alice.send(text);
        expect(await bob.next()).toBe(text);
      }
      const end = bob.send(`{"type":"ice-candidate","sessionCode":"${code}","candidate":null}`);
      expect(await alice.next()).toBe(end);
    });

    test("a bad message is told which field was wrong, out of a closed list", async () => {
      const client = await Client.connect(relay.url);
      for (const [field, text] of [
        ["json", "my secret"],
        ["type", '{"type":"my secret"}'],
        ["sessionCode", '{"type":"join","sessionCode":"my secret"}'],
      ] as const) {
        client.send(text);
        const error = await client.expect("error");
        expect(error).toMatchObject({ code: "bad-message", field, retry: false });
        expect(JSON.stringify(error)).not.toContain("secret");
      }
    });

    test("the shard that a URL names is for balancers: the relay takes it as any other", async () => {
      const pair = await newPair(`${relay.url}/?s=1a2`);
      await expectUndisturbed(pair);
    });

    test("a pong message that nobody asked for is charged as any other", async () => {
      await using strict = await start("--exempt=none", "--quota-messages=10");
      const client = await Client.connect(strict.url);
      for (let sent = 0; sent < 11; sent++) client.send('{"type":"pong"}');
      await client.expectError("quota");
      expect((await client.closed).code).toBe(4506);
    });
  });
}
