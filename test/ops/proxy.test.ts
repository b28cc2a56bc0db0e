/**
 * The relay behind nginx, Caddy and HAProxy, each with the block that `print` writes and docs/OPERATIONS.md shows. Where
 * one of them is missing this is skipped, but never under CI.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  FRONT_NAMES,
  type FrontName,
  HOST,
  type RunningFront,
  startFront,
  whyNoFront,
} from "../support/machines/fronts.ts";
import { equals, until } from "../support/machines/until.ts";
import { newCode, newPair } from "../support/peers/client.ts";
import { frame, OP, RawClient, UPGRADE } from "../support/peers/raw.ts";
import { command, ROOT, run, spawnRelay } from "../support/relays/relay.ts";

const WARNING =
  "whisper-signaling: warning: an exempt address sends X-Forwarded-For, and so is not exempt: name it with --trust-proxy\n";
/** What the log says of a limit by address, once in a minute. */
const LIMIT = /^whisper-signaling: warning: limit \(--max-per-address, [^\n]+\n$/;

const obstacle = whyNoFront();
if (obstacle !== null) console.warn(`proxy.test.ts: real proxies are not tested: ${obstacle}`);

test.skipIf(!process.env["CI"])("CI has the proxies to test with", () => {
  expect(obstacle).toBe(null);
});

/** The block that `print` writes for a proxy in front of a relay on this machine. */
async function printed(name: FrontName, ...options: string[]): Promise<string> {
  return (await run(command("binary", "print", name, "--host=127.0.0.1", ...options))).stdout;
}

/** The proxy in front of a relay on `relayPort`, with other timeouts where `timeout` says so. */
async function startProxy(name: FrontName, relayPort: number, timeout = "75s"): Promise<RunningFront> {
  return startFront(name, (await printed(name, `--port=${relayPort}`)).replaceAll("75s", timeout));
}

test.each(FRONT_NAMES)("the docs show the block that print writes for %s", async (name) => {
  const docs = await Bun.file(join(ROOT, "docs/OPERATIONS.md")).text();
  expect(docs).toContain(`\n\`\`\`${name}\n${await printed(name)}\`\`\`\n`);
});

/** An upgrade through the proxy by a client at the address `from`. Returns the socket and the first line of the answer. */
async function knock(
  proxy: RunningFront,
  from: string,
  ...headers: string[]
): Promise<{ client: RawClient; line: string }> {
  const client = await RawClient.dial(await proxy.entrance(from));
  client.write(UPGRADE.replace("Host: relay", [`Host: ${HOST}`, ...headers].join("\r\n")));
  return { client, line: (await client.head()).split("\r\n")[0] ?? "" };
}

async function enter(proxy: RunningFront, from: string, ...headers: string[]): Promise<RawClient> {
  const { client, line } = await knock(proxy, from, ...headers);
  expect(line).toBe("HTTP/1.1 101 Switching Protocols");
  return client;
}

async function enterAndJoin(
  proxy: RunningFront,
  from: string,
  sessionCode: string,
  isInitiator: boolean,
): Promise<RawClient> {
  const client = await enter(proxy, from);
  client.say({ type: "join", sessionCode, isInitiator });
  expect(await client.text()).toStartWith('{"type":"joined"');
  return client;
}

describe.skipIf(obstacle !== null)("behind a proxy as the docs have it", () => {
  describe.each(FRONT_NAMES)("%s", (name) => {
    test("a pair meets, and what it says arrives byte for byte", async () => {
      await using relay = await spawnRelay("binary", "--trust-proxy=127.0.0.1");
      await using proxy = await startProxy(name, relay.port);
      const code = newCode();
      const alice = await enterAndJoin(proxy, "127.0.0.2", code, true);
      const bob = await enterAndJoin(proxy, "127.0.0.3", code, false);
      expect([await alice.text(), await bob.text()]).toEqual(['{"type":"ready"}', '{"type":"ready"}']);
      const offer = ` {"type":"offer", "sessionCode":"${code}","offer":{"sdp":"${"é".repeat(20_000)}"}}`;
      alice.write(frame(OP.text, offer));
      expect(await bob.text()).toBe(offer);
      bob.end();
      expect(await alice.text()).toBe('{"type":"peer-left"}');
      alice.say({ type: "leave" });
      expect(await alice.text()).toBe("close 1000");
      alice.end();
    });

    test("its clients are counted apart, and who forges X-Forwarded-For gains nothing", async () => {
      await using relay = await spawnRelay("binary", "--trust-proxy=127.0.0.1", "--exempt=none", "--max-per-address=3");
      await using proxy = await startProxy(name, relay.port);
      const forged = (n: number) => [`X-Forwarded-For: 203.0.113.${n}`, "X-Forwarded-For: 127.0.0.1"];
      const mallory: RawClient[] = [];
      for (let n = 0; n < 3; n++) mallory.push(await enter(proxy, "127.0.0.2", ...forged(n)));
      for (const headers of [[], forged(3), ["X-Forwarded-For: 127.0.0.3"], ["X-Forwarded-For: rubbish"]]) {
        const { client, line } = await knock(proxy, "127.0.0.2", ...headers);
        expect(line).toBe("HTTP/1.1 429 Too Many Requests");
        client.end();
      }
      const honest = [
        await enter(proxy, "127.0.0.3"),
        await enter(proxy, "127.0.0.3"),
        await enter(proxy, "127.0.0.3"),
      ];
      mallory.pop()?.say({ type: "leave" });
      await until("a place behind the proxy", async () => {
        const { client, line } = await knock(proxy, "127.0.0.2");
        mallory.push(client);
        return line.startsWith("HTTP/1.1 101 "); // as soon as the one that left has been counted out
      });
      for (const client of [...mallory, ...honest]) client.end();
      expect((await relay.stop()).stderr).toMatch(LIMIT);
    });

    test("without --trust-proxy its clients count as one, though loopback is exempt, and the relay warns once", async () => {
      await using relay = await spawnRelay("binary", "--max-per-address=3");
      await using proxy = await startProxy(name, relay.port);
      for (const from of ["127.0.0.2", "127.0.0.3", "127.0.0.4"]) await enter(proxy, from);
      expect((await knock(proxy, "127.0.0.5")).line).toBe("HTTP/1.1 429 Too Many Requests");
      const { stderr } = await relay.stop();
      expect(stderr.split("\n").filter((line) => !LIMIT.test(`${line}\n`))).toEqual([WARNING.trimEnd(), ""]);
    });

    test("who waits is told to come back when the relay drains, and a newcomer gets the 503", async () => {
      await using relay = await spawnRelay("binary", "--trust-proxy=127.0.0.1", "--drain=1h");
      await using proxy = await startProxy(name, relay.port);
      const code = newCode();
      const pair = [
        await enterAndJoin(proxy, "127.0.0.2", code, true),
        await enterAndJoin(proxy, "127.0.0.3", code, false),
      ];
      const waiting = await enterAndJoin(proxy, "127.0.0.4", newCode(), true);
      const ended = relay.stop();
      expect(await waiting.text()).toContain('"restarting"');
      expect(await waiting.text()).toBe("close 1012");
      expect((await knock(proxy, "127.0.0.4")).line).toBe("HTTP/1.1 503 Service Unavailable");
      for (const peer of pair) peer.end();
      expect((await ended).exitCode).toBe(0);
    });
  });

  test("HAProxy's default check, OPTIONS by HTTP/1.0, finds the relay up, and down as soon as it drains", async () => {
    await using relay = await spawnRelay("binary", "--trust-proxy=127.0.0.1", "--drain=1h");
    const block = (await printed("haproxy", `--port=${relay.port}`))
      .replace("\nbackend relay\n", "\nbackend relay\n    option httpchk\n")
      .replace(/(server relay .*)/, "$1 check inter 50ms rise 1 fall 1");
    await using proxy = await startFront("haproxy", block);
    const statusOf = async () => {
      const client = await RawClient.dial(await proxy.entrance("127.0.0.2"));
      client.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
      const head = await client.head();
      client.end();
      return Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]);
    };
    const pair = await newPair(relay.url);
    expect(await statusOf()).toBe(200);
    const ended = relay.stop();
    await until("503 by the proxy", statusOf, equals(503)); // the relay itself would answer with 200
    for (const peer of [pair.alice, pair.bob]) peer.close();
    await ended;
    expect((await proxy.stop()).match(/Server relay\/relay is (DOWN|UP), .*?code: \d+/g)).toEqual([
      expect.stringMatching(/ is DOWN, .*code: 503$/),
    ]);
  });

  test("pings keep a waiting socket open beyond the proxy's timeout, which ends one without", async () => {
    const waits = FRONT_NAMES.map(async (name) => {
      await using relay = await spawnRelay("binary", "--trust-proxy=127.0.0.1", "--ping-interval=1s");
      await using proxy = await startProxy(name, relay.port, "2s");
      const waiting = await enterAndJoin(proxy, "127.0.0.2", newCode(), true);
      for (let pings = 0; pings < 5; pings++) {
        const next = await waiting.next(); // one a second
        expect(next?.opcode).toBe(OP.ping);
        waiting.write(frame(OP.pong, next?.payload ?? ""));
      }
      waiting.say({ type: "ping" });
      expect(await waiting.text()).toBe('{"type":"pong"}');
    });
    const cuts = FRONT_NAMES.filter((name) => name !== "caddy").map(async (name) => {
      await using relay = await spawnRelay("binary", "--trust-proxy=127.0.0.1", "--ping-interval=10m");
      await using proxy = await startProxy(name, relay.port, "2s");
      expect(await (await enterAndJoin(proxy, "127.0.0.2", newCode(), true)).next()).toBe(null);
    });
    const outcomes = await Promise.allSettled([...waits, ...cuts]); // all of them, so that none is left running
    expect(outcomes.filter(({ status }) => status === "rejected")).toEqual([]);
  });
});
