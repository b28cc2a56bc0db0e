/** What strangers get who ask for no WebSocket, or are refused one: one answer, and the end of the connection. */
import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { equals, until } from "../support/machines/until.ts";
import { expectUndisturbed, newPair } from "../support/peers/client.ts";
import { RawClient, UPGRADE } from "../support/peers/raw.ts";
import { type RunningRelay, spawnRelay } from "../support/relays/relay.ts";

const get = (path: string, method = "GET") => `${method} ${path} HTTP/1.1\r\nHost: relay\r\n\r\n`;
const GET = get("/health");

/** Sends bytes and leaves the rest to the other side. Returns all that came until it had closed the connection. */
async function untilClosed(port: number, bytes: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port });
  let text = "";
  socket.on("data", (data: Buffer) => (text += data.toString("latin1")));
  socket.on("error", () => {}); // a close follows
  socket.write(bytes);
  await new Promise((resolve) => socket.once("close", resolve));
  return text;
}

const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status));

async function expectOneAnswer(port: number, request: string, status: number): Promise<void> {
  const text = await untilClosed(port, request.repeat(200));
  expect(statuses(text)).toEqual([status]);
  expect(text.toLowerCase()).toContain("\r\nconnection: close\r\n");
}

describe("an answer that is no upgrade is the last thing on its connection, whatever was sent behind the request", () => {
  test.each([
    ["of health", GET, 200],
    ["of the page", get("/"), 200],
    ["to HEAD", get("/", "HEAD"), 200],
    ["to OPTIONS", get("/", "OPTIONS"), 204],
    ["that there is nothing", get("/x"), 404],
    ["that the method is none", get("/", "DELETE"), 405],
    ["to what is no HTTP", "rubbish\r\n\r\n", 400],
    ["to an upgrade of another version", UPGRADE.replace("Version: 13", "Version: 8"), 426],
    ["to an upgrade without its key", UPGRADE.replace(/Sec-WebSocket-Key.*\r\n/, ""), 200],
  ])("%s", async (_what, request, status) => {
    await using relay = await spawnRelay("binary");
    await expectOneAnswer(relay.port, request, status);
    expect(statuses(await untilClosed(relay.port, GET))).toEqual([200]);
  });

  test("to an upgrade from an origin that is not allowed, and from an address with too many connections", async () => {
    await using relay = await spawnRelay("binary", "--origin=https://a.example", "--exempt=none", "--connect-burst=1");
    await expectOneAnswer(relay.port, UPGRADE, 403);
    const allowed = UPGRADE.replace("Host: relay", "Host: relay\r\nOrigin: https://a.example");
    const alice = await RawClient.dial(relay.port);
    alice.write(allowed);
    expect(await alice.head()).toStartWith("HTTP/1.1 101 ");
    await expectOneAnswer(relay.port, allowed, 429);
    alice.end();
  });

  test("to an upgrade when the relay is full, and when it drains", async () => {
    await using relay = await spawnRelay("binary", "--max-peers=2", "--drain=1h");
    const pair = await newPair(relay.url);
    await expectOneAnswer(relay.port, UPGRADE, 503);
    const ended = relay.stop();
    await until("503 for its health", async () => (await relay.get("/health")).status, equals(503));
    await expectOneAnswer(relay.port, UPGRADE, 503);
    await expectOneAnswer(relay.port, get("/", "OPTIONS"), 503);
    pair.alice.close();
    await ended;
  });

  test.each(["/livez", "/readyz", "/metrics", "/x"])("of the listener for the operator: %s", async (path) => {
    await using relay = await spawnRelay("binary", "--admin=127.0.0.1:0");
    const { url } = await relay.admin("/livez");
    await expectOneAnswer(Number(new URL(url).port), get(path), path === "/x" ? 404 : 200);
  });
});

test("requests in a row without a pause are not what a pair waits for", async () => {
  await using relay = await spawnRelay("binary");
  const pair = await newPair(relay.url);
  const answers = await untilClosed(relay.port, GET.repeat(20_000));
  expect(statuses(answers)).toEqual([200]);
  expect(await pair.alice.drain()).toEqual([]);
});

describe("OPTIONS", () => {
  const ask = (relay: RunningRelay, path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${relay.port}${path}`, { method: "OPTIONS", headers });

  test("says what is allowed, to a check and to a page's preflight", async () => {
    await using relay = await spawnRelay("binary");
    for (const path of ["/", "/health"]) {
      const { status, headers } = await ask(relay, path, { "Access-Control-Request-Method": "GET", Origin: "null" });
      expect([status, headers.get("allow")]).toEqual([204, "GET, HEAD, OPTIONS"]);
      expect(headers.get("access-control-allow-origin")).toBe("*");
      expect(headers.get("access-control-allow-methods")).toBe("GET, HEAD, OPTIONS");
      expect(headers.get("access-control-allow-headers")).toBe("*");
    }
    expect((await ask(relay, "/x")).status).toBe(404);
    expect(await untilClosed(relay.port, "OPTIONS / HTTP/1.0\r\n\r\n")).toStartWith("HTTP/1.1 204 ");
  });
});

test("of the subprotocols that a client offers the first is taken, and none where it offers none", async () => {
  await using relay = await spawnRelay("binary");
  const headOf = async (...lines: string[]) => {
    const raw = await RawClient.dial(relay.port);
    raw.write(UPGRADE.replace("Host: relay", ["Host: relay", ...lines].join("\r\n")));
    const head = await raw.head();
    raw.end();
    return /^sec-websocket-protocol: (.*)$/im.exec(head)?.[1]?.trim() ?? null;
  };
  expect(await headOf("Sec-WebSocket-Protocol: chat, superchat")).toBe("chat");
  expect(await headOf()).toBe(null);
});

test("a byte order mark before a message makes it none, and the text behind it is not passed on", async () => {
  await using relay = await spawnRelay("binary");
  const { code, alice, bob } = await newPair(relay.url);
  const offer = JSON.stringify({ type: "offer", sessionCode: code, offer: {} });
  alice.send(`\ufeff${offer}`);
  await alice.expectError("bad-message");
  alice.send(offer.replace("{}", '{"sdp":"\ufeff"}')); // inside a string it is a character as any other
  expect(await bob.next()).toBe(offer.replace("{}", '{"sdp":"\ufeff"}'));
});

test("a path that no URL could be is found at once, however long and odd it is", async () => {
  await using relay = await spawnRelay("binary");
  const pair = await newPair(relay.url);
  for (const host of ["a b", "[::", "x:99999", "relay"])
    for (const mark of ["?", "#", "/"]) {
      const raw = await RawClient.dial(relay.port);
      const since = performance.now();
      raw.write(`GET /${mark.repeat(15_000)}`, Buffer.from([0xe2, 0x80, 0xa8]), `x HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await raw.head();
      expect([host, mark, performance.now() - since < 250]).toEqual([host, mark, true]); // it was 400 to 3,000 ms
    }
  await expectUndisturbed(pair);
});
