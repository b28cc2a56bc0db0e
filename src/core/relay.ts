/**
 * The edge: the one place where sockets, time and rules meet. Owns the server and the sweep. A message takes three steps:
 * parse, check, publish. What is decided is decided elsewhere, by functions that return a value; this file speaks and
 * closes, in the order given: state first, close last. It keeps nothing of a peer beside its `Peer`.
 */
import { type Answer, type Effect, type Event, newState, opposite, type Seat, step } from "./admission.ts";
import type { Events, Refusal } from "./events.ts";
import { Account, type Limits, newAddressTable } from "./limits.ts";
import { type Clock, judge, TURN_MS } from "./liveness.ts";
import { Peer, type Socket } from "./peer.ts";
import * as wire from "./protocol.ts";
import { spread, upgrade } from "./upgrades.ts";

export const READ_LIMIT_FACTOR = 17 / 16; // what is so much over the limit is read, to tell its sender why
const LINGER_MS = 250; // so long the last close frames have to be read, before the connections under them are cut
const ABUSE_TOKENS = 10; // so many new connections an abuse costs its address: coming back does not wash it off
export const LEAST_WAIT_MS = 1_000; // for who was too fast: a loop of tries costs both ends more than the wait
const LONGEST_PONG = 100; // an answer to a probe is free, and needs 15 characters

type Where = { readonly host: string; readonly port: number; readonly reusePort: boolean };
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
  http(request: Request): Response; // answers a request that asks for no WebSocket
  refusal(why: Refusal | "error", waitMs: number | null): Response; // answers one that is refused, or broke something
  isShort?(): boolean; // whether memory is too short for anybody new
  moreInReady?(): string; // what else the `ready` of one peer holds: members as JSON, each with a comma before it
  failed(error: unknown): void; // an error that nobody expected. What it quotes may be what a peer sent
  readonly tls?: { readonly cert: string; readonly key: string }; // as PEM, where the relay speaks TLS itself
  readonly directory?: Directory;
}

const newToken = () => crypto.getRandomValues(new Uint8Array(16)).toHex();

/** Starts a relay. Throws where the address can't be listened on, as Bun.serve does. */
export function startRelay(config: Limits & Where, dependencies: Dependencies) {
  const { events, clock, failed, directory, isShort = () => false, moreInReady = () => "" } = dependencies;
  const addresses = newAddressTable(config, crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
  const state = newState(config, directory !== undefined);
  const pingTurns = Math.ceil(config.pingIntervalMs / TURN_MS);
  let turns = 0;
  let cutAt = Number.POSITIVE_INFINITY; // when a drain has lasted long enough; it is over sooner if nobody is left
  let emptied = () => {};

  const server = Bun.serve({
    hostname: config.host,
    port: config.port,
    ...(dependencies.tls && { tls: dependencies.tls }),
    development: false,
    reusePort: config.reusePort, // always said, because `development: false` alone turns it on
    maxRequestBodySize: 1_024, // no request has a body
    error(error) {
      failed(error);
      return dependencies.refusal("error", null);
    },
    fetch(request, server) {
      if (!/^websocket$/i.test(request.headers.get("upgrade") ?? "")) return dependencies.http(request);
      const remote = server.requestIP(request)?.address ?? "";
      const entry = upgrade(request, remote, state, addresses, events, clock.now(), isShort(), !clock.isLate);
      if (!(entry instanceof Account)) {
        events.upgraded(entry.refusal);
        return dependencies.refusal(entry.refusal, entry.waitMs);
      }
      if (server.upgrade(request, { data: new Peer(entry) })) return undefined;
      entry.connections--;
      events.upgraded("malformed");
      return dependencies.http(request);
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
        ws.data.slot = Math.floor(Math.random() * pingTurns); // a crowd that came at once is not pinged at once
        ws.data.heardTurn = turns;
        events.upgraded("taken");
        apply({ type: "connect", peer: ws.data });
      },
      message: take,
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
  const stopSweeping = clock.every(TURN_MS, sweep);

  /** Does what a message asks for, or says why not. */
  function take(ws: Socket, data: string | Buffer) {
    const { data: peer } = ws;
    const now = clock.now();
    directory?.watch();
    const text = typeof data === "string" ? data : ""; // a binary frame is as bad as an empty one
    const bytes = Buffer.byteLength(data);
    const message = (peer.session && wire.readPlain(text, peer.session.code)) ?? wire.parse(text);
    const isPong = typeof message !== "string" && message.type === "pong" && text.length <= LONGEST_PONG;
    const isAnswer = isPong && peer.answers && peer.newcomers !== null;
    peer.heardAt = now;
    heard(peer, isAnswer || !peer.answers);
    if (isAnswer || !charge(peer, now, bytes)) return;
    if (text !== "" && bytes > config.maxMessageBytes) return refuse(peer, "too-large");
    if (typeof message === "string") {
      if (++peer.badMessages > wire.FORGIVEN_BAD_MESSAGES) peer.account.connects.take(now, ABUSE_TOKENS);
      return refuse(peer, "bad-message", null, message);
    }
    if (message.type === "pong") return; // nobody asked
    if (message.type === "ping") return void ws.sendText(wire.PONG);
    if (message.type === "join") return apply({ type: "join", peer, join: message, token: newToken() });
    if (message.type !== "leave") return relay(ws, message, text, bytes);
    apply({ type: "leave", peer });
    ws.close(1000);
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
    peer.heardTurn = turns;
    if (!isProof || peer.newcomers === null) return;
    peer.home?.heard();
    apply({ type: "heard", peer });
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
  const perform: { [Do in Effect["do"]]: (about: Effect & { do: Do }) => void } = {
    seat({ peer, session }) {
      peer.socket?.subscribe(session.code);
      peer.socket?.sendText(wire.joined(peer.token, config.sessionTtlMs, opposite(peer) !== null));
    },
    unseat: ({ peer, session }) => peer.socket?.unsubscribe(session.code),
    ready({ session: { initiator, joiner, pairing, beganAt, activeAt } }) {
      if (pairing === 1) events.ready(activeAt - beganAt);
      for (const [peer, other] of [[initiator, joiner] as const, [joiner, initiator] as const])
        if (peer && other)
          peer.socket?.sendText(wire.ready(peer.instance === null ? null : pairing, other.instance, moreInReady()));
    },
    left: ({ peer }) => peer.left(server),
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

  /** Ends what is due, and pings whose turn it is. */
  function sweep(lateMs = 0): void {
    turns++;
    apply({ type: "tick" });
    for (const peer of state.peers) {
      const verdict = judge(peer, turns, pingTurns);
      if (verdict === "due") peer.ping();
      if (verdict !== "silent") continue;
      peer.closedFor = "silent";
      peer.socket?.terminate();
    }
    events.swept(lateMs);
    if (clock.now() >= cutAt) emptied();
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

  function part(peer: Peer): void {
    peer.socket = null;
    apply({ type: "gone", peer });
    if (state.peers.size === 0) emptied();
  }

  const gather = () => apply({ type: "gather" });
  /** For what peers of other nodes say, as if it came from a socket here. */
  const forNodes = { apply, refuse, take, part, server, clock, config, guestAccount: addresses.exempt };
  const { port = config.port } = server;
  return { address: server.url.origin, port, server, state, forNodes, sweep, gather, drain, stop };
}
