/**
 * The edge: the one place where sockets, time and rules meet. Owns the server and the sweep. A message takes three steps
 * from peer to peer: parse, check, publish. What is decided is decided elsewhere, by functions that return a value; this
 * file speaks and closes, in the order given: state first, close last. It keeps nothing of a peer beside its `Peer`.
 */
import { type Answer, type Effect, type Effects, type Event, opposite, type Seat, State, step } from "./admission.ts";
import { type Clock, judge, TURN_MS } from "./clock.ts";
import type { Events, Status, Warning } from "./events.ts";
import { AddressTable, type Limits } from "./limits.ts";
import { Peer, type Socket } from "./peer.ts";
import * as wire from "./protocol.ts";
import { HEADERS, spread, upgradePolicy } from "./upgrades.ts";

const CHECK_SWEEPS = 60; // in so many the self-check looks at every session, whatever happens meanwhile
export const READ_LIMIT_FACTOR = 17 / 16; // what is so much over the limit is read, to tell its sender why
const LINGER_MS = 250; // so long the last close frames have to be read, before the connections under them are cut
const ABUSE_TOKENS = 10; // so many new connections an abuse costs its address: coming back does not wash it off
export const LEAST_WAIT_MS = 1_000; // for who was too fast: a loop of tries costs both ends more than the wait
const LONGEST_PONG = 100; // an answer to a probe is free, and needs 15 characters

/** Where a relay listens, and what it keeps to. */
export type Listener = Limits & { readonly host: string; readonly port: number; readonly reusePort: boolean };
export type Relay = ReturnType<typeof startRelay>;

/** Which node has which session, known to several relays. It answers `ask` in a later turn, if at all. */
export interface Directory {
  ask(join: wire.JoinMessage, peer: Peer, answer: (answer: Answer) => void): void;
  withdraw(join: wire.JoinMessage): void; // nobody waits for the answer to a join any more
  giveBack(seat: Seat): void; // a yes to a join came too late, or the seat is free again
  watch(): void; // before anything is done that a peer asks for: what this node may no longer have is given up first
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
  const state = new State(config, directory !== undefined);
  const pingSweeps = Math.ceil(config.pingIntervalMs / TURN_MS);
  let sweeps = 0;
  let isDegraded = false;
  let cutAt = Number.POSITIVE_INFINITY; // when a drain has lasted long enough; it is over sooner if nobody is left
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
        const answer = enter(request, remote, now, status(), state.peers.size, !clock.isLate);
        if (answer instanceof Response) return answer;
        if (server.upgrade(request, { data: new Peer(answer) })) return undefined;
        answer.connections--;
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
        events.closed(peer.closedFor, code);
        peer.account.connections--;
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

  const status = (): Status => (state.isDraining ? "draining" : isDegraded ? "degraded" : "ok");

  /** Does what a message asks for, or says why not. */
  function take(ws: Socket, data: string | Buffer) {
    const { data: peer } = ws;
    const now = clock.now();
    directory?.watch();
    const text = typeof data === "string" ? data : ""; // a binary frame is as bad as an empty one
    const bytes = Buffer.byteLength(data);
    const message = wire.parse(text);
    const isPong = typeof message !== "string" && message.type === "pong" && text.length <= LONGEST_PONG;
    const isAnswer = isPong && peer.answers && peer.newcomers !== null;
    peer.heardAt = now;
    heard(peer, isAnswer || !peer.answers);
    if (isAnswer || !charge(peer, now, bytes)) return;
    if (text !== "" && bytes > config.maxMessageBytes) return refuse(peer, "too-large");
    if (typeof message === "string") {
      const isTooMuch = ++peer.badMessages > wire.FORGIVEN_BAD_MESSAGES;
      if (isTooMuch) peer.account.connects.take(now, ABUSE_TOKENS);
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

  /** A ping or a pong of the WebSocket protocol: a browser sends it by itself, though no page may be there. */
  function control(peer: Peer, isAnswer: boolean): void {
    const now = clock.now();
    if (!peer.answers) peer.heardAt = now;
    heard(peer, !peer.answers);
    if (!isAnswer) charge(peer, now, 0);
    else peer.pongsDue--; // who answers the relay pays nothing
  }

  /** Something came from `peer`; `isProof`: as an answer to a probe it would do. */
  function heard(peer: Peer, isProof: boolean): void {
    peer.heardTurn = sweeps;
    if (isProof && peer.newcomers !== null) apply({ type: "heard", peer });
  }

  /** Counts what a peer sent. Returns whether that is within its limits; where not, it is told. */
  function charge(peer: Peer, now: number, bytes: number): boolean {
    const { connects, limits } = peer.account;
    peer.messages++;
    peer.bytes += bytes;
    const isTooMuch = peer.messages > limits.quotaMessages || peer.bytes > limits.quotaBytes;
    const waitMs = clock.isLate ? 0 : peer.tokens.waitMs(now); // how fast it came can't be told where it is late
    if (!clock.isLate) peer.tokens.take(now);
    if (!isTooMuch && waitMs === 0) return true;
    connects.take(now, ABUSE_TOKENS);
    refuse(peer, isTooMuch ? "quota" : "rate-limited", isTooMuch ? null : waitMs);
    return false;
  }

  function relay(ws: Socket, { type, sessionCode, pairing }: wire.RelayedMessage, text: string, bytes: number) {
    const { data: peer } = ws;
    const { session, home } = peer;
    const other = opposite(peer);
    if (home !== null) return void home.text(text, ws, config.maxBufferedBytes);
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

  /** What is done for each effect of admission. */
  const perform: { [Do in keyof Effects]: (about: Effects[Do]) => void } = {
    seat({ peer, session }) {
      peer.socket?.subscribe(session.code);
      peer.socket?.sendText(wire.joined(peer.token, config.sessionTtlMs, opposite(peer) !== null));
    },
    unseat: ({ peer, session }) => peer.socket?.unsubscribe(session.code),
    ready({ session, waitedMs }) {
      if (waitedMs !== null) events.ready(waitedMs);
      sayReady(session.initiator);
      sayReady(session.joiner);
    },
    left: ({ peer }) => peer.left(),
    heard: ({ peer }) => peer.heard(),
    probe: ({ peer }) => peer.probe(),
    refuse: ({ peer, name, retryMs }) => refuse(peer, name, retryMs),
    ask: ({ peer, join }) => directory?.ask(join, peer, (answer) => apply({ type: "answer", peer, join, answer })),
    withdraw: ({ join }) => directory?.withdraw(join),
    "give back": ({ seat }) => directory?.giveBack(seat),
    ended: ({ outcome }) => events.ended(outcome),
  };

  /** Takes one step of admission, and does what it says. */
  function apply(event: Event): void {
    for (const effect of step(state, event, clock.now())) (perform[effect.do] as (about: Effect) => void)(effect);
  }

  function sayReady(peer: Peer | null): void {
    if (!peer?.session) return;
    const pairing = peer.instance === null ? null : peer.session.pairing;
    peer.socket?.sendText(wire.ready(pairing, opposite(peer)?.instance ?? null, moreInReady()));
  }

  /** Says no, and closes where that is final. `knownMs`: how long to wait before another try, where the reason tells. */
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

  /** Compares what is counted twice: of the sessions all, or one `part` of CHECK_SWEEPS. Returns how many differ: 0. */
  function check(part: number | null = null): number {
    const { sockets, seatsHeld, seated } = gauges();
    let found = Math.abs(sockets - server.pendingWebSockets) + Math.abs(seatsHeld - seated);
    for (const { code, beganAt, initiator, joiner } of state.sessions.values()) {
      if (part !== null && Math.floor(beganAt) % CHECK_SWEEPS !== part) continue;
      const held = [initiator, joiner].filter((peer) => peer !== null);
      if (held.length === 0 || held.filter(({ isHere }) => isHere).length !== server.subscriberCount(code)) found++;
    }
    if (found > 0) warn("books-differ");
    events.differed(found);
    isDegraded = found > 0;
    return found;
  }

  /** What the relay holds at this moment: all 0 when the last peer has gone. Who is away is a socket and no more. */
  function gauges() {
    const { sessions, peers, seats: seatsHeld } = state;
    const is = { new: 0, pending: 0, away: 0, probing: 0, seated: 0, gone: 0, here: 0 };
    for (const { phase, isHere } of peers) {
      is[phase]++;
      is.here += Number(isHere);
    }
    const { here: sockets, probing, seated } = is;
    return { sockets, notJoined: is.new + is.pending, probing, seated, sessions: sessions.size, seatsHeld };
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
    else if (peer.socket) take(peer.socket, text);
  }

  const pass = (peer: Peer, text: string) => peer.passed(text, config.maxBufferedBytes);
  const publish = (sessionCode: string, text: string) => server.publish(sessionCode, text);
  const now = () => clock.now();
  const forNodes = { apply, refuse, guest, pass, publish, now, guestAccount: addresses.exempt };
  const gather = () => apply({ type: "gather" });
  const subscribers = (sessionCode: string) => server.subscriberCount(sessionCode);
  const doings = { sweep, check, gather, drain, stop };
  return { address: server.url.origin, port, state, gauges, status, subscribers, forNodes, ...doings };
}
