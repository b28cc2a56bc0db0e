/**
 * Admission: who holds which seat, who waits for one, and how each wait ends (docs/PROTOCOL.md, "Seats"). Owns the live
 * sessions and every peer's place. A reducer: `step` takes the state, an event and the time, brings the state up to
 * date, and returns what the edge has to do about it, in order. It never sends, closes, waits, draws lots or reads a
 * clock. A session exists while a seat is held: with its last peer its entry, and so its code, is gone.
 *
 *   phase    event                                  next     effects
 *   -        connect                                new
 *   new      join: it names the holder's token      seated   unseat holder, seat, [ready], refuse holder: replaced
 *   new      join: while draining                   new      refuse: restarting
 *   new      join: its address failed too often     new      refuse: rate-limited
 *   new      join: free here; there is a directory  pending  ask
 *   new      join: the seat is free                 seated   seat, [ready]
 *   new      join: it is, but too many wait         new      refuse: at-capacity (all) or rate-limited (its address)
 *   new      join: the holder was heard lately      new      refuse: role-taken or session-full
 *   new      join: the holder was not               probing  [probe holder]
 *   new      tick: no join in its time              new      refuse: join-timeout
 *   pending  answer: yes                                     as a join with no directory; [give back]
 *   pending  answer: no                             new      refuse, as it says
 *   pending  answer: its session is at another node away
 *   away     answer: no                             new      refuse, as it says
 *   away     heard, after a probe                   away     heard to that node
 *   away     met: nobody opposite, while draining   away     refuse: restarting
 *   away     leave, gone                            gone     left to that node
 *   pending  tick: no answer for PENDING_MS         new      withdraw, refuse: at-capacity
 *   probing  its holder is heard, or unseated                as a join, in the order in which they came
 *   seated   tick: no word for PROBE_MS of a probe  gone     unseat, [left to the other], [ended], refuse: replaced
 *   seated   tick: session idle for its time        gone     unseat, ended, refuse: session-expired
 *   seated   lost: its session may be at another node now  gone  unseat, ended, refuse: restarting
 *   seated   leave, gone                            gone     unseat, [left to the other], [ended]
 *   others   leave, gone                            gone     [withdraw]
 *   any      drain: not one of a pair               same     refuse: restarting
 *   others   join                                   same     refuse: already-joined
 *   others   answer: yes                            same     give back
 *
 * Whom a refusal ends is closed by the edge, which then says that it is gone.
 */
import type { Outcome } from "./events.ts";
import type { AddressTable, Limits } from "./limits.ts";
import type { Opposite, Peer, Session } from "./peer.ts";
import type { ErrorName, JoinMessage } from "./protocol.ts";

/** A holder that was heard so lately is there, and is not probed. */
export const HEARD_MS = 2_000;
/** So long a holder has to answer a probe: a phone that wakes up needs seconds. */
export const PROBE_MS = 5_000;
/** So long a directory has to answer. */
export const PENDING_MS = 5_000;

export type Seat = Pick<JoinMessage, "sessionCode" | "isInitiator">;

/** What a directory says to a join: yes, no and why, or which other node has the session, by the way to it. */
export type Answer = null | ErrorName | Opposite;

/** `token`: 128 random bits as text, by which a seat that is taken now is proved later. */
export type Event =
  | { readonly type: "connect" | "heard" | "leave" | "gone" | "probe"; readonly peer: Peer }
  | { readonly type: "join"; readonly peer: Peer; readonly join: JoinMessage; readonly token: string }
  | { readonly type: "answer"; readonly peer: Peer; readonly join: JoinMessage; readonly answer: Answer }
  | { readonly type: "met"; readonly peer: Peer; readonly isMet: boolean }
  | { readonly type: "lost"; readonly sessionCode: string }
  | { readonly type: "tick" }
  | { readonly type: "drain" };

/** `waitedMs`: since the first join, where it is the first time. `retryMs`: how long before another try, where known here. */
export type Effect =
  | { readonly do: "seat" | "unseat"; readonly peer: Peer; readonly session: Session }
  | { readonly do: "ready"; readonly session: Session; readonly waitedMs: number | null }
  | { readonly do: "left" | "heard"; readonly peer: Opposite }
  | { readonly do: "probe"; readonly peer: Peer }
  | { readonly do: "refuse"; readonly peer: Peer; readonly name: ErrorName; readonly retryMs: number | null }
  | { readonly do: "ask" | "withdraw"; readonly peer: Peer; readonly join: JoinMessage }
  | { readonly do: "give back"; readonly seat: Seat }
  | { readonly do: "ended"; readonly outcome: Outcome };

export class State {
  readonly sessions = new Map<string, Session>();
  readonly peers = new Set<Peer>();
  /** How many are held. */
  seats = 0;
  /** Sessions in which nobody has come yet to the first. */
  waiting = 0;
  isDraining = false;
  readonly limits: Pick<Limits, "sessionTtlMs" | "joinTimeoutMs" | "maxWaiting">;
  readonly addresses: AddressTable;
  readonly asks: boolean;

  /** @param asks whether a directory is asked before anybody is seated */
  constructor(limits: State["limits"], addresses: AddressTable, asks = false) {
    this.limits = limits;
    this.addresses = addresses;
    this.asks = asks;
  }
}

/** One step: what it works on, when, and what comes of it. */
interface Turn {
  readonly state: State;
  readonly now: number;
  readonly effects: Effect[];
}

/**
 * @param now ms of a clock that never goes back
 * @returns what is to be done, in this order; the state is up to date before any of it
 */
export function step(state: State, event: Event, now: number): Effect[] {
  const turn: Turn = { state, now, effects: [] };
  if (event.type === "join") join(turn, event.peer, event.join, event.token);
  else if (event.type === "answer") answer(turn, event.peer, event.join, event.answer);
  else if (event.type === "met") meet(turn, event.peer, event.isMet);
  else if (event.type === "lost") lose(turn, event.sessionCode);
  else if (event.type === "probe") ask(turn, event.peer);
  else if (event.type === "tick") tick(turn);
  else if (event.type === "drain") drain(turn);
  else if (event.type === "connect") state.peers.add(enter(turn, event.peer, "new"));
  else if (event.type === "heard") hear(turn, event.peer);
  else leave(turn, event.peer);
  if (event.type === "gone") state.peers.delete(event.peer);
  return turn.effects;
}

/** Who sits opposite `peer`, or null. */
export function opposite({ session, isInitiator }: Peer): Peer | null {
  return session && holderIn(session, !isInitiator);
}

function join(turn: Turn, peer: Peer, join: JoinMessage, token: string) {
  const { state, now } = turn;
  if (peer.phase !== "new") return refuse(turn, peer, "already-joined");
  const session = state.sessions.get(join.sessionCode);
  const holder = session && holderIn(session, join.isInitiator);
  peer.token = token;
  peer.instance = join.instance;
  peer.answers = join.answers;
  if (session && holder && isSame(holder.token, join.token)) return takeOver(turn, session, holder, peer);
  if (state.isDraining) return refuse(turn, peer, "restarting");
  const retryMs = state.addresses.failureWaitMs(peer.address, now);
  if (retryMs > 0) return refuse(turn, peer, "rate-limited", retryMs);
  request(turn, peer, join);
}

/** Where there is a directory, it is asked for a seat that is free as far as is known here. */
function request(turn: Turn, peer: Peer, join: JoinMessage) {
  const session = turn.state.sessions.get(join.sessionCode);
  if (!turn.state.asks || (session && holderIn(session, join.isInitiator))) return admit(turn, peer, join);
  enter(turn, peer, "pending").asked = join;
  turn.effects.push({ do: "ask", peer, join });
}

/** The ladder: one decision, before anything is stored, in one turn of the loop, so that no other join comes between. */
function admit(turn: Turn, peer: Peer, join: JoinMessage) {
  const { sessions, addresses, limits } = turn.state;
  const session = sessions.get(join.sessionCode);
  const holder = session && holderIn(session, join.isInitiator);
  if (session && holder) {
    if (turn.now - holder.heardAt >= HEARD_MS) return probe(turn, holder, peer, join);
    const isFull = holderIn(session, !join.isInitiator) !== null;
    session.isCrowded ||= isFull;
    addresses.failed(peer.address, turn.now);
    return refuse(turn, peer, isFull ? "session-full" : "role-taken");
  }
  if (!session && turn.state.waiting >= limits.maxWaiting) return refuse(turn, peer, "at-capacity");
  if (!session) addresses.failed(peer.address, turn.now); // as a guess does; who pairs with itself made one, too
  if (!session && !addresses.mayWait(peer.address)) return refuse(turn, peer, "rate-limited");
  seat(turn, session ?? begin(turn, join.sessionCode), join.isInitiator, peer);
}

function begin({ state, now }: Turn, code: string): Session {
  const story = { beganAt: now, activeAt: now, readyAt: null, isAnswered: false, isCrowded: false, pairing: 0 };
  const session = { code, initiator: null, joiner: null, ...story };
  state.sessions.set(code, session);
  return session;
}

function seat(turn: Turn, session: Session, isInitiator: boolean, peer: Peer): void {
  put(turn.state, session, isInitiator, enter(turn, peer, "seated"));
  peer.session = session;
  peer.isInitiator = isInitiator;
  peer.heardAt = session.activeAt = turn.now;
  turn.effects.push({ do: "seat", peer, session });
  if (opposite(peer) === null) return;
  session.pairing++;
  turn.effects.push({ do: "ready", session, waitedMs: session.readyAt === null ? turn.now - session.beganAt : null });
  session.readyAt ??= turn.now;
}

/** The peer in the seat of `holder` has come back on another socket, and has proved it. */
function takeOver(turn: Turn, session: Session, holder: Peer, peer: Peer) {
  unseat(turn, session, holder, true);
  seat(turn, session, holder.isInitiator, peer);
  settle(turn, holder);
  refuse(turn, holder, "replaced");
}

/** Lets `peer` wait until the holder of its seat has been asked, which is done once for all who wait. */
function probe(turn: Turn, holder: Peer, peer: Peer, join: JoinMessage) {
  enter(turn, peer, "probing").asked = join;
  ask(turn, holder).push(peer);
}

function ask(turn: Turn, holder: Peer): Peer[] {
  if (holder.newcomers !== null) return holder.newcomers;
  holder.since = turn.now;
  turn.effects.push({ do: "probe", peer: holder });
  holder.newcomers = [];
  return holder.newcomers;
}

function hear(turn: Turn, holder: Peer) {
  if (holder.home !== null) turn.effects.push({ do: "heard", peer: holder.home });
  settle(turn, holder);
}

/** Ends the probe of a holder, however it went. Whoever still waits for its seat joins anew, and `admit` decides. */
function settle(turn: Turn, holder: Peer) {
  const newcomers = holder.newcomers ?? [];
  holder.newcomers = null;
  for (const peer of newcomers) {
    const { asked } = peer;
    if (peer.phase !== "probing" || asked === null) continue;
    enter(turn, peer, "new");
    if (turn.state.isDraining) refuse(turn, peer, "restarting");
    else request(turn, peer, asked);
  }
}

function answer(turn: Turn, peer: Peer, join: JoinMessage, answer: Answer): void {
  const isAsked = peer.asked === join && (peer.phase === "pending" || peer.phase === "away");
  if (answer !== null && typeof answer !== "string") {
    if (!isAsked) return void turn.effects.push({ do: "left", peer: answer });
    enter(turn, peer, "away").asked = join;
    peer.home = answer;
    return;
  }
  if (isAsked) {
    enter(turn, peer, "new").home = null;
    if (answer === null) admit(turn, peer, join);
    else refuse(turn, peer, answer);
  }
  if (answer === null && peer.phase !== "seated") turn.effects.push({ do: "give back", seat: join });
}

/** The node that has the session of `peer` says whether somebody sits opposite. */
function meet(turn: Turn, peer: Peer, isMet: boolean) {
  peer.isMet = isMet;
  if (turn.state.isDraining && !isMet) refuse(turn, peer, "restarting");
}

/** Another node may have this session by now: nobody here goes on with it. */
function lose(turn: Turn, code: string) {
  const session = turn.state.sessions.get(code);
  if (session) expire(turn, session, "restarting");
}

/** Takes `peer` out, wherever it is. */
function leave(turn: Turn, peer: Peer): void {
  const { session, asked, phase, home } = peer;
  if (phase === "pending" && asked) turn.effects.push({ do: "withdraw", peer, join: asked });
  if (phase !== "gone" && home !== null) turn.effects.push({ do: "left", peer: home });
  if (phase === "probing" || phase === "pending") turn.state.addresses.failed(peer.address, turn.now);
  enter(turn, peer, "gone");
  if (session === null) return;
  const other = opposite(peer);
  unseat(turn, session, peer);
  if (other !== null) turn.effects.push({ do: "left", peer: other });
  else end(turn, session, false);
  settle(turn, peer);
  if (turn.state.isDraining && other !== null) refuse(turn, other, "restarting");
}

/** The last peer of a session has left its seat. */
function end({ state, effects }: Turn, session: Session, isExpired: boolean): void {
  state.sessions.delete(session.code);
  effects.push({ do: "ended", outcome: outcomeOf(session, isExpired) });
}

/** Ends the waits whose time is up. It looks at everybody, some 10 ns each; so nothing is to be done when one is used. */
function tick(turn: Turn): void {
  const { sessions, peers, limits } = turn.state;
  for (const session of sessions.values())
    if (turn.now - session.activeAt >= limits.sessionTtlMs) expire(turn, session);
  for (const peer of peers) {
    const waitedMs = turn.now - peer.since;
    if (peer.phase === "new" && waitedMs >= limits.joinTimeoutMs) refuse(turn, peer, "join-timeout");
    else if (peer.phase === "pending" && peer.asked && waitedMs >= PENDING_MS) {
      turn.effects.push({ do: "withdraw", peer, join: peer.asked });
      enter(turn, peer, "new");
      refuse(turn, peer, "at-capacity");
    } else if (peer.newcomers !== null && waitedMs >= PROBE_MS) evict(turn, peer, peer.newcomers);
  }
}

/** A holder has not answered: it loses its seat, if anybody still waits for that. */
function evict(turn: Turn, holder: Peer, newcomers: readonly Peer[]) {
  if (!newcomers.some(({ phase }) => phase === "probing")) return settle(turn, holder);
  leave(turn, holder);
  refuse(turn, holder, "replaced", 0); // it may come back at once: nobody has proved to be it
}

function expire(turn: Turn, session: Session, name: ErrorName = "session-expired"): void {
  const peers = [session.initiator, session.joiner].filter((peer) => peer !== null);
  for (const peer of peers) unseat(turn, session, enter(turn, peer, "gone"));
  end(turn, session, name === "session-expired");
  for (const peer of peers) settle(turn, peer);
  for (const peer of peers) refuse(turn, peer, name);
}

/** From now on nobody is seated; whoever is not one of a pair is sent to come back. */
function drain(turn: Turn): void {
  turn.state.isDraining = true;
  for (const peer of turn.state.peers) if (opposite(peer) === null && !peer.isMet) refuse(turn, peer, "restarting");
}

/** How `session` has ended: the first that holds. An answer came; time ran out; a third was turned away; nobody came. */
export function outcomeOf({ isAnswered, isCrowded, readyAt }: Session, isExpired: boolean): Outcome {
  if (isAnswered) return "paired";
  if (isExpired) return "expired";
  if (isCrowded) return "crowded";
  return readyAt === null ? "lonely" : "lost";
}

function enter({ now }: Turn, peer: Peer, phase: Peer["phase"]): Peer {
  peer.phase = phase;
  peer.since = now;
  peer.asked = null;
  return peer;
}

/** Fills a seat or empties it. All changes of seats are made here, and so are the counts that follow from them. */
function put(state: State, session: Session, isInitiator: boolean, peer: Peer | null): void {
  const before = waiterIn(session);
  if (isInitiator) session.initiator = peer;
  else session.joiner = peer;
  state.seats += peer === null ? -1 : 1;
  const after = waiterIn(session);
  if (before) state.addresses.waits(before.address, -1);
  if (after) state.addresses.waits(after.address, 1);
  state.waiting += Number(after !== null) - Number(before !== null);
}

/** @param isPassedOn whether the seat is for another socket at once, so that the directory need not know */
function unseat({ state, effects }: Turn, session: Session, peer: Peer, isPassedOn = false): void {
  const { isInitiator } = peer;
  put(state, session, isInitiator, null);
  peer.session = null;
  effects.push({ do: "unseat", peer, session });
  if (state.asks && !isPassedOn) effects.push({ do: "give back", seat: { sessionCode: session.code, isInitiator } });
}

function holderIn(session: Session, isInitiator: boolean): Peer | null {
  return isInitiator ? session.initiator : session.joiner;
}

/** Who waits for a first peer opposite. One whose peer has left is no burden of its own making, and keeps its seat. */
function waiterIn({ initiator, joiner, readyAt }: Session): Peer | null {
  return readyAt !== null || (initiator && joiner) ? null : (initiator ?? joiner);
}

function refuse({ effects }: Turn, peer: Peer, name: ErrorName, retryMs: number | null = null) {
  effects.push({ do: "refuse", peer, name, retryMs });
}

/** Whether `given` is the token; how long the comparison takes tells nothing about it. */
function isSame(token: string, given: string | null): boolean {
  if (given?.length !== token.length) return false;
  let difference = 0;
  for (let i = 0; i < token.length; i++) difference |= token.charCodeAt(i) ^ given.charCodeAt(i);
  return difference === 0;
}
