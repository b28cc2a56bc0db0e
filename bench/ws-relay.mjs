/**
 * A baseline: a relay on Node.js with ws, written the way most people write one. It speaks enough of docs/PROTOCOL.md
 * for a client: join, ready, and what is passed on. It limits nothing, times nothing out and pings nobody, so it has
 * less to do than the relay that it is compared with. Not to be run in earnest.
 *
 * It listens on a free port of the loopback, with TLS where TLS_CERT and TLS_KEY name files.
 */
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { WebSocket, WebSocketServer } from "ws";

const RELAYED = ["offer", "answer", "ice-candidate"];

const { TLS_CERT, TLS_KEY } = process.env;
const rooms = new Map();

const server = TLS_CERT
  ? https.createServer({ cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) }, respond)
  : http.createServer(respond);
const sockets = new WebSocketServer({ server });

sockets.on("connection", (socket) => {
  socket.on("message", (data) => {
    const text = data.toString();
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.type === "join") join(socket, message.sessionCode);
    else if (RELAYED.includes(message.type)) relay(socket, text);
  });
  socket.on("close", () => leave(socket));
  socket.on("error", () => socket.terminate());
});

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

function respond(request, response) {
  if (request.url !== "/health") return response.writeHead(404).end();
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify({ status: "ok", sessions: rooms.size }));
}

server.listen(0, "127.0.0.1", () => {
  console.log(`listening on ${TLS_CERT ? "https" : "http"}://127.0.0.1:${server.address().port}`);
});
