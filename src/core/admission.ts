/**
 * Admission: who holds which seat, who waits for one, and how each wait ends (docs/PROTOCOL.md, "Seats"). A reducer:
 * `step` takes the state, an event and the time, brings the state up to date, and returns what the edge has to do about
 * it, in order. It never sends, closes, waits, draws lots or reads a clock. With its last peer a session, and so its
 * code, is gone. Whom a refusal ends is closed by the edge, which then says that it is gone.
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
 *   pending  answer: another node has its session   away
 *   both     answer: no                             new      refuse, as it says
 *   away     met: nobody opposite, while draining   away     refuse: restarting
 *   away     probe: its seat is asked for there     away     [probe]
 *   away     leave, gone                            gone     left to that node
 *   pending  tick: no answer for PENDING_MS         new      withdraw, refuse: at-capacity
 *   probing  its holder is heard, or unseated                as a join, in the order in which they came
 *   seated   tick: no word for PROBE_MS of a probe  gone     unseat, [left to the other], [ended], refuse: replaced
 *   seated   tick: session idle for its time        gone     unseat, ended, refuse: session-expired
 *   seated   lost: another node may have its session gone    unseat, ended, refuse: restarting
 *   seated   leave, gone                            gone     unseat, [left to the other], [ended]
 *   others   leave, gone                            gone     [withdraw]
 *   any      drain: not one of a pair               same     refuse: restarting
 *   seated   the other leaves, while draining       same     refuse: restarting
 *   seated   gather: nobody sits opposite           same     refuse: restarting
 *   others   join                                   same     refuse: already-joined
 *   others   answer: yes, or another node has it    same     give back, or left to that node
 */
import type { Outcome } from "./events.ts";
import type { Limits } from "./limits.ts";
import { type Home, type Opposite, type Peer, Session } from "./peer.ts";
import type { ErrorName, JoinMessage } from "./protocol.ts";

export const HEARD_MS = 2_000; // a holder that was heard so lately is there, and is not probed
export const PROBE_MS = 5_000; // so long a holder has to answer a probe: a phone that wakes up needs seconds
export const PENDING_MS = 5_000; // so long a directory has to answer

export type Seat = Pick<JoinMessage, "sessionCode" | "isInitiator">;

/** What a directory says to a join: yes, no and why, or the way to the node that has its session. */
export type Answer = null | ErrorName | Home;

/** `token`: 128 random bits as text, by which a seat that is taken now is proved later. */
export type Event =
  | { readonly type: "connect" | "heard" | "leave" | "gone" | "probe"; readonly peer: Peer }
  | { readonly type: "join"; readonly peer: Peer; readonly join: JoinMessage; readonly token: string }
  | { readonly type: "answer"; readonly peer: Peer; readonly join: JoinMessage; readonly answer: Answer }
  | { readonly type: "met"; readonly peer: Peer; readonly isMet: boolean }
  | { readonly type: "lost"; readonly sessionCode: string }
  | { readonly type: "tick" | "drain" | "gather" };

/** What the edge has to do, and about whom. */
export type Effect =
  | { readonly do: "seat" | "unseat"; readonly peer: Peer; readonly session: Session }
  | { readonly do: "ready"; readonly session: Readonly<Session> } // as it is then: another step may follow in the same turn
  | { readonly do: "left" | "probe"; readonly peer: Opposite }
  | { readonly do: "refuse"; readonly peer: Peer; readonly name: ErrorName; readonly retryMs: number | null }
  | { readonly do: "ask" | "withdraw"; readonly peer: Peer; readonly join: JoinMessage }
  | { readonly do: "give back"; readonly seat: Seat }
  | { readonly do: "ended"; readonly outcome: Outcome };

export type State = ReturnType<typeof newState>;

/** A relay without anybody. `asks`: whether a directory is asked before anybody is seated. */
export function newState(limits: Limits, asks = false) {
  const [sessions, peers] = [new Map<string, Session>(), new Set<Peer>()];
  return { limits, asks, sessions, peers, seats: 0, waiting: 0, isDraining: false }; // seats: that are held
}

type Turn = { readonly state: State; readonly now: number; readonly effects: Effect[] };

/** Returns what is to be done, in this order. `now`: ms that never go back. */
export function step(state: State, event: Event, now: number): Effect[] {
  const turn: Turn = { state, now, effects: [] };
  if (event.type === "join") join(turn, event.peer, event.join, event.token);
  else if (event.type === "answer") answer(turn, event.peer, event.join, event.answer);
  else if (event.type === "met") meet(turn, event.peer, event.isMet);
  else if (event.type === "lost") expire(turn, state.sessions.get(event.sessionCode), "restarting");
  else if (event.type === "probe") ask(turn, event.peer);
  else if (event.type === "tick") tick(turn);
  else if (!("peer" in event)) sendAway(turn, event.type === "drain");
  else if (event.type === "connect") state.peers.add(enter(turn, event.peer, "new"));
  else if (event.type === "heard") settle(turn, event.peer);
  else leave(turn, event.peer);
  if (event.type === "gone") state.peers.delete(event.peer);
  return turn.effects;
}

/** Who holds this seat of a session, or null. */
function holderOf(session: Session | null | undefined, isInitiator: boolean): Peer | null {
  return (isInitiator ? session?.initiator : session?.joiner) ?? null;
}

/** Who sits opposite `peer`, or null. */
export const opposite = ({ session, isInitiator }: Peer): Peer | null => holderOf(session, !isInitiator);

function join(turn: Turn, peer: Peer, join: JoinMessage, token: string) {
  const { state, now } = turn;
  if (peer.phase !== "new") return refuse(turn, peer, "already-joined");
  const holder = holderOf(state.sessions.get(join.sessionCode), join.isInitiator);
  peer.token = token;
  peer.instance = join.instance;
  peer.answers = join.answers;
  if (holder && isSame(holder.token, join.token)) {
    unseat(turn, holder, "replaced");
    seat(turn, peer, join);
    settle(turn, holder);
    return refuse(turn, holder, "replaced");
  }
  if (state.isDraining) return refuse(turn, peer, "restarting");
  const retryMs = peer.account.failures.waitMs(now);
  if (retryMs > 0) return refuse(turn, peer, "rate-limited", retryMs);
  admit(turn, peer, join, !state.asks);
}

/** The ladder: one decision, before anything is stored. `isGranted`: no directory need be asked for a seat that is free. */
function admit(turn: Turn, peer: Peer, join: JoinMessage, isGranted: boolean) {
  const { state, now, effects } = turn;
  const session = state.sessions.get(join.sessionCode);
  const holder = holderOf(session, join.isInitiator);
  if (holder && now - holder.heardAt >= HEARD_MS) return probe(turn, holder, peer, join);
  if (session && holder) {
    const isFull = opposite(holder) !== null;
    session.isCrowded ||= isFull;
    peer.account.failures.take(now);
    return refuse(turn, peer, isFull ? "session-full" : "role-taken");
  }
  if (!isGranted) {
    enter(turn, peer, "pending").asked = join;
    return effects.push({ do: "ask", peer, join });
  }
  if (!session) {
    if (state.waiting >= state.limits.maxWaiting) return refuse(turn, peer, "at-capacity");
    peer.account.failures.take(now); // as a guess does; who pairs with itself made one, too
    if (peer.account.waiting >= peer.account.limits.maxWaitingPerAddress) return refuse(turn, peer, "rate-limited");
  }
  seat(turn, peer, join);
}

function seat(turn: Turn, peer: Peer, { sessionCode, isInitiator }: Seat): void {
  const { state, now, effects } = turn;
  const session = state.sessions.get(sessionCode) ?? new Session(sessionCode, now);
  state.sessions.set(sessionCode, session);
  enter(turn, peer, "seated");
  put(state, session, isInitiator, peer);
  peer.session = session;
  peer.isInitiator = isInitiator;
  peer.heardAt = session.activeAt = now;
  effects.push({ do: "seat", peer, session });
  if (opposite(peer) === null) return;
  session.pairing++;
  effects.push({ do: "ready", session: { ...session } });
  session.readyAt ??= now;
}

/** Lets `peer` wait until the holder of its seat has been asked, which is done once for all who wait. */
function probe(turn: Turn, holder: Peer, peer: Peer, join: JoinMessage) {
  enter(turn, peer, "probing").asked = join;
  ask(turn, holder);
  holder.newcomers?.push(peer);
}

function ask(turn: Turn, holder: Peer) {
  if (holder.newcomers !== null) return;
  holder.newcomers = [];
  holder.since = turn.now;
  turn.effects.push({ do: "probe", peer: holder });
}

/** Ends the probe of a holder, however it went. Whoever still waits for its seat joins anew, and `admit` decides. */
function settle(turn: Turn, holder: Peer): void {
  const newcomers = holder.newcomers ?? [];
  holder.newcomers = null;
  for (const peer of newcomers) {
    const { phase, asked } = peer;
    if (phase !== "probing" || asked === null) continue;
    enter(turn, peer, "new");
    if (turn.state.isDraining) refuse(turn, peer, "restarting");
    else admit(turn, peer, asked, !turn.state.asks);
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
    if (answer === null) admit(turn, peer, join, true);
    else refuse(turn, peer, answer);
  }
  if (answer === null && peer.phase !== "seated") turn.effects.push({ do: "give back", seat: join });
}

/** The node that has the session of `peer` says whether somebody sits opposite. */
function meet(turn: Turn, peer: Peer, isMet: boolean) {
  peer.isMet = isMet;
  if (turn.state.isDraining && !isMet) refuse(turn, peer, "restarting");
}

/** Takes `peer` out, wherever it is. */
function leave(turn: Turn, peer: Peer): void {
  const { asked, phase, home } = peer;
  const other = opposite(peer);
  if (phase === "pending" && asked) turn.effects.push({ do: "withdraw", peer, join: asked });
  if (phase !== "gone" && home !== null) turn.effects.push({ do: "left", peer: home });
  if (phase === "probing" || phase === "pending") peer.account.failures.take(turn.now);
  enter(turn, peer, "gone");
  unseat(turn, peer, "left");
  if (other) turn.effects.push({ do: "left", peer: other });
  settle(turn, peer);
  if (other && turn.state.isDraining) refuse(turn, other, "restarting");
}

/** Ends the waits whose time is up. It looks at everybody, some 10 ns each; so nothing is to be done when one is used. */
function tick(turn: Turn): void {
  const { sessions, peers, limits } = turn.state;
  for (const session of sessions.values())
    if (turn.now - session.activeAt >= limits.sessionTtlMs) expire(turn, session);
  for (const peer of peers) {
    const { phase, asked, newcomers } = peer;
    const waitedMs = turn.now - peer.since;
    if (phase === "new" && waitedMs >= limits.joinTimeoutMs) refuse(turn, peer, "join-timeout");
    else if (phase === "pending" && asked && waitedMs >= PENDING_MS) {
      turn.effects.push({ do: "withdraw", peer, join: asked });
      answer(turn, peer, asked, "at-capacity");
    } else if (newcomers && waitedMs >= PROBE_MS) evict(turn, peer, newcomers);
  }
}

/** A holder has not answered: it loses its seat, if anybody still waits for that. */
function evict(turn: Turn, holder: Peer, newcomers: readonly Peer[]) {
  if (!newcomers.some(({ phase }) => phase === "probing")) return settle(turn, holder);
  leave(turn, holder);
  refuse(turn, holder, "replaced", 0); // it may come back at once: nobody has proved to be it
}

function expire(turn: Turn, session?: Session, name: ErrorName = "session-expired"): void {
  const peers = [session?.initiator, session?.joiner].filter((peer) => !!peer);
  for (const peer of peers) unseat(turn, enter(turn, peer, "gone"), name === "session-expired" ? "expired" : "left");
  for (const peer of peers) settle(turn, peer);
  for (const peer of peers) refuse(turn, peer, name);
}

/** Sends who sits alone to come back, or meet elsewhere; at the end all but pairs, and from now on nobody is seated. */
function sendAway(turn: Turn, isEnd: boolean): void {
  const { state } = turn;
  state.isDraining ||= isEnd;
  for (const peer of state.peers)
    if (opposite(peer) === null && !peer.isMet && (isEnd || peer.session)) refuse(turn, peer, "restarting");
}

function enter({ now }: Turn, peer: Peer, phase: Peer["phase"]): Peer {
  peer.phase = phase;
  peer.since = now;
  peer.asked = null;
  return peer;
}

/** Takes a peer out of its seat, if it has one. `replaced`: for another socket at once, so that no directory need know. */
function unseat({ state, effects }: Turn, peer: Peer, why: "left" | "expired" | "replaced"): void {
  const { session, isInitiator } = peer;
  if (session === null) return;
  put(state, session, isInitiator, null);
  peer.session = null;
  effects.push({ do: "unseat", peer, session });
  if (why === "replaced") return;
  if (state.asks) effects.push({ do: "give back", seat: { sessionCode: session.code, isInitiator } });
  if (session.initiator || session.joiner) return;
  state.sessions.delete(session.code);
  effects.push({ do: "ended", outcome: outcomeOf(session, why === "expired") });
}

/** How a session has ended: the first that holds. */
export function outcomeOf({ isAnswered, isCrowded, readyAt }: Session, isExpired: boolean): Outcome {
  if (isAnswered) return "paired";
  if (isExpired) return "expired";
  if (isCrowded) return "crowded";
  return readyAt === null ? "lonely" : "lost";
}

/** Fills a seat or empties it. All changes of seats are made here, and so are the counts that follow from them. */
function put(state: State, session: Session, isInitiator: boolean, peer: Peer | null): void {
  countWaiter(state, session, -1);
  if (isInitiator) session.initiator = peer;
  else session.joiner = peer;
  state.seats += peer === null ? -1 : 1;
  countWaiter(state, session, 1);
}

/** Who waits for a first peer opposite. One whose peer has left is no burden of its own making, and keeps its seat. */
function countWaiter(state: State, { initiator, joiner, readyAt }: Session, by: 1 | -1): void {
  const waiter = initiator && joiner ? null : (initiator ?? joiner);
  if (waiter === null || readyAt !== null) return;
  state.waiting += by;
  waiter.account.waiting += by;
}

function refuse({ effects }: Turn, peer: Peer, name: ErrorName, retryMs: number | null = null) {
  effects.push({ do: "refuse", peer, name, retryMs });
}

/** Whether `given` is the token; how long the comparison takes tells nothing about it. */
function isSame(token: string, given: string | null): boolean {
  const [expected, actual] = [Buffer.from(token), Buffer.from(given ?? "")];
  return expected.length === actual.length && crypto.timingSafeEqual(expected, actual);
}
