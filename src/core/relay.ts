/**
 * The edge: the one place where sockets, time and rules meet. Owns the server and the sweep. A message takes three steps
 * from peer to peer: parse, check, publish. What is decided is decided elsewhere, by functions that return a value; this
 * file speaks and closes, in the order given: state first, close last. It keeps nothing of a peer beside its `Peer`.
 */
import { type Answer, type Effect, type Event, opposite, type Seat, State, step } from "./admission.ts";
import type { Clock } from "./clock.ts";
import type { Events, Status } from "./events.ts";
import { AddressTable, Bucket, EXEMPT, type Limits } from "./limits.ts";
import { judge, TURN_MS } from "./liveness.ts";
import { Peer, type Socket } from "./peer.ts";
import * as wire from "./protocol.ts";
import { HEADERS, spread, UpgradePolicy } from "./upgrades.ts";

export type Relay = ReturnType<typeof startRelay>;

/** The self-check has looked at every session after so many sweeps, whatever happens meanwhile. */
const CHECK_SWEEPS = 60;
/** A message up to this multiple of the limit is read, to tell its sender why; so much may be unfinished, too. */
export const READ_LIMIT_FACTOR = 17 / 16;
/** So long the last close frames have to be read, before the connections under them are cut. */
const LINGER_MS = 250;
/** What an abuse costs of an address's tokens for new connections, so that coming back does not wash it off. */
const ABUSE_TOKENS = 10;

/** Who was too fast is asked to wait at least so long: a loop of tries costs both ends more than the wait. */
export const LEAST_WAIT_MS = 1_000;

/** A pong is looked for in messages up to so many characters; it has 15. */
const LONGEST_PONG = 100;

/** Where a relay listens. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  readonly reusePort: boolean;
}

/** Which node has which session, known to several relays. It answers `ask` in a later turn, if at all. */
export interface Directory {
  ask(join: wire.JoinMessage, peer: Peer, answer: (answer: Answer) => void): void;
  /** Nobody waits for the answer to a join any more. */
  withdraw(join: wire.JoinMessage): void;
  /** A yes to a join came too late, or the seat is free again. */
  giveBack(seat: Seat): void;
  /** Is called before anything is done that a peer asks for: what this node may no longer have is given up first. */
  watch(): void;
}

/** What a relay is given of the world around it. */
export interface Dependencies {
  readonly events: Events;
  readonly clock: Clock;
  /** Answers a request that asks for no WebSocket. `sessions`: those with at least one peer now. */
  http(request: Request, status: Status, sessions: number): Response;
  /** Whether memory is too short for anybody new. */
  isShort?(): boolean;
  /** What else the `ready` of one peer holds: members as JSON, each with a comma before it. */
  moreInReady?(): string;
  /** Takes a line for the operator, which holds nothing of a peer. */
  warn(line: string): void;
  /** Takes an error that nobody expected. What it quotes may be what a peer sent. */
  failed(error: unknown): void;
  /** Certificate chain and key as PEM, where the relay speaks TLS itself. */
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly directory?: Directory;
}

/** Starts a relay. Throws where the address can't be listened on, as Bun.serve does. */
export function startRelay(config: Listener & Limits, dependencies: Dependencies) {
  const { events, clock, http, isShort = () => false, warn, failed, tls } = dependencies;
  const { directory, moreInReady = () => "" } = dependencies;
  const addresses = new AddressTable(config, crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
  const state = new State(config, addresses, directory !== undefined);
  const upgrades = new UpgradePolicy(config, addresses, events, warn, isShort);
  const pingSweeps = Math.ceil(config.pingIntervalMs / TURN_MS);
  const bucket = new Bucket(config.messageRate, config.messageBurst);
  let isDegraded = false;
  let sweeps = 0;
  /** When a drain has lasted long enough; it is over by then, or as soon as nobody is left. */
  let cutAt = Number.POSITIVE_INFINITY;
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
      return new Response("Internal error\n", { status: 500, headers: HEADERS });
    },
    fetch(request, server) {
      if (!/^websocket$/i.test(request.headers.get("upgrade") ?? ""))
        return http(request, status(), state.sessions.size);
      const now = clock.now();
      const remote = server.requestIP(request)?.address ?? "";
      const address = upgrades.enter(request, remote, now, status(), state.peers.size, !clock.isLate);
      if (address instanceof Response) return address;
      if (server.upgrade(request, { data: new Peer(address) })) return undefined;
      addresses.exit(address);
      events.upgraded("malformed");
      return http(request, status(), state.sessions.size);
    },
    websocket: {
      data: {} as Peer,
      maxPayloadLength: Math.floor(config.maxMessageBytes * READ_LIMIT_FACTOR),
      backpressureLimit: 2 * config.maxBufferedBytes + config.maxMessageBytes, // not reached: `slow` comes first
      closeOnBackpressureLimit: true,
      idleTimeout: 0, // it doesn't end a peer that is being written to; liveness does
      perMessageDeflate: false,
      publishToSelf: false,
      open(ws) {
        ws.data.socket = ws;
        events.upgraded("taken");
        ws.data.slot = Math.floor(Math.random() * pingSweeps); // a crowd that came at once is not pinged at once
        ws.data.heardTurn = sweeps;
        apply({ type: "connect", peer: ws.data });
      },
      message: (ws, data) => refuse(ws.data, take(ws, data)),
      ping: ({ data: peer }) => refuse(peer, control(peer, false)),
      pong: ({ data: peer }) => refuse(peer, control(peer, peer.pongsDue > 0)),
      close({ data: peer }, code) {
        events.closed(peer.closedFor, code);
        addresses.exit(peer.address);
        part(peer);
      },
      error(error, ws) {
        failed(error);
        ws.terminate();
      },
    },
  });
  const { port = config.port } = server;
  const stopSweeping = clock.every(TURN_MS, sweep);

  function status(): Status {
    if (state.isDraining) return "draining";
    return isDegraded ? "degraded" : "ok";
  }

  /** A frame of the WebSocket protocol: a ping, or a pong. A browser answers pings though no page may be there. */
  function control(peer: Peer, isAnswer: boolean): wire.ErrorName | null {
    const now = clock.now();
    peer.heardTurn = sweeps;
    if (!peer.answers) heard(peer, now);
    if (!isAnswer) return charge(peer, now, 0);
    peer.pongsDue--; // who answers the relay pays nothing
    return null;
  }

  function heard(peer: Peer, now: number): void {
    peer.heardTurn = sweeps;
    peer.heardAt = now;
    if (peer.newcomers !== null && !peer.answers) apply({ type: "heard", peer });
  }

  /** Counts what a peer sent. Returns the limit that this broke, if any. */
  function charge(peer: Peer, now: number, bytes: number): wire.ErrorName | null {
    if (peer.address === EXEMPT) return null;
    peer.messages++;
    peer.bytes += bytes;
    if (peer.messages > config.quotaMessages || peer.bytes > config.quotaBytes) return abuse(peer, "quota", now);
    if (clock.isLate) return null; // how fast it came can't be told
    peer.fullAt = bucket.take(peer.fullAt, now, 1);
    return bucket.overdrawnMs(peer.fullAt, now) > 0 ? abuse(peer, "rate-limited", now) : null;
  }

  function abuse(peer: Peer, name: wire.ErrorName, now: number): wire.ErrorName {
    addresses.charge(peer.address, now, ABUSE_TOKENS);
    return name;
  }

  /** Whether this is the answer of a page to `probe`, and so not of its browser alone. It is free, as any answer. */
  function answersProbe(peer: Peer, data: string | Buffer): boolean {
    if (!peer.answers || peer.newcomers === null || typeof data !== "string" || data.length > LONGEST_PONG)
      return false;
    const message = wire.parse(data);
    if (typeof message === "string" || message.type !== "pong") return false;
    apply({ type: "heard", peer });
    return true;
  }

  function bad(peer: Peer, field: wire.Field, now: number): null {
    if (++peer.badMessages > wire.FORGIVEN_BAD_MESSAGES) abuse(peer, "bad-message", now);
    refuse(peer, "bad-message", null, field);
    return null;
  }

  /** Does what one frame asks for. Returns why not, where it can't be done. */
  function take(ws: Socket, data: string | Buffer): wire.ErrorName | null {
    const peer = ws.data;
    directory?.watch();
    const now = clock.now();
    const bytes = Buffer.byteLength(data);
    heard(peer, now);
    if (answersProbe(peer, data)) return null;
    const broken = charge(peer, now, bytes);
    if (broken !== null) return broken;
    if (typeof data !== "string") return bad(peer, "json", now);
    if (bytes > config.maxMessageBytes) return "too-large";
    const message = wire.parse(data);
    if (typeof message === "string") return bad(peer, message, now);
    switch (message.type) {
      case "join":
        apply({ type: "join", peer, join: message, token: crypto.getRandomValues(new Uint8Array(16)).toHex() });
        return null;
      case "leave":
        apply({ type: "leave", peer });
        ws.close(1000);
        return null;
      case "ping":
        ws.sendText(wire.PONG);
        return null;
      case "pong":
        return null; // nobody asked
      default:
        return relay(ws, message, data, bytes);
    }
  }

  function relay(ws: Socket, { type, sessionCode, pairing }: wire.RelayedMessage, text: string, bytes: number) {
    const { session, home } = ws.data;
    if (home !== null) return home.text(text, ws, config.maxBufferedBytes) ? null : "slow";
    if (session === null) return "not-joined";
    if (sessionCode !== session.code) return "wrong-session";
    const other = opposite(ws.data);
    if (other === null) return "no-peer";
    if (pairing !== null && pairing !== session.pairing) return "stale";
    session.activeAt = ws.data.heardAt;
    events.relayed(type, bytes);
    if (type === "answer" && !session.isAnswered) {
      session.isAnswered = true;
      events.answered(session.activeAt - (session.readyAt ?? session.activeAt));
    }
    if (!other.text(text, ws, config.maxBufferedBytes)) refuse(other, "slow");
    return null;
  }

  /** Takes one step of admission, and does what it says. */
  function apply(event: Event): void {
    for (const effect of step(state, event, clock.now())) perform(effect);
  }

  function perform(effect: Effect): void {
    switch (effect.do) {
      case "seat":
        effect.peer.socket?.subscribe(effect.session.code);
        effect.peer.socket?.sendText(
          wire.joined(effect.peer.token, config.sessionTtlMs, opposite(effect.peer) !== null),
        );
        break;
      case "unseat":
        effect.peer.socket?.unsubscribe(effect.session.code);
        break;
      case "ready":
        if (effect.waitedMs !== null) events.ready(effect.waitedMs);
        sayReady(effect.session.initiator);
        sayReady(effect.session.joiner);
        break;
      case "left":
        effect.peer.left();
        break;
      case "heard":
        effect.peer.heard();
        break;
      case "probe":
        effect.peer.probe();
        break;
      case "refuse":
        refuse(effect.peer, effect.name, effect.retryMs);
        break;
      case "ask":
        directory?.ask(effect.join, effect.peer, (answer) => apply({ ...effect, type: "answer", answer }));
        break;
      case "withdraw":
        directory?.withdraw(effect.join);
        break;
      case "give back":
        directory?.giveBack(effect.seat);
        break;
      case "ended":
        events.ended(effect.outcome);
    }
  }

  function sayReady(peer: Peer | null): void {
    if (!peer?.session) return;
    const pairing = peer.instance === null ? null : peer.session.pairing;
    peer.socket?.sendText(wire.ready(pairing, opposite(peer)?.instance ?? null, moreInReady()));
  }

  /** Says no, where there is a reason to, and closes where that is final. */
  function refuse(
    peer: Peer,
    name: wire.ErrorName | null,
    retryMs: number | null = null,
    field: wire.Field | null = null,
  ): void {
    const { socket } = peer;
    if (name === null || socket?.readyState !== WebSocket.OPEN) return;
    const { close } = wire.ERRORS[name];
    events.refused(name);
    socket.sendText(wire.error(name, retryAfterMs(peer, name, retryMs), field));
    if (close === null || (name === "bad-message" && peer.badMessages <= wire.FORGIVEN_BAD_MESSAGES)) return;
    peer.closedFor = name;
    socket.close(close, name);
  }

  /** @param known what admission knows of it already */
  function retryAfterMs(peer: Peer, name: wire.ErrorName, known: number | null): number | null {
    if (name === "rate-limited")
      return Math.max(LEAST_WAIT_MS, Math.ceil(known ?? bucket.overdrawnMs(peer.fullAt, clock.now())));
    return name === "restarting" || name === "at-capacity" ? spread() : known;
  }

  /** Ends what is due, pings whose turn it is, and looks at the books. */
  function sweep(lateMs = 0): void {
    apply({ type: "tick" });
    const { due, silent } = judge(state.peers, ++sweeps, pingSweeps);
    for (const peer of due) peer.ping();
    for (const peer of silent) {
      peer.closedFor = "silent";
      peer.socket?.terminate();
    }
    events.swept(lateMs);
    check(sweeps % CHECK_SWEEPS);
    if (clock.now() >= cutAt) emptied();
  }

  /**
   * Compares what is counted in more than one place.
   * @param part 0 to CHECK_SWEEPS - 1: of the sessions only those, so that in as many sweeps each is looked at
   * @returns how many differences there are: 0, unless there is a bug
   */
  function check(part: number | null = null): number {
    const { sockets, seatsHeld, seated } = gauges();
    let found = Math.abs(sockets - server.pendingWebSockets) + Math.abs(seatsHeld - seated);
    for (const { code, beganAt, initiator, joiner } of state.sessions.values()) {
      if (part !== null && Math.floor(beganAt) % CHECK_SWEEPS !== part) continue;
      const held = [initiator, joiner].filter((peer) => peer !== null);
      if (held.length === 0 || held.filter(({ isHere }) => isHere).length !== server.subscriberCount(code)) found++;
    }
    if (found > 0) warn("the self-check found a difference between sockets, seats, sessions and topics");
    events.differed(found);
    isDegraded = found > 0;
    return found;
  }

  /** What the relay holds at this moment: all 0 when the last peer has gone. Who is away is a socket and no more. */
  function gauges() {
    const is = { new: 0, pending: 0, away: 0, probing: 0, seated: 0, gone: 0, here: 0 };
    for (const { phase, isHere } of state.peers) {
      is[phase]++;
      is.here += Number(isHere);
    }
    return {
      ...{ sockets: is.here, notJoined: is.new + is.pending, probing: is.probing, seated: is.seated },
      ...{ sessions: state.sessions.size, seatsHeld: state.seats },
    };
  }

  /** Lets pairs finish for as long as --drain says and sends everyone else to come back. Resolves when all have gone. */
  async function drain(): Promise<void> {
    if (config.reusePort) server.stop(); // whoever shares the port takes what comes now
    apply({ type: "drain" });
    cutAt = clock.now() + config.drainMs;
    if (state.peers.size > 0 && config.drainMs > 0) await new Promise<void>((resolve) => (emptied = resolve));
    for (const peer of [...state.peers]) refuse(peer, "restarting");
    await Promise.race([server.stop(), Bun.sleep(LINGER_MS)]);
    await stop();
  }

  /** Closes the listener and every socket; resolves when both are gone. */
  async function stop(): Promise<void> {
    stopSweeping();
    await server.stop(true);
  }

  /** A socket is gone. */
  function part(peer: Peer): void {
    peer.socket = null;
    apply({ type: "gone", peer });
    if (state.peers.size === 0) emptied();
  }

  /** Takes what a peer of another node says, or that it is gone (null), as if it came from a socket here. */
  function guest(peer: Peer, text: string | null): void {
    if (text === null) part(peer);
    else if (peer.socket) refuse(peer, take(peer.socket, text));
  }

  const subscribers = (sessionCode: string) => server.subscriberCount(sessionCode);
  const publish = (sessionCode: string, text: string) => server.publish(sessionCode, text);
  const pass = (peer: Peer, text: string) => peer.passed(text, config.maxBufferedBytes);
  const forNodes = { apply, refuse, guest, pass, publish, now: () => clock.now(), addresses };
  return { address: server.url.origin, port, state, forNodes, gauges, status, subscribers, sweep, check, drain, stop };
}
