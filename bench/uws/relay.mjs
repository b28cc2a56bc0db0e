/**
 * A baseline: a relay with uWebSockets.js, written the way most people write one. It speaks enough of docs/PROTOCOL.md for
 * a client: join, ready, and what is passed on. It limits nothing, times nothing out and pings nobody, so it has less to
 * do than the relay that it is compared with. Not to be run in earnest.
 *
 * It listens on a free port of the loopback, with TLS where TLS_CERT and TLS_KEY name files.
 */
import uWS from "uWebSockets.js";

const RELAYED = ["offer", "answer", "ice-candidate"];

const { TLS_CERT, TLS_KEY } = process.env;
const rooms = new Map();
const decoder = new TextDecoder();

const app = TLS_CERT ? uWS.SSLApp({ cert_file_name: TLS_CERT, key_file_name: TLS_KEY }) : uWS.App();
app.ws("/*", {
  idleTimeout: 0,
  sendPingsAutomatically: false,
  message(socket, data) {
    const text = decoder.decode(data);
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.type === "join") join(socket, message.sessionCode);
    else if (RELAYED.includes(message.type)) relay(socket, text);
  },
  close: leave,
});

function join(socket, sessionCode) {
  const room = rooms.get(sessionCode) ?? new Set();
  if (room.size === 2) return socket.end();
  rooms.set(sessionCode, room.add(socket));
  socket.getUserData().sessionCode = sessionCode;
  if (room.size === 2) for (const peer of room) peer.send(JSON.stringify({ type: "ready" }));
}

function relay(socket, text) {
  for (const peer of rooms.get(socket.getUserData().sessionCode) ?? []) if (peer !== socket) peer.send(text);
}

function leave(socket) {
  const { sessionCode } = socket.getUserData();
  const room = rooms.get(sessionCode);
  if (room?.delete(socket) && room.size === 0) rooms.delete(sessionCode);
}

app.listen("127.0.0.1", 0, (token) => {
  console.log(`listening on ${TLS_CERT ? "https" : "http"}://127.0.0.1:${uWS.us_socket_local_port(token)}`);
});
