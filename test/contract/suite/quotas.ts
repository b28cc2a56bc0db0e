/** Each limit at its edge, from outside; the pair beside it never notices. */
import { describe, expect, test } from "bun:test";
import { equals, until } from "../../support/machines/until.ts";
import { Client, expectUndisturbed, newCode, newPair } from "../../support/peers/client.ts";
import { frame, OP, RawClient, UPGRADE } from "../../support/peers/raw.ts";
import type { RunningRelay, Start } from "../../support/relays/relay.ts";

/** The head of the answer to an upgrade, and the socket that it came on. */
async function knock(relay: RunningRelay, header = ""): Promise<{ raw: RawClient; head: string }> {
  const raw = await RawClient.dial(relay.port);
  raw.write(UPGRADE.replace("\r\n\r\n", `${header}\r\n\r\n`));
  return { raw, head: await raw.head() };
}
const retryAfter = (head: string) => Number(/\r\nretry-after: (\d+)/i.exec(head)?.[1]);
const PING = '{"type":"ping"}';

/** @param start starts the relay that is tried */
export function quotas(start: Start): void {
  describe("the limits", () => {
    test("a peer may send its burst and not one message more, until time has passed", async () => {
      await using relay = await start("--exempt=none", "--message-burst=10", "--message-rate=1");
      const mallory = await Client.connect(relay.url);
      for (let sent = 0; sent < 10; sent++) mallory.send(PING);
      for (let sent = 0; sent < 10; sent++) expect(await mallory.next()).toBe('{"type":"pong"}');
      mallory.send(PING);
      const { code, retryAfterMs } = await mallory.expect("error");
      expect(code).toBe("rate-limited");
      expect(retryAfterMs).toBeWithin(1, 1_001);
      expect(await mallory.closed).toEqual({ code: 4029, reason: "rate-limited" });
    });

    test("pings and pongs of the WebSocket protocol count like messages", async () => {
      await using relay = await start("--exempt=none", "--message-burst=10", "--message-rate=1");
      for (const opcode of [OP.ping, OP.pong]) {
        const raw = await RawClient.connect(relay.port);
        raw.write(...Array.from({ length: 11 }, () => frame(opcode, "")));
        if (opcode === OP.ping) for (let sent = 0; sent < 11; sent++) expect((await raw.next())?.opcode).toBe(OP.pong);
        expect(await raw.text()).toContain('"rate-limited"');
        expect(await raw.text()).toBe("close 4029");
      }
    });

    test("a peer may send its quota of messages and not one more", async () => {
      await using relay = await start("--exempt=none", "--quota-messages=10");
      const pair = await newPair(relay.url); // one message each
      for (let sent = 0; sent < 9; sent++) pair.alice.send(PING);
      for (let sent = 0; sent < 9; sent++) expect(await pair.alice.next()).toBe('{"type":"pong"}');
      pair.alice.send(PING);
      await pair.alice.expectError("quota");
      expect(await pair.alice.closed).toEqual({ code: 4506, reason: "quota" });
      expect(await pair.bob.next()).toBe('{"type":"peer-left"}');
    });

    test("a peer may send its quota of bytes and not one more", async () => {
      await using relay = await start("--exempt=none", "--quota-bytes=64KiB");
      const client = await Client.connect(relay.url);
      client.send(`{"type":"ping","x":"${"é".repeat((65_536 - 22 - PING.length - 1) / 2)}"} `);
      expect(await client.next()).toBe('{"type":"pong"}');
      client.send(PING);
      expect(await client.next()).toBe('{"type":"pong"}');
      client.send(" ");
      await client.expectError("quota");
      expect((await client.closed).code).toBe(4506);
    });

    test("exempt addresses are free of all that", async () => {
      await using relay = await start("--message-burst=1", "--quota-messages=10", "--connect-burst=1");
      const pair = await newPair(relay.url);
      for (let sent = 0; sent < 100; sent++) pair.alice.send(PING);
      for (let sent = 0; sent < 100; sent++) expect(await pair.alice.next()).toBe('{"type":"pong"}');
      await expectUndisturbed(pair);
    });

    test("an abuse is not washed off by a new connection", async () => {
      await using relay = await start(
        ...["--exempt=none", "--message-burst=1", "--message-rate=1", "--connect-burst=12", "--connect-rate=1"],
      );
      const mallory = await Client.connect(relay.url);
      mallory.send(PING);
      mallory.send(PING);
      expect((await mallory.closed).code).toBe(4029);
      expect((await knock(relay)).head).toStartWith("HTTP/1.1 101 ");
      const { head } = await knock(relay);
      expect(head).toStartWith("HTTP/1.1 429 ");
      expect(retryAfter(head)).toBe(1);
    });

    test("an address may have its connections at once and not one more, and gets its place back", async () => {
      await using relay = await start("--exempt=none", "--max-per-address=3");
      const pair = await newPair(relay.url);
      const third = await knock(relay);
      const { head } = await knock(relay);
      expect(head).toStartWith("HTTP/1.1 429 ");
      expect(retryAfter(head)).toBeGreaterThan(0);
      third.raw.end();
      await until("a free place", async () => (await knock(relay)).head.slice(9, 12), equals("101"));
      await expectUndisturbed(pair);
    });

    test("the relay takes its peers and not one more, and says when to come back", async () => {
      await using relay = await start("--max-peers=3");
      const pair = await newPair(relay.url);
      const third = await knock(relay);
      const { head } = await knock(relay);
      expect(head).toStartWith("HTTP/1.1 503 ");
      expect(retryAfter(head)).toBeWithin(0, 6);
      third.raw.end(true);
      await until("a free place", async () => (await knock(relay)).head.slice(9, 12), equals("101"));
      await expectUndisturbed(pair);
    });

    test("only so many sessions may wait; one that is refused is told when to come back", async () => {
      await using relay = await start("--max-waiting=1");
      const code = newCode();
      const alice = await Client.join(relay.url, code, true);
      const mallory = await Client.connect(relay.url);
      mallory.send({ type: "join", sessionCode: newCode() });
      expect(await mallory.expect("error")).toMatchObject({ code: "at-capacity", retryAfterMs: expect.any(Number) });
      expect(await mallory.closed).toEqual({ code: 1013, reason: "at-capacity" });
      const bob = await Client.join(relay.url, code, false);
      await Promise.all([alice.expect("ready"), bob.expect("ready")]);
      await Client.join(relay.url, newCode(), false);
      await expectUndisturbed({ code, alice, bob });
    });

    test("pages of other origins are refused, and check names the first that is allowed", async () => {
      await using relay = await start("--origin=https://chat.example");
      expect((await knock(relay, "\r\nOrigin: https://chat.example")).head).toStartWith("HTTP/1.1 101 ");
      expect((await knock(relay, "\r\nOrigin: https://evil.example")).head).toStartWith("HTTP/1.1 403 ");
      expect((await knock(relay)).head).toStartWith("HTTP/1.1 403 ");
      expect((await relay.get("/health")).status).toBe(200);
    });

    test("who forwards for others without being trusted is not exempt, and the log says once what to set", async () => {
      const relay = await start("--max-per-address=2");
      await using _ = relay;
      const heads: string[] = [];
      for (let client = 0; client < 4; client++)
        heads.push((await knock(relay, `\r\nX-Forwarded-For: 203.0.113.${client}`)).head.slice(9, 12));
      expect(heads).toEqual(["101", "101", "429", "429"]);
      const { stderr } = await relay.stop();
      const [warning = "", ...others] = stderr.split("\n").filter((line) => !line.includes("begins to refuse"));
      expect([warning, others]).toEqual([expect.stringContaining("--trust-proxy"), [""]]);
      expect(stderr).not.toContain("203.0.113");
    });
  });
}
