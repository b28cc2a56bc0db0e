/** The pacer: what was meant for when, and that lateness is measured and not left out. */
import { expect, test } from "bun:test";
import { Pacer, TIMER_STEP_MS } from "../../src/load/pacer.ts";

const FOREVER = Number.POSITIVE_INFINITY;

function all(pacer: Pacer): number[] {
  const times: number[] = [];
  for (let next = pacer.next(); next !== null; next = pacer.next()) times.push(next);
  return times;
}

test("arrivals are evenly spaced, and counted by the rate", () => {
  const pacer = new Pacer({ perSecond: 100, rampMs: 0, startMs: 1_000, endMs: FOREVER, most: FOREVER });
  for (let now = 1_000; now < 2_000; now++) pacer.tick(now);
  const times = all(pacer);
  expect(times.length).toBe(100);
  expect(times.slice(0, 4)).toEqual([1_000, 1_010, 1_020, 1_030]);
});

test("those that are owed stay in order while they are taken, however many they are", () => {
  const pacer = new Pacer({ perSecond: 1_000_000, rampMs: 0, startMs: 0, endMs: FOREVER, most: FOREVER });
  let before = -1;
  for (let now = 0; now < 500; now += 50) {
    pacer.tick(now);
    for (let taken = 0; taken < 30_000 && pacer.first !== null; taken++) {
      const first = pacer.first;
      expect(first).toBeGreaterThanOrEqual(before);
      before = first;
      expect(pacer.next()).toBe(first);
    }
  }
  expect(pacer.isOwed).toBe(true);
  expect(all(pacer).length).toBe(450_001 - 9 * 30_000 - 1);
  expect(pacer).toMatchObject({ isOwed: false, first: null });
});

test("within the timer's own step nobody is late", () => {
  const pacer = new Pacer({ perSecond: 1_000, rampMs: 0, startMs: 0, endMs: FOREVER, most: FOREVER });
  const lags: number[] = [];
  for (const now of [0, 1.1, 2.3, 3.4]) {
    pacer.tick(now, (ms) => lags.push(ms));
    for (const intended of all(pacer)) expect(intended).toBe(now);
  }
  expect(lags).toEqual([0, 0, 0, 0]);
});

test("after a stall each is owed since its own time", () => {
  const pacer = new Pacer({ perSecond: 100, rampMs: 0, startMs: 0, endMs: FOREVER, most: FOREVER });
  pacer.tick(0);
  expect(all(pacer)).toEqual([0]);
  const lags: number[] = [];
  expect(pacer.tick(50, (ms) => lags.push(ms))).toBe(5);
  expect(all(pacer)).toEqual([10, 20, 30, 40, 50]);
  expect(lags).toEqual([40, 30, 20, 10, 0]);
});

test("a stall forgives no more than one step of the timer", () => {
  const pacer = new Pacer({ perSecond: 1_000, rampMs: 0, startMs: 0, endMs: FOREVER, most: FOREVER });
  pacer.tick(0);
  all(pacer);
  pacer.tick(10);
  expect(all(pacer)).toEqual([TIMER_STEP_MS, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("what is not taken stays owed, with the time for which it was meant", () => {
  const pacer = new Pacer({ perSecond: 1_000, rampMs: 0, startMs: 0, endMs: FOREVER, most: FOREVER });
  for (let now = 0; now <= 5; now++) pacer.tick(now);
  expect(pacer.next()).toBe(0);
  for (let now = 6; now <= 8; now++) pacer.tick(now);
  expect(pacer.isOwed).toBeTrue();
  expect(all(pacer)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(pacer.isOwed).toBeFalse();
  expect(pacer.due).toBe(9);
});

test("there are no more than there should be", () => {
  const pacer = new Pacer({ perSecond: 1_000, rampMs: 0, startMs: 0, endMs: FOREVER, most: 3 });
  for (let now = 0; now < 10; now++) pacer.tick(now);
  expect(pacer.isOver).toBeFalse();
  expect(all(pacer)).toEqual([0, 1, 2]);
  expect(pacer.isOver).toBeTrue();
});

test("there are none after the end, and those before it are still owed", () => {
  const pacer = new Pacer({ perSecond: 100, rampMs: 0, startMs: 0, endMs: 30, most: FOREVER });
  pacer.tick(500);
  expect(pacer.isOver).toBeFalse();
  expect(all(pacer)).toEqual([TIMER_STEP_MS, 10, 20]);
  expect(pacer.isOver).toBeTrue();
});

test("in a ramp the rate grows evenly: a quarter comes in its first half, and half as many in all", () => {
  const pacer = new Pacer({ perSecond: 100, rampMs: 4_000, startMs: 0, endMs: FOREVER, most: FOREVER });
  for (let now = 0; now < 2_000; now++) pacer.tick(now);
  expect(pacer.due).toBe(50);
  for (let now = 2_000; now < 4_000; now++) pacer.tick(now);
  expect(pacer.due).toBe(200);
  for (let now = 4_000; now < 5_000; now++) pacer.tick(now);
  expect(pacer.due).toBe(300);
});
