/**
 * A small world for the reducer: three sockets, two codes, a directory or none, and an edge that does what it is told.
 * It can be copied, so that every order of events can be tried; and it says what must hold, whatever has happened.
 */
import {
  type Effect,
  type Event,
  HEARD_MS,
  newState,
  opposite,
  PENDING_MS,
  PROBE_MS,
  type Seat,
  type State,
  step,
} from "../../../src/core/admission.ts";
import { newAddressTable } from "../../../src/core/limits.ts";
import { Peer } from "../../../src/core/peer.ts";
import { ERRORS, type JoinMessage } from "../../../src/core/protocol.ts";
import { readConfig } from "../../../src/program/config.ts";

export const SOCKETS = 3;
const CODES = ["AAAAAAAA", "BBBBBBBB"];
const LIMITS = readConfig([], {});
const TABLE = newAddressTable(LIMITS, 7); // every peer is exempt: its limits are tried elsewhere

/** An event, by the number of the socket; `asked`: which of the questions to the directory is answered. */
export type Move =
  | { readonly do: "connect" | "heard" | "leave" | "gone"; readonly socket: number }
  | {
      readonly do: "join";
      readonly socket: number;
      readonly join: Seat;
      isOwner: boolean;
    }
  | { readonly do: "answer"; readonly asked: number; readonly isYes: boolean }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "drain" }
  | { readonly do: "gather" };

const NO_WISHES = { type: "join", instance: null, answers: false } as const;

interface Question {
  readonly peer: Peer;
  readonly join: JoinMessage;
}

export class World {
  state: State;
  now = 0;
  sockets: (Peer | null)[] = Array.from({ length: SOCKETS }, () => null);
  /** Which topics the edge has subscribed a socket to. */
  topics = new Map<Peer, string>();
  /** Questions to the directory that it may still answer, withdrawn ones too. */
  questions: Question[] = [];
  /** Seats that the directory has granted and not got back. */
  granted: string[] = [];
  #tokens = 0;

  constructor(asks: boolean) {
    this.state = newState(LIMITS, asks);
  }

  copy(): World {
    const copy = new World(this.state.asks);
    const peers = new Map<Peer, Peer>();
    const all = [...this.state.peers, ...this.questions.map(({ peer }) => peer)];
    for (const peer of all)
      if (!peers.has(peer)) peers.set(peer, Object.assign(Object.create(Peer.prototype) as Peer, peer));
    const of = (peer: Peer | null) => (peer && peers.get(peer)) ?? null;
    for (const [code, session] of this.state.sessions)
      copy.state.sessions.set(code, { ...session, initiator: of(session.initiator), joiner: of(session.joiner) });
    for (const peer of peers.values()) {
      peer.session = peer.session && (copy.state.sessions.get(peer.session.code) ?? null);
      peer.newcomers = peer.newcomers?.map(of).filter((other) => other !== null) ?? null;
    }
    for (const peer of this.state.peers) copy.state.peers.add(peers.get(peer) ?? peer);
    copy.state.seats = this.state.seats;
    copy.state.waiting = this.state.waiting;
    copy.state.isDraining = this.state.isDraining;
    copy.now = this.now;
    copy.sockets = this.sockets.map(of);
    copy.topics = new Map([...this.topics].map(([peer, code]) => [of(peer) ?? peer, code]));
    copy.questions = this.questions.map(({ peer, join }) => ({ peer: of(peer) ?? peer, join }));
    copy.granted = [...this.granted];
    copy.#tokens = this.#tokens;
    return copy;
  }

  /** Everything that may happen next. */
  moves(): Move[] {
    const moves: Move[] = [
      { do: "wait", ms: HEARD_MS },
      { do: "wait", ms: PROBE_MS },
      { do: "wait", ms: LIMITS.sessionTtlMs },
    ];
    if (!this.state.isDraining) moves.push({ do: "drain" }, { do: "gather" });
    this.sockets.forEach((peer, socket) => {
      if (peer === null && !this.state.isDraining) moves.push({ do: "connect", socket }); // the upgrade is refused
      if (peer === null) return;
      moves.push(...(["heard", "leave", "gone"] as const).map((what) => ({ do: what, socket })));
      if (peer.phase !== "new") return;
      for (const sessionCode of CODES)
        for (const isInitiator of [true, false])
          for (const isOwner of [true, false]) {
            if (isOwner && this.#holder(sessionCode, isInitiator) === null) continue;
            moves.push({ do: "join", socket, join: { sessionCode, isInitiator }, isOwner });
          }
    });
    this.questions.forEach((_, asked) => {
      for (const isYes of [true, false]) moves.push({ do: "answer", asked, isYes });
    });
    return moves;
  }

  /** Does one thing, as the edge would. Returns what was wrong with it. */
  make(move: Move): string[] {
    const wrong: string[] = [];
    if (move.do === "wait") {
      this.now += move.ms;
      this.#step({ type: "tick" }, wrong);
    } else if (move.do === "drain" || move.do === "gather") this.#step({ type: move.do }, wrong);
    else if (move.do === "answer") {
      const { isYes, asked } = move;
      const question = this.questions[asked];
      if (!question) return ["no such question"];
      this.questions = this.questions.filter((other) => other !== question);
      if (isYes) this.granted.push(seatOf(question.join));
      this.#step({ type: "answer", ...question, answer: isYes ? null : "session-full" }, wrong);
    } else if (move.do === "connect") {
      const peer = new Peer(TABLE.exempt);
      this.sockets[move.socket] = peer;
      this.#step({ type: "connect", peer }, wrong);
    } else {
      const peer = this.sockets[move.socket];
      if (!peer) return ["no such socket"];
      if (move.do === "heard") peer.heardAt = this.now;
      if (move.do === "join") {
        const { sessionCode, isInitiator } = move.join;
        const holder = this.#holder(sessionCode, isInitiator);
        const join: JoinMessage = { ...NO_WISHES, ...move.join, token: move.isOwner ? (holder?.token ?? null) : null };
        this.#step({ type: "join", peer, join, token: `token-${++this.#tokens}` }, wrong, move.isOwner ? holder : null);
      } else if (move.do === "gone") this.#close(peer, wrong);
      else this.#step({ type: move.do, peer }, wrong);
      if (move.do === "leave") this.#close(peer, wrong); // as the edge does
    }
    return [...wrong, ...this.#faults()];
  }

  #holder(code: string, isInitiator: boolean): Peer | null {
    const session = this.state.sessions.get(code);
    return (isInitiator ? session?.initiator : session?.joiner) ?? null;
  }

  #close(peer: Peer, wrong: string[]): void {
    const socket = this.sockets.indexOf(peer);
    if (socket === -1) return;
    this.sockets[socket] = null;
    this.topics.delete(peer);
    this.#step({ type: "gone", peer }, wrong);
  }

  /** @param replaced who may lose its seat by this, since its token was named */
  #step(event: Event, wrong: string[], replaced: Peer | null = null): void {
    for (const effect of step(this.state, event, this.now)) this.#perform(effect, wrong, replaced);
  }

  #perform(effect: Effect, wrong: string[], replaced: Peer | null): void {
    if (effect.do === "seat") this.topics.set(effect.peer, effect.session.code);
    else if (effect.do === "unseat") this.topics.delete(effect.peer);
    else if (effect.do === "give back") this.#giveBack(seatOf(effect.seat), wrong);
    else if (effect.do === "ask") this.questions.push(effect);
    else if (effect.do === "ready") {
      const { initiator, joiner, code } = effect.session;
      if (!initiator || !joiner) wrong.push("ready, though a seat is free");
      const hear = [...this.topics].filter(([, topic]) => topic === code).map(([peer]) => peer);
      if (hear.some((peer) => peer !== initiator && peer !== joiner)) wrong.push("a third hears of ready");
    } else if (effect.do === "refuse") {
      if (!this.sockets.includes(effect.peer)) return; // it is closed already, and hears nothing
      const isSilent = this.now - effect.peer.heardAt >= PROBE_MS;
      if (effect.name === "replaced" && effect.peer !== replaced && !isSilent)
        wrong.push("a living holder lost its seat");
      if (ERRORS[effect.name].close !== null) this.#close(effect.peer, wrong);
    }
  }

  #giveBack(seat: string, wrong: string[]): void {
    const at = this.granted.indexOf(seat);
    if (at === -1) wrong.push("a seat is given back that was never granted, or twice");
    else this.granted.splice(at, 1);
  }

  /** What does not hold, though it must, always. */
  #faults(): string[] {
    const { sessions, peers, seats, asks } = this.state;
    const faults: string[] = [];
    const must = (holds: boolean, what: string) => holds || faults.push(what);
    let held = 0;
    for (const [code, session] of sessions) {
      const { initiator, joiner } = session;
      must(initiator !== joiner, "a session without a peer, or one peer in both seats");
      for (const [peer, role] of [[initiator, true] as const, [joiner, false] as const]) {
        if (peer === null) continue;
        held++;
        must(peer.session === session && peer.isInitiator === role, "a seat and its peer disagree");
        must(peer.phase === "seated" && peers.has(peer), "a seat is held by somebody who is elsewhere, or gone");
        must(this.topics.get(peer) === code, "who sits is not in the topic of the session");
      }
    }
    must(seats === held, "the count of seats is wrong");
    const waiting = [...sessions.values()].filter(({ readyAt }) => readyAt === null).length;
    must(this.state.waiting === waiting, "the count of those who wait for a first peer is wrong");
    must(this.topics.size === held, "somebody is in a topic and not in a seat");
    must(
      [...peers].every((peer) => this.sockets.includes(peer)),
      "a peer is kept whose socket is gone",
    );
    for (const peer of this.sockets) {
      if (peer === null) continue;
      must(peers.has(peer), "a socket is open and its peer forgotten");
      must((peer.phase === "seated") === (peer.session !== null), "a phase and a session disagree");
      must(
        (peer.phase === "pending" || peer.phase === "probing") === (peer.asked !== null),
        "a phase and a wish disagree",
      );
      must(peer.phase !== "gone", "a socket stays open though its peer is gone");
      must(peer.newcomers === null || peer.since - peer.heardAt >= HEARD_MS, "a holder is asked though it was heard");
      if (peer.phase === "probing" && peer.asked) {
        const holder = this.#holder(peer.asked.sessionCode, peer.asked.isInitiator);
        must(holder?.newcomers?.includes(peer) === true, "somebody waits for a seat and nobody knows");
      }
      if (this.state.isDraining) must(opposite(peer) !== null, "somebody is still alone in a drain");
    }
    if (asks) must(this.granted.length === held, "seats held and seats granted differ");
    return [...new Set(faults)];
  }

  /** What is left when nobody says a word any more for as long as any wait lasts: nothing, or somebody was forgotten. */
  leftAfterSilence(): number {
    const copy = this.copy();
    for (let rounds = 0; rounds < SOCKETS; rounds++)
      for (const ms of [PENDING_MS, LIMITS.joinTimeoutMs, LIMITS.sessionTtlMs]) copy.make({ do: "wait", ms });
    return copy.state.peers.size + copy.state.sessions.size + copy.state.seats + copy.granted.length;
  }

  /** The same for two worlds in which the same may happen: times count only as far as a rule asks for them. */
  key(): string {
    const age = (at: number, ...marks: number[]) => marks.filter((mark) => this.now - at >= mark).length;
    const peerKey = (peer: Peer | null): string => {
      if (peer === null) return "-";
      const { phase, asked, isInitiator, session, newcomers, since, heardAt } = peer;
      const waited = age(since, 1, 2_000, 4_000, PROBE_MS, LIMITS.joinTimeoutMs);
      const waiting = newcomers?.map((other) => this.sockets.indexOf(other)).join() ?? "";
      const wish = asked ? seatOf(asked) : "";
      return [phase, session?.code, isInitiator, wish, waiting, waited, age(heardAt, 1, 2_000, 4_000, PROBE_MS)].join(
        "/",
      );
    };
    const questions = this.questions.map(
      ({ peer, join }) => `${this.sockets.indexOf(peer)}${peer.phase}${seatOf(join)}`,
    );
    const sessions = [...this.state.sessions.values()].map(
      ({ code, activeAt, readyAt }) => `${code}${this.now - activeAt}${readyAt === null}`,
    );
    return [...this.sockets.map(peerKey), ...questions, "|", ...sessions, this.state.isDraining].join(" ");
  }
}

function seatOf({ sessionCode, isInitiator }: { readonly sessionCode: string; readonly isInitiator: boolean }): string {
  return `${sessionCode}:${isInitiator ? "initiator" : "joiner"}`;
}
