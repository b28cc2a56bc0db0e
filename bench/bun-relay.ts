/**
 * Not a rival but a floor: the least that a relay on Bun can do. Who joins is subscribed to a topic, and what else comes
 * is published there, unread. It checks, limits, counts and times nothing, and its peers are told nothing but ready: what
 * a session, a message and an idle peer cost here, the runtime and the kernel take. Not to be run in earnest.
 *
 * It listens on a free port of the loopback, with TLS where TLS_CERT and TLS_KEY name files.
 */
import type { ServerWebSocket } from "bun";

type Seat = ServerWebSocket<{ sessionCode: string }>;

const { TLS_CERT: cert, TLS_KEY: key } = process.env;
const waiting = new Map<string, Seat>();

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  ...(cert && key && { tls: { cert: Bun.file(cert), key: Bun.file(key) } }),
  development: false,
  reusePort: false,
  fetch: (request, server) =>
    server.upgrade(request, { data: { sessionCode: "" } }) ? undefined : new Response("Not found", { status: 404 }),
  websocket: {
    data: {} as { sessionCode: string },
    idleTimeout: 0,
    perMessageDeflate: false,
    publishToSelf: false,
    message(ws, text) {
      const { data } = ws;
      if (data.sessionCode !== "") ws.publishText(data.sessionCode, String(text));
      else join(ws, JSON.parse(String(text)).sessionCode);
    },
    close: ({ data }) => void waiting.delete(data.sessionCode),
  },
});

function join(ws: Seat, sessionCode: string): void {
  ws.data.sessionCode = sessionCode;
  ws.subscribe(sessionCode);
  const first = waiting.get(sessionCode);
  if (first === undefined) return void waiting.set(sessionCode, ws);
  waiting.delete(sessionCode);
  for (const peer of [first, ws]) peer.sendText('{"type":"ready"}');
}

console.log(`listening on ${server.url.origin}`);
