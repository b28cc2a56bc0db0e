/** What the design leans on in Bun itself, so that an upgrade of Bun shows what changed. */
import { afterEach, expect, test } from "bun:test";
import type { ServerWebSocket } from "bun";
import { equals, until } from "./support/machines/until.ts";
import { Client } from "./support/peers/client.ts";
import { frame, OP, RawClient } from "./support/peers/raw.ts";

type Socket = ServerWebSocket<undefined>;
interface Handlers {
  open?(ws: Socket): void;
  message?(ws: Socket, text: string): void;
  close?(ws: Socket, code: number): void;
}

const TOPIC = "A3F7B9E2C1D4";
let steps: string[] = [];
let server: Bun.Server<undefined> | undefined;
afterEach(async () => {
  await server?.stop(true);
  steps = [];
});

function serve(handlers: Handlers): { url: string; port: number } {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    reusePort: false,
    fetch(request, server) {
      steps.push("before the upgrade");
      const upgraded = server.upgrade(request);
      steps.push("after the upgrade");
      return upgraded ? undefined : new Response("", { status: 400 });
    },
    websocket: {
      publishToSelf: false,
      maxPayloadLength: 1_024,
      open: (ws) => handlers.open?.(ws),
      message: (ws, data) => handlers.message?.(ws, String(data)),
      close: (ws, code) => handlers.close?.(ws, code),
    },
  });
  const port = server.port ?? 0;
  return { url: `ws://127.0.0.1:${port}`, port };
}

test("a publish reaches the topic's other subscribers and not the sender; with nobody there it returns 0", async () => {
  const results: number[] = [];
  const { url } = serve({
    open: (ws) => void ws.subscribe(TOPIC),
    message: (ws, text) => void results.push(ws.publishText(TOPIC, text)),
  });
  const alice = await Client.connect(url);
  alice.send("alone");
  await until("a result", () => results.length, equals(1));
  const bob = await Client.connect(url);
  alice.send("together");
  expect(await bob.next()).toBe("together");
  expect([results[0], results[1] === 0]).toEqual([0, false]);
});

test("a publish without a topic throws", () => {
  using server = Bun.serve({ port: 0, fetch: () => new Response(), websocket: { message() {} } });
  expect(() => server.publish("", "text")).toThrow("topic");
});

test("what is published and what is sent arrive in the order in which it was done", async () => {
  const sockets: Socket[] = [];
  const { url } = serve({
    open(ws) {
      sockets.push(ws);
      ws.subscribe(TOPIC);
    },
    message(ws) {
      for (let n = 0; n < 100; n += 3) {
        ws.publishText(TOPIC, String(n));
        sockets[1]?.sendText(String(n + 1));
        server?.publish(TOPIC, String(n + 2));
      }
    },
  });
  const alice = await Client.connect(url);
  const bob = await Client.connect(url);
  alice.send("go");
  for (let n = 0; n < 100; n++) expect(await bob.next()).toBe(String(n));
});

test("open runs inside upgrade, and close inside ws.close, when the socket is already unsubscribed", async () => {
  let opposite = -1;
  const { url } = serve({
    open(ws) {
      steps.push("open");
      ws.subscribe(TOPIC);
    },
    message(ws) {
      steps.push("before the close");
      ws.close(4_500, "x");
      steps.push("after the close");
    },
    close(ws, code) {
      opposite = server?.subscriberCount(TOPIC) ?? -1;
      steps.push(`close ${code} ${ws.readyState}`);
    },
  });
  const alice = await Client.connect(url);
  alice.send("close me");
  expect(await alice.closed).toEqual({ code: 4_500, reason: "x" });
  expect(steps.splice(0)).toEqual([
    "before the upgrade",
    "open",
    "after the upgrade",
    "before the close",
    "close 4500 3",
    "after the close",
  ]);
  expect(opposite).toBe(0);
});

test("no message is heard after the close that one before it caused", async () => {
  const heard: string[] = [];
  const { port } = serve({
    message(ws, text) {
      heard.push(text);
      ws.close(1_000);
    },
  });
  const raw = await RawClient.connect(port);
  raw.write(frame(OP.text, "first"), frame(OP.text, "second"));
  expect(await raw.text()).toBe("close 1000");
  expect(await raw.text()).toBe("end");
  expect(heard).toEqual(["first"]);
});

test("a frame over the limit is refused by its head, before its bytes have come", async () => {
  const { port } = serve({});
  const raw = await RawClient.connect(port);
  raw.write(frame(OP.text, "x".repeat(1_025)).subarray(0, 8));
  expect(await raw.text()).toBe("close 1009");
});

test.each([
  ["with Connection: close it is the last", { Connection: "close" }, 1],
  ["without, all are answered together", {}, 50],
])("of requests in a row each gets an answer: %s", async (_how, headers, answered) => {
  let asked = 0;
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    fetch() {
      asked++;
      return new Response("", { headers });
    },
  });
  const raw = await RawClient.dial(server.port ?? 0);
  raw.write("GET / HTTP/1.1\r\nHost: relay\r\n\r\n".repeat(50));
  for (let heads = 0; heads < answered; heads++) expect(await raw.head()).toStartWith("HTTP/1.1 200 ");
  if (answered === 1) expect(await raw.head()).toBe("");
  expect(asked).toBe(answered);
});

test("of frames that hold nothing, of a message that is not finished, nobody is told", async () => {
  const heard: string[] = [];
  const { port } = serve({ message: (_ws, text) => void heard.push(text) });
  const raw = await RawClient.connect(port);
  const empty = Array.from({ length: 1_000 }, () => frame(OP.continuation, "", false));
  raw.write(frame(OP.text, "", false), ...empty, frame(OP.ping, ""));
  expect((await raw.next())?.opcode).toBe(OP.pong); // all before it has been read
  expect(heard).toEqual([]);
  raw.write(frame(OP.continuation, "x"));
  await until("what was heard", () => heard.length, equals(1));
  expect(heard).toEqual(["x"]);
});

test("development: false alone lets a second server take the same port", async () => {
  const first = Bun.serve({ hostname: "127.0.0.1", port: 0, development: false, fetch: () => new Response() });
  const options = { hostname: "127.0.0.1", port: first.port ?? 0, development: false, fetch: () => new Response() };
  const second = Bun.serve(options);
  expect(second.port).toBe(first.port ?? 0);
  expect(() => Bun.serve({ ...options, reusePort: false })).toThrow("in use");
  await Promise.all([first.stop(true), second.stop(true)]);
});
