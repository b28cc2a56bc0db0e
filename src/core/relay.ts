/**
 * The edge: the one place where sockets, time and rules meet. Owns the server and the sweep. A message takes three steps
 * from peer to peer: parse, check, publish. What is decided is decided elsewhere, by functions that return a value; this
 * file speaks and closes, in the order given: state first, close last. It keeps nothing of a peer beside its `Peer`.
 */
import { type Effect, type Event, opposite, type Seat, State, step } from "./admission.ts";
import { type Clock, judge, TURN_MS } from "./clock.ts";
import type { Events, Status, Warning } from "./events.ts";
import { AddressTable, Bucket, EXEMPT, type Limits } from "./limits.ts";
import { Peer, type Socket } from "./peer.ts";
import * as wire from "./protocol.ts";
import { HEADERS, spread, upgradePolicy } from "./upgrades.ts";

/** The self-check has looked at every session after so many sweeps, whatever happens meanwhile. */
const CHECK_SWEEPS = 60;
/** A message up to this multiple of the limit is read, to tell its sender why; so much may be unfinished, too. */
export const READ_LIMIT_FACTOR = 17 / 16;
/** So long the last close frames have to be read, before the connections under them are cut. */
const LINGER_MS = 250;
/** What an abuse costs of an address's tokens for new connections. */
const ABUSE_TOKENS = 10;
/** Who was too fast is asked to wait at least so long: a loop of tries costs both ends more than the wait. */
export const LEAST_WAIT_MS = 1_000;
/** The answer to a probe is free, and so has at most so many characters. It needs 15. */
const LONGEST_PONG = 100;

/** Where a relay listens, and what it keeps to. */
export type Listener = Limits & { readonly host: string; readonly port: number; readonly reusePort: boolean };
export type Relay = ReturnType<typeof startRelay>;

/** Who sits where, known to several relays. It answers `ask` by `answer`, if at all, in its own time. */
export interface Directory {
  ask(join: wire.JoinMessage, answer: (refusal: wire.ErrorName | null) => void): void;
  withdraw(join: wire.JoinMessage): void; // nobody waits for the answer to a join any more
  giveBack(seat: Seat): void; // a yes to a join came too late, or the seat is free again
}

/** What a relay is given of the world around it. */
export interface Dependencies {
  readonly events: Events;
  readonly clock: Clock;
  /** Answers a request that asks for no WebSocket. `sessions`: those with at least one peer now. */
  http(request: Request, status: Status, sessions: number): Response;
  isShort?(): boolean; // whether memory is too short for anybody new
  moreInReady?(): string; // what else the `ready` of one peer holds: members as JSON, each with a comma before it
  warn(warning: Warning): void;
  failed(error: unknown): void; // an error that nobody expected. What it quotes may be what a peer sent
  readonly tls?: { readonly cert: string; readonly key: string }; // as PEM, where the relay speaks TLS itself
  readonly directory?: Directory;
}

/** Starts a relay. Throws where the address can't be listened on, as Bun.serve does. */
export function startRelay(config: Listener, dependencies: Dependencies) {
  const { events, clock, http, warn, failed, tls, directory } = dependencies;
  const { isShort = () => false, moreInReady = () => "" } = dependencies;
  const addresses = new AddressTable(config, crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
  const enter = upgradePolicy(config, addresses, events, warn, isShort);
  const state = new State(config, addresses, directory !== undefined);
  const messages = new Bucket(config.messageRate, config.messageBurst);
  const pingSweeps = Math.ceil(config.pingIntervalMs / TURN_MS);
  let sweeps = 0;
  let isDegraded = false;
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
      if (/^websocket$/i.test(request.headers.get("upgrade") ?? "")) {
        const now = clock.now();
        const remote = server.requestIP(request)?.address ?? "";
        const address = enter(request, remote, now, status(), state.peers.size, !clock.isLate);
        if (address instanceof Response) return address;
        if (server.upgrade(request, { data: new Peer(address) })) return undefined;
        addresses.connections.add(address, -1);
        events.upgraded("malformed");
      }
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
        ws.data.slot = Math.floor(Math.random() * pingSweeps); // a crowd that came at once is not pinged at once
        ws.data.heardTurn = sweeps;
        events.upgraded("taken");
        apply({ type: "connect", peer: ws.data });
      },
      message: (ws, data) => take(ws, data),
      ping: ({ data: peer }) => control(peer, false),
      pong: ({ data: peer }) => control(peer, peer.pongsDue > 0),
      close({ data: peer }, code) {
        peer.socket = null;
        events.closed(peer.closedFor, code);
        addresses.connections.add(peer.address, -1);
        apply({ type: "gone", peer });
        if (state.peers.size === 0) emptied();
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

  /** Does what a message asks for, or says why not. */
  function take(ws: Socket, data: string | Buffer) {
    const { data: peer } = ws;
    const now = clock.now();
    const text = typeof data === "string" ? data : ""; // which is no message either
    const bytes = Buffer.byteLength(data);
    const message = wire.parse(text);
    const isPong = typeof message !== "string" && message.type === "pong" && text.length <= LONGEST_PONG;
    const isAnswer = isPong && peer.answers && peer.newcomers !== null;
    peer.heardAt = now;
    heard(peer, isAnswer || !peer.answers);
    if (isAnswer || !charge(peer, now, bytes)) return;
    if (text !== "" && bytes > config.maxMessageBytes) return refuse(peer, "too-large");
    if (typeof message === "string") {
      if (++peer.badMessages > wire.FORGIVEN_BAD_MESSAGES) fine(peer, now);
      return refuse(peer, "bad-message", null, message);
    }
    switch (message.type) {
      case "join":
        return apply({ type: "join", peer, join: message, token: crypto.getRandomValues(new Uint8Array(16)).toHex() });
      case "leave":
        apply({ type: "leave", peer });
        return ws.close(1000);
      case "ping":
        ws.sendText(wire.PONG);
        return;
      case "pong":
        return; // nobody asked
      default:
        return relay(ws, message, text, bytes);
    }
  }

  /** A ping or a pong of the WebSocket protocol: a browser answers by itself, though no page may be there. */
  function control(peer: Peer, isAnswer: boolean): void {
    const now = clock.now();
    if (!peer.answers) peer.heardAt = now;
    heard(peer, !peer.answers);
    if (isAnswer)
      peer.pongsDue--; // who answers the relay pays nothing
    else charge(peer, now, 0);
  }

  /** @param isProof whether this answers a probe */
  function heard(peer: Peer, isProof: boolean): void {
    peer.heardTurn = sweeps;
    if (isProof && peer.newcomers !== null) apply({ type: "heard", peer });
  }

  /** Counts what a peer sent. Returns whether that is within its limits; where not, it is told. */
  function charge(peer: Peer, now: number, bytes: number): boolean {
    if (peer.address === EXEMPT) return true;
    peer.messages++;
    peer.bytes += bytes;
    if (!clock.isLate) peer.fullAt = messages.take(peer.fullAt, now, 1); // else how fast it came can't be told
    const isTooMuch = peer.messages > config.quotaMessages || peer.bytes > config.quotaBytes;
    const waitMs = messages.overdrawnMs(peer.fullAt, now);
    if (!isTooMuch && waitMs <= 0) return true;
    fine(peer, now);
    refuse(peer, isTooMuch ? "quota" : "rate-limited", isTooMuch ? null : waitMs);
    return false;
  }

  /** An abuse is paid for by the address, so that coming back does not wash it off. */
  function fine(peer: Peer, now: number): void {
    addresses.connects.charge(peer.address, now, ABUSE_TOKENS);
  }

  function relay(ws: Socket, { type, sessionCode, pairing }: wire.RelayedMessage, text: string, bytes: number) {
    const { data: peer } = ws;
    const { session } = peer;
    const other = opposite(peer);
    if (session === null) return refuse(peer, "not-joined");
    if (sessionCode !== session.code) return refuse(peer, "wrong-session");
    if (other === null) return refuse(peer, "no-peer");
    if (pairing !== null && pairing !== session.pairing) return refuse(peer, "stale");
    session.activeAt = peer.heardAt;
    events.relayed(type, bytes);
    if (type === "answer" && !session.isAnswered) {
      session.isAnswered = true;
      events.answered(session.activeAt - (session.readyAt ?? session.activeAt));
    }
    if (!other.text(text, ws, config.maxBufferedBytes)) refuse(other, "slow");
  }

  /** Takes one step of admission, and does what it says. */
  function apply(event: Event): void {
    for (const effect of step(state, event, clock.now())) perform(effect);
  }

  function perform(effect: Effect) {
    switch (effect.do) {
      case "seat":
        effect.peer.socket?.subscribe(effect.session.code);
        return say(effect.peer, wire.joined(effect.peer.token, config.sessionTtlMs, opposite(effect.peer) !== null));
      case "unseat":
        return effect.peer.socket?.unsubscribe(effect.session.code);
      case "ready":
        if (effect.waitedMs !== null) events.ready(effect.waitedMs);
        return [effect.session.initiator, effect.session.joiner].forEach(sayReady);
      case "left":
        return effect.peer.left();
      case "probe":
        return effect.peer.probe();
      case "refuse":
        return refuse(effect.peer, effect.name, effect.retryMs);
      case "ask":
        return directory?.ask(effect.join, (refusal) => apply({ ...effect, type: "answer", refusal }));
      case "withdraw":
        return directory?.withdraw(effect.join);
      case "give back":
        return directory?.giveBack(effect.seat);
      case "ended":
        return events.ended(effect.outcome);
    }
  }

  function say(peer: Peer, text: string): void {
    peer.socket?.sendText(text);
  }

  function sayReady(peer: Peer | null): void {
    if (!peer?.session) return;
    const pairing = peer.instance === null ? null : peer.session.pairing;
    say(peer, wire.ready(pairing, opposite(peer)?.instance ?? null, moreInReady()));
  }

  /**
   * Says no, and closes where that is final.
   * @param knownMs how long to wait before another try, where the reason tells; for some refusals it does not
   */
  function refuse(peer: Peer, name: wire.ErrorName, knownMs: number | null = null, field: wire.Field | null = null) {
    const { socket } = peer;
    if (socket?.readyState !== WebSocket.OPEN) return;
    const isSpread = name === "restarting" || name === "at-capacity";
    const leastMs = name === "rate-limited" ? Math.max(LEAST_WAIT_MS, Math.ceil(knownMs ?? 0)) : knownMs;
    events.refused(name);
    socket.sendText(wire.error(name, isSpread ? spread() : leastMs, field));
    const { close } = wire.ERRORS[name];
    if (close === null || (name === "bad-message" && peer.badMessages <= wire.FORGIVEN_BAD_MESSAGES)) return;
    peer.closedFor = name;
    socket.close(close, name);
  }

  /** Ends what is due, pings whose turn it is, and looks at the books. */
  function sweep(lateMs = 0): void {
    sweeps++;
    apply({ type: "tick" });
    for (const peer of state.peers) {
      const verdict = judge(peer, sweeps, pingSweeps);
      if (verdict === "due") peer.ping();
      if (verdict !== "silent") continue;
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
      const held = Number(initiator !== null) + Number(joiner !== null);
      if (held === 0 || held !== server.subscriberCount(code)) found++;
    }
    if (found > 0) warn("books-differ");
    events.differed(found);
    isDegraded = found > 0;
    return found;
  }

  /** What the relay holds at this moment: all 0 when the last peer has gone. */
  function gauges() {
    const { sessions, peers, seats: seatsHeld } = state;
    const phases = { new: 0, pending: 0, probing: 0, seated: 0, gone: 0 };
    for (const { phase } of peers) phases[phase]++;
    const { new: joining, pending, probing, seated } = phases;
    return { sockets: peers.size, notJoined: joining + pending, probing, seated, sessions: sessions.size, seatsHeld };
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

  const subscribers = (sessionCode: string) => server.subscriberCount(sessionCode);
  return { address: server.url.origin, port, state, gauges, status, subscribers, sweep, check, drain, stop };
}
