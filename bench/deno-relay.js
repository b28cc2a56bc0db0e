/**
 * A baseline: a relay on Deno with what Deno brings, written the way most people write one. It speaks enough of
 * docs/PROTOCOL.md for a client: join, ready, and what is passed on. It limits nothing, times nothing out and pings
 * nobody, so it has less to do than the relay that it is compared with. Not to be run in earnest.
 *
 * It listens on a free port of the loopback, with TLS where TLS_CERT and TLS_KEY name files.
 */
const RELAYED = ["offer", "answer", "ice-candidate"];

const [certFile, keyFile] = [Deno.env.get("TLS_CERT"), Deno.env.get("TLS_KEY")];
const tls = certFile ? { cert: Deno.readTextFileSync(certFile), key: Deno.readTextFileSync(keyFile) } : {};
const rooms = new Map();

function respond(request) {
  if (request.headers.get("upgrade") !== "websocket") return new Response("Not found", { status: 404 });
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  socket.onmessage = ({ data }) => {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message.type === "join") join(socket, message.sessionCode);
    else if (RELAYED.includes(message.type)) relay(socket, data);
  };
  socket.onclose = () => leave(socket);
  socket.onerror = () => {};
  return response;
}

function join(socket, sessionCode) {
  const room = rooms.get(sessionCode) ?? new Set();
  if (room.size === 2) return socket.close();
  rooms.set(sessionCode, room.add(socket));
  socket.sessionCode = sessionCode;
  if (room.size === 2) for (const peer of room) peer.send(JSON.stringify({ type: "ready" }));
}

function relay(socket, text) {
  for (const peer of rooms.get(socket.sessionCode) ?? [])
    if (peer !== socket && peer.readyState === WebSocket.OPEN) peer.send(text);
}

function leave(socket) {
  const room = rooms.get(socket.sessionCode);
  if (room?.delete(socket) && room.size === 0) rooms.delete(socket.sessionCode);
}

Deno.serve(
  {
    hostname: "127.0.0.1",
    port: 0,
    ...tls,
    onListen: ({ port }) => console.log(`listening on ${certFile ? "https" : "http"}://127.0.0.1:${port}`),
  },
  respond,
);
