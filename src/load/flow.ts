/**
 * The messages of one direction of one pair, from sending to arrival: each by its number, so that one that is lost,
 * comes twice or in another order moves the time of no other. It counts and times; it sends nothing.
 */
import type { Recorder } from "./recorder.ts";
import { CORRUPTED, MISDELIVERED, numberOfCorrupted } from "./seal.ts";

/** Stands for the time of one that has arrived or was given up. */
const SETTLED = -1;
/** Of so many that were given up the numbers are kept, to tell one that comes after all from one that comes twice. */
const MOST_GIVEN_UP = 1_000;
/** Settled ones at the front are dropped in bundles, since that moves the others. */
const BUNDLE = 64;

export class Flow {
  readonly #recorder: Recorder;
  readonly #timeoutMs: number;
  /** When each was meant to be sent, from number `#first` on. */
  #intendedMs: number[] = [];
  #first = 0;
  /** How many at the front are settled. */
  #front = 0;
  #highest = -1;
  #underway = 0;
  /** Of those that are on their way still, the ones of which a corrupted form arrived: they are not lost too. */
  readonly #corrupted = new Set<number>();
  /** How many were corrupted so that nobody can tell which: each stands for one that was on its way and seems lost. */
  #unknown = 0;
  #givenUp: Set<number> | null = null;
  #isOver = false;

  constructor(recorder: Recorder, timeoutMs: number) {
    this.#recorder = recorder;
    this.#timeoutMs = timeoutMs;
  }

  /** How many were sent and have neither arrived nor been given up. */
  get underway(): number {
    return this.#underway;
  }

  /** Notes one that is sent now. @param intendedMs when it was meant to be @returns its number, from 0 on */
  send(intendedMs: number): number {
    this.#recorder.counts.sent++;
    this.#underway++;
    return this.#first + this.#intendedMs.push(intendedMs) - 1;
  }

  /** Notes one that arrived, by what Message.read says of it. @returns whether it is right, and came for the first time */
  arrive(number: number, nowMs: number, sizeBytes: number): boolean {
    const { counts } = this.#recorder;
    const corrupted = numberOfCorrupted(number);
    if (number === CORRUPTED || corrupted !== null) {
      counts.corrupted++;
      if (corrupted === null) this.#unknown += this.#underway > this.#corrupted.size + this.#unknown ? 1 : 0;
      else if ((this.#intendedMs[corrupted - this.#first] ?? SETTLED) !== SETTLED) this.#corrupted.add(corrupted);
      return false;
    }
    const index = number - this.#first;
    if (number === MISDELIVERED || index >= this.#intendedMs.length) {
      counts.misdelivered++;
      return false;
    }
    const intendedMs = this.#intendedMs[index] ?? SETTLED;
    if (intendedMs === SETTLED) {
      if (this.#givenUp?.delete(number)) counts.late++;
      else counts.duplicated++;
      return false;
    }
    if (this.#isOver) return false; // it has been counted already
    counts.received++;
    counts.bytes += sizeBytes;
    if (number < this.#highest) counts.reordered++;
    else this.#highest = number;
    this.#recorder.time("message", nowMs - intendedMs);
    this.#corrupted.delete(number); // that was a copy
    this.#settle(index);
    return true;
  }

  /** Gives up those that were meant to be sent longer than the time-out ago: they are lost. */
  expire(nowMs: number): void {
    for (let index = this.#front; index < this.#intendedMs.length; index++) {
      const intendedMs = this.#intendedMs[index] ?? SETTLED;
      if (intendedMs === SETTLED) continue;
      if (intendedMs + this.#timeoutMs > nowMs) return;
      this.#lose(index);
    }
  }

  /** Gives up all that are on their way: they are lost. */
  loseAll(): void {
    for (let index = this.#front; index < this.#intendedMs.length; index++)
      if (this.#intendedMs[index] !== SETTLED) this.#lose(index);
  }

  /** Gives up all that are on their way, since their pair has ended. @param isFailure whether it was not meant to */
  abandon(isFailure: boolean): void {
    const { counts } = this.#recorder;
    counts.unfinished += Math.max(0, this.#underway - this.#corrupted.size - this.#unknown); // those arrived, if not as they were sent
    if (isFailure) this.#recorder.timeFailed("message", this.#timeoutMs, this.#underway);
    this.#underway = 0;
    this.#isOver = true;
  }

  #lose(index: number): void {
    this.#recorder.timeFailed("message", this.#timeoutMs);
    if (this.#corrupted.delete(this.#first + index)) {
      // it came, if not as it was sent
    } else if (this.#unknown > 0) this.#unknown--;
    else {
      this.#recorder.counts.lost++;
      this.#givenUp ??= new Set();
      this.#givenUp.add(this.#first + index);
      const [oldest] = this.#givenUp.size > MOST_GIVEN_UP ? this.#givenUp : [];
      if (oldest !== undefined) this.#givenUp.delete(oldest);
    }
    this.#settle(index);
  }

  #settle(index: number): void {
    this.#underway--;
    this.#intendedMs[index] = SETTLED;
    while (this.#front < this.#intendedMs.length && this.#intendedMs[this.#front] === SETTLED) this.#front++;
    if (this.#front < BUNDLE) return;
    this.#intendedMs.splice(0, this.#front);
    this.#first += this.#front;
    this.#front = 0;
  }
}
