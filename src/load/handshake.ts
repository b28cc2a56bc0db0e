/**
 * Whole sessions as clients hold them, each with a new code; begun at a rate, or as others end.
 */
import { Agenda } from "./agenda.ts";
import { Pacer } from "./pacer.ts";
import { Pair } from "./pair.ts";
import type { Peer } from "./peer.ts";
import { expire, LEISURELY_MS, PROMPT_MS, type Scenario, STROKE_MS } from "./scenario.ts";
import type { Stage } from "./stage.ts";
import type { Kind } from "./wire.ts";

/** So long a place stays empty after a failure, in ms: a relay that refuses all is not knocked at in a tight loop. */
const REST_MS = 100;
/**
 * Over so long candidates trickle, in ms, at random: a browser finds its own addresses at once, and those that it has to
 * ask a server for within some round trips.
 */
const OWN_ADDRESSES_MS = 10;
const ASKED_ADDRESSES_MS = 150;

/** A session that ends when both peers have all that the other one sent. */
class Session extends Pair {
  readonly #handshake: Handshake;
  #missing: number;
  #isAnswered = false;
  /** By how long each message was held back, by number and sender; null where none is. */
  readonly #heldMs: Readonly<Record<Peer["role"], number[]>> | null;
  /** When it would have been whole, had nothing been held back. */
  #wholeMs = 0;

  constructor(stage: Stage, intendedMs: number, handshake: Handshake) {
    super(stage, intendedMs);
    this.#handshake = handshake;
    this.#heldMs = stage.plan.trickle === "off" ? null : { initiator: [], joiner: [] };
    this.#missing = 2 * (1 + stage.plan.candidates);
  }

  protected override ready(): void {
    this.#speak(this.initiator);
    this.#handshake.onReady(this);
  }

  protected override relayed(peer: Peer, kind: Kind, number: number, nowMs: number): void {
    if (kind === "offer") this.#speak(peer);
    else if (kind === "answer") {
      this.#isAnswered = true;
      this.time("answer", nowMs - this.intendedMs);
    }
    this.#wholeMs = Math.max(this.#wholeMs, nowMs - (this.#heldMs?.[this.other(peer).role][number] ?? 0));
    if (--this.#missing > 0) return;
    this.close();
    this.#handshake.onDone(this, this.#wholeMs);
  }

  protected override failed(): void {
    if (!this.#isAnswered) this.timeFailed("answer");
    this.timeFailed("session");
    this.#handshake.onFailed(this);
  }

  /** Sends a candidate that was held back until now. */
  sayCandidate(peer: Peer, intendedMs: number): void {
    if (!this.isOver)
      peer.send(this.stage.script.candidate[peer.role].with(this.code, this.flowOf(peer).send(intendedMs)));
  }

  /** Sends offer or answer, and the candidates with it or by and by. */
  #speak(peer: Peer): void {
    const { script, plan } = this.stage;
    const flow = this.flowOf(peer);
    const nowMs = performance.now();
    const number = flow.send(nowMs);
    if (!this.#heldMs) {
      for (let i = 0; i < plan.candidates; i++) flow.send(nowMs);
      peer.send(script.train[peer.role].with(this.code));
      return;
    }
    peer.send(script.description[peer.role].with(this.code, number));
    const held = this.#heldMs[peer.role];
    held.push(0);
    const own = Math.ceil(plan.candidates / 2);
    for (let i = 0; i < plan.candidates; i++)
      held.push(Math.random() * (i < own ? OWN_ADDRESSES_MS : ASKED_ADDRESSES_MS));
    held.sort((a, b) => a - b);
    for (const heldMs of held.slice(1)) this.#handshake.later(this, peer, nowMs + heldMs);
  }
}

export class Handshake implements Scenario {
  readonly isSettled = true;
  readonly isWaiting = false;
  protected readonly stage: Stage;
  readonly #live = new Set<Session>();
  readonly #pacer: Pacer | null;
  readonly #agenda: Agenda<readonly [Session, Peer]>;
  readonly #startMs: number;
  readonly #endMs: number;
  readonly #most: number;
  readonly #mostLive: number;
  #begun = 0;
  #resting = 0;
  /** When a session last ended well, or the first one was begun. */
  #progressMs: number;

  constructor(stage: Stage, startMs: number) {
    const { rate, rampMs, sessions, durationMs, concurrency, worker, workers } = stage.plan;
    this.stage = stage;
    this.#startMs = startMs;
    this.#progressMs = startMs;
    this.#agenda = new Agenda(startMs);
    this.#most = sessions || Number.POSITIVE_INFINITY;
    this.#endMs = sessions ? Number.POSITIVE_INFINITY : startMs + durationMs;
    this.#mostLive = Math.min(Math.floor(stage.mostPeers / 2), rate ? Number.POSITIVE_INFINITY : concurrency);
    const firstMs = startMs + (worker / workers) * (1_000 / rate); // workers take turns
    const pace = { perSecond: rate, rampMs, startMs: firstMs, endMs: this.#endMs, most: this.#most };
    this.#pacer = rate ? new Pacer(pace) : null;
  }

  get tickMs(): number {
    return this.#pacer || this.stage.plan.trickle === "on" ? PROMPT_MS : LEISURELY_MS;
  }

  tick(nowMs: number): boolean {
    expire(this.#live, nowMs, this.stage.plan.timeoutMs);
    this.#agenda.tick(nowMs, ([session, peer], intendedMs) => {
      this.stage.recorder.lag(nowMs - intendedMs);
      session.sayCandidate(peer, intendedMs);
    });
    if (this.#pacer) this.#beginDue(this.#pacer, nowMs);
    else this.#refill(nowMs);
    const hasBegunAll = this.#begun >= this.#most || (this.#pacer?.isOver ?? nowMs >= this.#endMs);
    return this.#live.size === 0 && hasBegunAll;
  }

  goOn(): void {}

  stop(): void {
    for (const session of this.#live) session.cut();
    this.#live.clear();
  }

  /** Has a session's candidate sent when it is due. */
  later(session: Session, peer: Peer, atMs: number): void {
    this.#agenda.add(atMs, [session, peer]);
  }

  /** Begins one arrival that was meant for `intendedMs`. */
  protected begin(intendedMs: number): void {
    this.stage.recorder.counts.started++;
    const session = new Session(this.stage, intendedMs, this);
    this.#live.add(session);
    session.start();
  }

  /** A pair is ready and exchanges its messages now. */
  onReady(_pair: Pair): void {}

  /** @param wholeMs when it would have been over, had nothing been held back */
  onDone(session: Session, wholeMs: number): void {
    const { recorder } = this.stage;
    const nowMs = performance.now();
    this.#progressMs = nowMs;
    recorder.time("session", wholeMs - session.intendedMs);
    recorder.done(wholeMs - this.#startMs); // trickling is no slowness of the relay
    this.#live.delete(session);
    if (!this.#pacer) this.#refill(nowMs);
  }

  onFailed(session: Session): void {
    this.stage.recorder.counts.failed++;
    this.#live.delete(session);
    if (this.#pacer) return;
    this.#resting++;
    setTimeout(() => this.#resting--, REST_MS);
  }

  #beginDue(pacer: Pacer, nowMs: number): void {
    const { recorder } = this.stage;
    if (this.#begun >= this.#most) return;
    recorder.counts.offered += pacer.tick(nowMs, recorder.lag);
    if (this.#isInVain(nowMs)) {
      recorder.counts.offered += this.#most - pacer.due;
      this.#giveUp(this.#most - this.#begun);
      return;
    }
    const tooLateMs = nowMs - this.stage.plan.timeoutMs;
    for (let intendedMs = pacer.first; intendedMs !== null; intendedMs = pacer.first) {
      const isTooLate = intendedMs <= tooLateMs;
      if (!isTooLate && this.#live.size >= this.#mostLive) return;
      pacer.next();
      this.#begun++;
      if (isTooLate) this.#failUnbegun(1, "a session could not be begun before its time-out");
      else {
        this.begin(intendedMs);
        if (performance.now() >= nowMs + STROKE_MS) return;
      }
    }
  }

  #refill(nowMs: number): void {
    while (this.#live.size + this.#resting < this.#mostLive && this.#begun < this.#most && nowMs < this.#endMs) {
      if (this.#isInVain(nowMs)) {
        this.stage.recorder.counts.offered += this.#most - this.#begun;
        this.#giveUp(this.#most - this.#begun);
        return;
      }
      this.#begun++;
      this.stage.recorder.counts.offered++;
      this.begin(nowMs);
    }
  }

  /** So long a number of sessions is gone on with though none ends well. */
  get #patienceMs(): number {
    return this.stage.plan.timeoutMs + this.stage.plan.durationMs;
  }

  /** Whether a number of sessions was asked for, and none has ended well for too long. */
  #isInVain(nowMs: number): boolean {
    return Number.isFinite(this.#most) && nowMs >= this.#progressMs + this.#patienceMs;
  }

  #giveUp(sessions: number): void {
    this.#begun += sessions;
    const sentence = `for ${this.#patienceMs / 1_000} s no session ended well, so the others were not begun`;
    this.#failUnbegun(sessions, sentence);
  }

  /** So many that were offered were never begun. */
  #failUnbegun(sessions: number, sentence: string): void {
    const { recorder, plan } = this.stage;
    recorder.counts.failed += sessions;
    recorder.error("timeout:begin", sentence, sessions);
    recorder.timeFailed("connect", plan.timeoutMs, 2 * sessions);
    for (const time of ["ready", "answer", "session"] as const) recorder.timeFailed(time, plan.timeoutMs, sessions);
  }
}
