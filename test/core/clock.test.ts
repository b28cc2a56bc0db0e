/** The relay's clock, with the process's own time and timers in the test's hand. */
import { afterEach, beforeEach, describe, expect, mock, spyOn, test } from "bun:test";
import { LoopClock } from "../../src/core/clock.ts";

const TURN_MS = 1_000;
/** By so much a turn may be late before the process is taken to have stood still. */
const STALL_MS = 500;

let at = 0;
let onTimer = () => {};
let immediates: (() => void)[] = [];
let isTimerSet = false;

beforeEach(() => {
  at = 5_000;
  immediates = [];
  isTimerSet = false;
  spyOn(performance, "now").mockImplementation(() => at);
  spyOn(globalThis, "setInterval").mockImplementation(((run: () => void, ms: number) => {
    expect(ms).toBe(TURN_MS);
    onTimer = run;
    isTimerSet = true;
    return 7;
  }) as unknown as typeof setInterval);
  spyOn(globalThis, "clearInterval").mockImplementation((timer) => {
    expect<unknown>(timer).toBe(7);
    isTimerSet = false;
  });
  spyOn(globalThis, "setImmediate").mockImplementation(((run: (...given: unknown[]) => void, ...given: unknown[]) => {
    immediates.push(() => run(...given));
  }) as unknown as typeof setImmediate);
});
afterEach(() => mock.restore());

/** One turn of the loop: what was put off until now is done. */
function loop(): void {
  for (const run of immediates.splice(0)) run();
}

/** A clock whose turns are written down, by how late they came. */
function started() {
  const clock = new LoopClock();
  const turns: number[] = [];
  const end = clock.every(TURN_MS, (lateMs) => turns.push(lateMs));
  /** The timer fires, and the loop goes on. */
  const turn = () => {
    onTimer();
    loop();
    loop();
  };
  return { clock, turns, end, turn };
}

describe("the clock", () => {
  test("goes on with the process, before the first turn and between turns", () => {
    expect(new LoopClock().now()).toBe(5_000);
    const { clock, turn, turns } = started();
    for (let n = 0; n < 5; n++) {
      at += TURN_MS;
      turn();
      expect([clock.now(), clock.isLate]).toEqual([at, false]);
    }
    expect(turns).toEqual([0, 0, 0, 0, 0]);
  });

  test("takes a turn that is a little late for the work of a busy process: all of that time counts", () => {
    const { clock, turn, turns } = started();
    at += TURN_MS + STALL_MS;
    expect([clock.now(), clock.isLate]).toEqual([at, false]);
    turn();
    at += TURN_MS + 120;
    turn();
    expect([clock.now(), turns]).toEqual([at, [STALL_MS, 120]]);
  });

  test("stands while the process stands, and says so until the turn in which it has caught up", () => {
    const { clock, turn, turns } = started();
    at += TURN_MS + 60_000;
    const stoodAt = 5_000 + TURN_MS + STALL_MS;
    expect([clock.now(), clock.isLate]).toEqual([stoodAt, true]);
    at += 40; // what came meanwhile is read
    expect([clock.now(), clock.isLate]).toEqual([stoodAt, true]);
    turn();
    expect([clock.now(), clock.isLate, turns]).toEqual([stoodAt, false, [60_040]]);
    at += 10;
    expect([clock.now(), clock.isLate]).toEqual([stoodAt + 10, false]);
  });

  test("leaves each pause out once, and never goes back", () => {
    const { clock, turn } = started();
    let before = clock.now();
    for (const pauseMs of [0, 700, 0, 3_600_000, 499, 501, 0]) {
      for (const step of [TURN_MS, pauseMs]) {
        at += step;
        expect(clock.now()).toBeGreaterThanOrEqual(before);
        before = clock.now();
      }
      turn();
      expect(clock.now()).toBeGreaterThanOrEqual(before);
      before = clock.now();
    }
    const pauses = 700 - STALL_MS + (3_600_000 - STALL_MS) + 1;
    expect(clock.now()).toBe(at - pauses);
  });

  test("lets the loop read twice what has come before a turn, which knows how late the timer was", () => {
    const { turns } = started();
    at += TURN_MS + 300;
    onTimer();
    loop();
    expect(turns).toEqual([]);
    at += 90; // so long reading took
    loop();
    expect(turns).toEqual([300]);
  });

  test("ends when it is told to", () => {
    const { end } = started();
    expect(isTimerSet).toBe(true);
    end();
    expect(isTimerSet).toBe(false);
  });
});
