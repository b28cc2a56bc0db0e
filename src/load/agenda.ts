/**
 * Things to do at set times, to the millisecond, that a tick asks for. What is late keeps the time for which it was
 * meant. Pure: now is given.
 */
import { TIMER_STEP_MS } from "./pacer.ts";

export class Agenda<T> {
  readonly #slots = new Map<number, { readonly atMs: number; readonly item: T }[]>();
  #nextSlot: number;
  #lastTickMs: number;

  constructor(nowMs: number) {
    this.#nextSlot = Math.floor(nowMs);
    this.#lastTickMs = nowMs;
  }

  /** @param atMs not before the last tick */
  add(atMs: number, item: T): void {
    const slot = Math.max(this.#nextSlot, Math.ceil(atMs));
    const entries = this.#slots.get(slot);
    if (entries) entries.push({ atMs, item });
    else this.#slots.set(slot, [{ atMs, item }]);
  }

  /** Gives what is due, with the time for which it was meant; a timer's own step counts as nobody's delay. */
  tick(nowMs: number, act: (item: T, intendedMs: number) => void): void {
    const forgivenMs = this.#lastTickMs + TIMER_STEP_MS;
    this.#lastTickMs = nowMs;
    while (this.#nextSlot <= nowMs) {
      const slot = this.#nextSlot++;
      const entries = this.#slots.get(slot) ?? [];
      this.#slots.delete(slot);
      for (const { atMs, item } of entries) act(item, Math.min(nowMs, Math.max(atMs, forgivenMs)));
    }
  }
}
