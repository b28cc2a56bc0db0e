/**
 * The edge: the one place where sockets, time and HTTP meet the rules. Owns the server, its sockets and the sweep.
 * A message takes three steps from peer to peer: parse, check, publish. Functions elsewhere decide and return a
 * value; this file speaks and closes. It keeps nothing of a socket after its close, and never logs.
 */
import type { ServerWebSocket } from "bun";
import type { Config } from "./config.ts";
import {
  ERRORS,
  type ErrorName,
  error,
  FORGIVEN_BAD_MESSAGES,
  isOver,
  type JoinMessage,
  joined,
  PEER_LEFT,
  PONG,
  parse,
  READY,
  type RelayedMessage,
} from "./protocol.ts";
import { opposite, type Session, Sessions } from "./sessions.ts";

/** All that is kept of one socket. */
interface Peer {
  session: Session<Socket> | null;
  badMessages: number;
  readonly connectedAt: number;
}
type Socket = ServerWebSocket<Peer>;

/** What the relay holds at this moment; all 0 when the last peer has gone. */
export interface Gauges {
  sockets: number;
  notJoined: number;
  sessions: number;
  seatsHeld: number;
}

export interface Relay {
  /** Where it listens, for people: http://HOST:PORT. */
  readonly address: string;
  readonly port: number;
  gauges(): Gauges;
  /** How many sockets are subscribed to the topic of a session. */
  subscribers(sessionCode: string): number;
  /** Ends what is due; it also runs by itself, once a second. */
  sweep(): void;
  /** Closes the listener and every socket; resolves when both are gone. */
  stop(): Promise<void>;
}

const SWEEP_INTERVAL_MS = 1_000;
/** A message between the limit and this multiple of it is still read, so that its sender can be told why. */
const READ_LIMIT_FACTOR = 2;
/** What a peer that does not read may leave waiting here before its socket is closed. */
const BACKPRESSURE_LIMIT_BYTES = 256 * 1024;
/** No request has a body; Bun wants a bound all the same. */
const MAX_REQUEST_BODY_BYTES = 1024;
const TOKEN_BYTES = 16;

/**
 * Starts a relay.
 * @param now a monotonic clock in ms, so that a step of the wall clock expires nobody
 * @throws where the address cannot be listened on, as Bun.serve does
 */
export function startRelay(config: Config, now: () => number = () => performance.now()): Relay {
  const sessions = new Sessions<Socket>(config.sessionTtlMs);
  /** Connected, not yet joined; the oldest first. */
  const notJoined = new Set<Socket>();
  let sockets = 0;

  const server = Bun.serve({
    hostname: config.host,
    port: config.port,
    development: false,
    reusePort: false, // said because `development: false` turns it on: a second relay would take half the peers
    maxRequestBodySize: MAX_REQUEST_BODY_BYTES,
    fetch(request, server) {
      if (server.upgrade(request, { data: { session: null, badMessages: 0, connectedAt: now() } })) return undefined;
      return respond(request, sessions.size);
    },
    error: () => new Response("Internal error\n", { status: 500 }),
    websocket: {
      data: {} as Peer,
      maxPayloadLength: config.maxMessageBytes * READ_LIMIT_FACTOR,
      backpressureLimit: BACKPRESSURE_LIMIT_BYTES,
      closeOnBackpressureLimit: true,
      perMessageDeflate: false,
      publishToSelf: false,
      open(ws) {
        sockets++;
        notJoined.add(ws);
      },
      message(ws, data) {
        const refusal = take(ws, data);
        if (refusal !== null) refuse(ws, refusal);
      },
      close(ws) {
        sockets--;
        notJoined.delete(ws);
        leave(ws);
      },
      error(_error, ws) {
        ws.terminate(); // unseen: what an error quotes may be what a peer sent
      },
    },
  });
  const sweeping = setInterval(sweep, SWEEP_INTERVAL_MS);

  /** Does what one frame asks for. Returns why not, where it can't be done. */
  function take(ws: Socket, data: string | Buffer): ErrorName | null {
    if (typeof data !== "string") return "bad-message";
    if (isOver(data, config.maxMessageBytes)) return "too-large";
    const message = parse(data);
    if (message === null) return "bad-message";
    switch (message.type) {
      case "join":
        return join(ws, message);
      case "leave":
        leave(ws);
        ws.close(1000);
        return null;
      case "ping":
        ws.send(PONG);
        return null;
      default:
        return relay(ws, message, data);
    }
  }

  function join(ws: Socket, { sessionCode, isInitiator }: JoinMessage): ErrorName | null {
    if (ws.data.session !== null) return "already-joined";
    const session = sessions.join(sessionCode, isInitiator, ws, now());
    if (typeof session === "string") return session;
    notJoined.delete(ws);
    ws.data.session = session;
    ws.subscribe(session.code);
    ws.send(joined(newToken(), config.sessionTtlMs));
    if (opposite(session, ws) !== null) server.publish(session.code, READY);
    return null;
  }

  function relay(ws: Socket, { sessionCode }: RelayedMessage, text: string): ErrorName | null {
    const { session } = ws.data;
    if (session === null) return "not-joined";
    if (sessionCode !== session.code) return "wrong-session";
    const other = opposite(session, ws);
    if (other === null) return "no-peer";
    sessions.touch(session, now());
    // 0: nothing was queued, though a peer is there. A gap in what it hears is worse than an end.
    if (ws.publishText(session.code, text) === 0) other.terminate();
    return null;
  }

  /** Frees the seat of `ws`, if it holds one, and tells the peer opposite. */
  function leave(ws: Socket): void {
    const { session } = ws.data;
    if (session === null) return;
    ws.data.session = null;
    sessions.leave(session, ws)?.send(PEER_LEFT);
  }

  /** Says no and, where the refusal is final, closes. */
  function refuse(ws: Socket, name: ErrorName): void {
    const { close } = ERRORS[name];
    ws.send(error(name));
    if (name === "bad-message" && ++ws.data.badMessages <= FORGIVEN_BAD_MESSAGES) return;
    if (close !== null) ws.close(close, name);
  }

  function sweep(): void {
    const at = now();
    for (const { initiator, joiner } of sessions.expire(at)) {
      for (const ws of [initiator, joiner]) if (ws !== null) ws.data.session = null;
      for (const ws of [initiator, joiner]) if (ws !== null) refuse(ws, "session-expired");
    }
    const late: Socket[] = [];
    for (const ws of notJoined) {
      if (at - ws.data.connectedAt < config.joinTimeoutMs) break;
      late.push(ws);
    }
    for (const ws of late) refuse(ws, "join-timeout");
  }

  return {
    address: server.url.origin,
    port: server.port ?? config.port,
    gauges: () => ({ sockets, notJoined: notJoined.size, sessions: sessions.size, seatsHeld: sessions.seatsHeld }),
    subscribers: (sessionCode) => server.subscriberCount(sessionCode),
    sweep,
    async stop() {
      clearInterval(sweeping);
      await server.stop(true);
    },
  };
}

/** Plain HTTP (docs/PROTOCOL.md, "HTTP"). */
function respond(request: Request, sessions: number): Response {
  const headers = { "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store" };
  const pathname = request.url.replace(/^https?:\/\/[^/]*|[?#].*$/g, ""); // a bad Host header makes no URL
  if (pathname !== "/" && pathname !== "/health") return new Response("Not found\n", { status: 404, headers });
  if (request.method !== "GET" && request.method !== "HEAD")
    return new Response("Method not allowed\n", { status: 405, headers: { ...headers, Allow: "GET, HEAD" } });
  if (pathname === "/health") return Response.json({ status: "ok", sessions }, { headers });
  return new Response("whisper-signaling: a WebSocket relay for WebRTC. It stores nothing.\n", { headers });
}

function newToken(): string {
  return crypto.getRandomValues(new Uint8Array(TOKEN_BYTES)).toHex();
}
