/**
 * The edge: the one place where sockets, time and rules meet. Owns the server, its sockets and the sweep. A message
 * takes three steps from peer to peer: parse, check, publish. Functions decide and return a value; this file speaks
 * and closes: state first, close last. It keeps nothing of a socket after its close.
 */
import type { Events, Status } from "./events.ts";
import { Bucket, type Limits } from "./limits.ts";
import { Liveness } from "./liveness.ts";
import { Peer, type Socket } from "./peer.ts";
import { PROBE_MS, Probes } from "./probes.ts";
import * as wire from "./protocol.ts";
import { opposite, outcomeOf, type Session, Sessions } from "./sessions.ts";
import { EXEMPT, spread, UpgradePolicy } from "./upgrades.ts";

export type Relay = ReturnType<typeof startRelay>;

const SWEEP_MS = 1_000;
/** A message between the limit and this multiple of it is still read, so that its sender can be told why. */
const READ_LIMIT_FACTOR = 2;
/** So long the last close frames have to be read, before the connections under them are cut. */
const LINGER_MS = 250;
/** Sessions that each sweep compares with their topics. */
const CHECKS_A_SWEEP = 100;
const ABUSES: readonly string[] = ["bad-message", "quota", "rate-limited"] satisfies wire.ErrorName[];

/** Where a relay listens. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  readonly reusePort: boolean;
}

/** What a relay is given of the world around it. */
export interface Dependencies {
  readonly events: Events;
  /** Answers a request that asks for no WebSocket. `sessions`: those with at least one peer now. */
  http(request: Request, status: Status, sessions: number): Response;
  /** Takes a line for the operator, which holds nothing of a peer. */
  warn(line: string): void;
  /** Takes an error that nobody expected. What it quotes may be what a peer sent. */
  failed(error: unknown): void;
  /** A monotonic clock in ms, so that a step of the wall clock expires nobody. */
  now(): number;
  /** Certificate chain and key as PEM, where the relay speaks TLS itself. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** Starts a relay. Throws where the address can't be listened on, as Bun.serve does. */
export function startRelay(config: Listener & Limits, { events, http, warn, failed, now, tls }: Dependencies) {
  const sessions = new Sessions<Socket>(config.sessionTtlMs, config.maxWaiting);
  const probes = new Probes<Socket, wire.JoinMessage>();
  const liveness = new Liveness<Socket>(Math.ceil(config.pingIntervalMs / SWEEP_MS));
  const bucket = new Bucket(config.messageRate, config.messageBurst);
  const upgrades = new UpgradePolicy(config, events, warn);
  /** Connected, not yet joined; the oldest first. */
  const notJoined = new Set<Socket>();
  let sockets = 0;
  let differences = 0;
  let sweptAt = now();
  let status: Status = "ok";
  let emptied = () => {};

  const server = Bun.serve({
    hostname: config.host,
    port: config.port,
    ...(tls && { tls }),
    development: false,
    reusePort: config.reusePort, // always said, because `development: false` alone turns it on
    maxRequestBodySize: 1_024, // no request has a body
    error(error) {
      failed(error);
      return new Response("Internal error\n", { status: 500 });
    },
    fetch(request, server) {
      if (!/^websocket$/i.test(request.headers.get("upgrade") ?? "")) return http(request, status, sessions.size);
      const place = upgrades.enter(request, server.requestIP(request)?.address ?? "", now(), status, sockets);
      if (place instanceof Response) return place;
      if (server.upgrade(request, { data: new Peer(liveness.newPulse(), place, now()) })) return undefined;
      upgrades.exit(place);
      events.upgraded("malformed");
      return http(request, status, sessions.size);
    },
    websocket: {
      data: {} as Peer,
      maxPayloadLength: config.maxMessageBytes * READ_LIMIT_FACTOR,
      backpressureLimit: 2 * config.maxBufferedBytes + config.maxMessageBytes, // not reached: `slow` comes first
      closeOnBackpressureLimit: true,
      idleTimeout: 0, // it doesn't end a peer that is being written to; liveness does
      perMessageDeflate: false,
      publishToSelf: false,
      open(ws) {
        sockets++;
        events.upgraded("taken");
        notJoined.add(ws);
        liveness.add(ws);
      },
      message: (ws, data) => refuse(ws, take(ws, data)),
      ping: (ws) => refuse(ws, hear(ws, 0)),
      pong: (ws) => refuse(ws, hear(ws, 0)),
      close(ws, code) {
        sockets--;
        events.closed(ws.data.closedFor, code);
        notJoined.delete(ws);
        liveness.remove(ws);
        upgrades.exit(ws.data.place);
        if (ws.data.probed !== null) probes.withdraw(ws.data.probed, ws);
        leave(ws);
        if (sockets === 0) emptied();
      },
      error(error, ws) {
        failed(error);
        ws.terminate();
      },
    },
  });
  const { port = config.port } = server;
  const sweeping = setInterval(sweep, SWEEP_MS);

  /** Notes that a peer lives, and counts what it sent. Returns the limit that this broke, if any. */
  function hear(ws: Socket, bytes: number): wire.ErrorName | null {
    const peer = ws.data;
    liveness.heard(ws);
    settle(ws);
    if (peer.place === EXEMPT) return null;
    peer.messages++;
    peer.bytes += bytes;
    if (peer.messages > config.quotaMessages || peer.bytes > config.quotaBytes) return "quota";
    const at = now();
    peer.fullAt = bucket.take(peer.fullAt, at, 1);
    return bucket.overdrawnMs(peer.fullAt, at) > 0 ? "rate-limited" : null;
  }

  /** Does what one frame asks for. Returns why not, where it can't be done. */
  function take(ws: Socket, data: string | Buffer): wire.ErrorName | null {
    const bytes = Buffer.byteLength(data);
    const broken = hear(ws, bytes);
    if (broken !== null) return broken;
    if (typeof data !== "string") return "bad-message";
    if (bytes > config.maxMessageBytes) return "too-large";
    const message = wire.parse(data);
    if (message === null) return "bad-message";
    switch (message.type) {
      case "join":
        return join(ws, message);
      case "leave":
        leave(ws);
        ws.close(1000);
        return null;
      case "ping":
        ws.send(wire.PONG);
        return null;
      default:
        return relay(ws, message, data, bytes);
    }
  }

  function relay(ws: Socket, message: wire.RelayedMessage, text: string, bytes: number): wire.ErrorName | null {
    const { session } = ws.data;
    if (session === null) return "not-joined";
    if (message.sessionCode !== session.code) return "wrong-session";
    const other = opposite(session, ws);
    if (other === null) return "no-peer";
    const at = now();
    sessions.touch(session, at);
    events.relayed(message.type, bytes);
    if (message.type === "answer" && !session.isAnswered) {
      session.isAnswered = true;
      events.answered(at - (session.readyAt ?? at));
    }
    // -1: it had to be queued. 0: it was not, though a peer is there; a gap is worse than an end.
    const sent = ws.publishText(session.code, text);
    if (sent === 0 || (sent < 0 && other.getBufferedAmount() > config.maxBufferedBytes)) refuse(other, "slow");
    return null;
  }

  /** Seats a peer, or lets it wait until the holder of its seat has been asked; docs/PROTOCOL.md, "Seats". */
  function join(ws: Socket, message: wire.JoinMessage): wire.ErrorName | null {
    if (ws.data.session !== null || ws.data.probed !== null) return "already-joined";
    const holder = sessions.holder(message.sessionCode, message.isInitiator);
    if (holder === null) return admit(ws, message);
    if (holder.data.isProvedBy(message.token)) return takeOver(ws, holder);
    notJoined.delete(ws);
    ws.data.probed = holder;
    if (!probes.begin(holder, ws, message, now())) return null;
    holder.ping();
    setTimeout(evictGhosts, PROBE_MS);
    return null;
  }

  /** Decides and stores in one turn of the loop, so that no other join comes between. */
  function admit(ws: Socket, { sessionCode, isInitiator }: wire.JoinMessage): wire.ErrorName | null {
    if (status === "draining") return "restarting";
    const session = sessions.join(sessionCode, isInitiator, ws, now());
    if (typeof session === "string") return session;
    seat(ws, session);
    return null;
  }

  /** The peer in the seat of `holder` has come back on `ws`, and has proved it. */
  function takeOver(ws: Socket, holder: Socket): wire.ErrorName | null {
    const { session } = holder.data;
    if (session === null) return "session-expired";
    sessions.replace(session, holder, ws, now());
    holder.data.session = null;
    holder.unsubscribe(session.code);
    seat(ws, session);
    settle(holder);
    refuse(holder, "replaced");
    return null;
  }

  function seat(ws: Socket, session: Session<Socket>): void {
    notJoined.delete(ws);
    ws.data.session = session;
    ws.subscribe(session.code);
    ws.send(wire.joined(ws.data.newToken(), config.sessionTtlMs));
    if (opposite(session, ws) === null) return;
    if (session.readyAt === null) {
      session.readyAt = now();
      events.ready(session.readyAt - session.beganAt);
    }
    server.publish(session.code, wire.READY);
  }

  /** Ends the probe of a holder, however it went: who waited joins as anyone does, and the ladder decides. */
  function settle(holder: Socket): void {
    const probe = probes.end(holder);
    if (probe === null) return;
    for (const ws of probe.newcomers) {
      ws.data.probed = null;
      const refusal = admit(ws, probe.request);
      if (refusal === "session-full" && holder.data.session !== null) holder.data.session.isCrowded = true;
      refuse(ws, refusal);
    }
  }

  function evictGhosts(): void {
    for (const holder of probes.due(now())) {
      leave(holder);
      refuse(holder, "replaced");
    }
  }

  /** Frees the seat of `ws`, if it holds one, and tells the peer opposite. */
  function leave(ws: Socket): void {
    const { session } = ws.data;
    if (session === null) return;
    ws.data.session = null;
    ws.unsubscribe(session.code);
    const other = sessions.leave(session, ws);
    if (other === null) events.ended(outcomeOf(session, false));
    other?.send(wire.PEER_LEFT);
    settle(ws);
    if (status === "draining" && other !== null) refuse(other, "restarting");
  }

  /** Says no, where there is a reason to, and closes where that is final. */
  function refuse(ws: Socket, name: wire.ErrorName | null): void {
    if (name === null || ws.readyState !== WebSocket.OPEN) return;
    const { close } = wire.ERRORS[name];
    events.refused(name);
    ws.send(wire.error(name, retryAfterMs(ws, name)));
    if (name === "bad-message" && ++ws.data.badMessages <= wire.FORGIVEN_BAD_MESSAGES) return;
    if (close === null) return;
    if (ABUSES.includes(name)) upgrades.punish(ws.data.place, now());
    ws.data.closedFor = name;
    ws.close(close, name);
  }

  function retryAfterMs(ws: Socket, name: wire.ErrorName): number | null {
    if (name === "rate-limited") return Math.ceil(bucket.overdrawnMs(ws.data.fullAt, now()));
    return name === "restarting" || name === "at-capacity" ? spread() : null;
  }

  /** Ends what is due, pings whose turn it is, and compares what is counted in more than one place. */
  function sweep(): void {
    const at = now();
    for (const session of sessions.expire(at)) {
      events.ended(outcomeOf(session, true));
      const peers = [session.initiator, session.joiner].filter((ws) => ws !== null);
      for (const ws of peers) ws.data.session = null;
      for (const ws of peers) settle(ws);
      for (const ws of peers) refuse(ws, "session-expired");
    }
    const late: Socket[] = [];
    for (const ws of notJoined) {
      if (at - ws.data.connectedAt < config.joinTimeoutMs) break;
      late.push(ws);
    }
    for (const ws of late) refuse(ws, "join-timeout");
    evictGhosts();
    const { due, silent } = liveness.turn();
    for (const ws of due) ws.ping();
    for (const ws of silent) {
      ws.data.closedFor = "silent";
      ws.terminate();
    }
    events.swept(Math.max(0, at - sweptAt - SWEEP_MS), check());
    sweptAt = at;
  }

  function check(): number {
    const placed = notJoined.size + probes.waiting + sessions.seatsHeld;
    const found =
      Math.abs(sockets - placed) +
      Math.abs(sockets - server.pendingWebSockets) +
      sessions.check(CHECKS_A_SWEEP, (code) => server.subscriberCount(code));
    differences += found;
    if (found > 0) warn("the self-check found a difference between sockets, seats, sessions and topics");
    if (status !== "draining") status = found > 0 ? "degraded" : "ok";
    return found;
  }

  /** What the relay holds at this moment: all 0 when the last peer has gone. */
  function gauges() {
    const { size, seatsHeld } = sessions;
    return { sockets, notJoined: notJoined.size, probing: probes.waiting, sessions: size, seatsHeld, differences };
  }

  /** Lets pairs finish for as long as --drain says and sends everyone else to come back. Resolves when all have gone. */
  async function drain(): Promise<void> {
    status = "draining";
    if (config.reusePort) server.stop(); // whoever shares the port takes what comes now
    const isAlone = ({ data: { session } }: Socket) => session === null || !session.initiator || !session.joiner;
    for (const ws of liveness.all().filter(isAlone)) refuse(ws, "restarting");
    const empty = new Promise<void>((resolve) => (emptied = resolve));
    if (sockets > 0) await Promise.race([empty, Bun.sleep(config.drainMs)]);
    for (const ws of liveness.all()) refuse(ws, "restarting");
    await Promise.race([server.stop(), Bun.sleep(LINGER_MS)]);
    await stop();
  }

  /** Closes the listener and every socket; resolves when both are gone. */
  async function stop(): Promise<void> {
    clearInterval(sweeping);
    await server.stop(true);
  }

  const getStatus = () => status;
  const subscribers = (sessionCode: string) => server.subscriberCount(sessionCode);
  return { address: server.url.origin, port, gauges, getStatus, subscribers, sweep, check, drain, stop };
}
