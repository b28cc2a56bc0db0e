/** The relay's clock, with the process's own time and timers in the test's hand; and who is taken for gone, by its turns. */
import { afterEach, beforeEach, describe, expect, mock, spyOn, test } from "bun:test";
import { GRACE_MS, judge, TURN_MS } from "../../src/core/liveness.ts";
import { LoopClock } from "../../src/program/clock.ts";
import { Random } from "../support/machines/random.ts";

/** By so much a turn may be late before the process is taken to have stood still. */
const STALL_MS = 500;

let at = 0;
let onTimer = () => {};
let immediates: (() => void)[] = [];
let isTimerSet = false;

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

const GRACE_TURNS = GRACE_MS / TURN_MS;
const newPeers = (count: number, round: number) =>
  Array.from({ length: count }, (_, i) => ({ heardTurn: 0, slot: i % round }));

describe.each([1, 2, 5, 6, 25, 600])("with %d turns between two pings", (round) => {
  test("every peer is pinged once a round", () => {
    const peers = newPeers(50, round);
    for (let first = 1; first < 2 * round; first += round) {
      const pinged = Array.from({ length: round }, (_, i) =>
        peers.filter((peer) => judge(peer, first + i, round) === "due"),
      ).flat();
      expect(pinged.length).toBe(50);
      expect(new Set(pinged)).toEqual(new Set(peers));
    }
  });

  test("a peer that answers is never taken for gone", () => {
    const peers = newPeers(50, round);
    for (let turn = 1; turn < 5 * round + 50; turn++) {
      for (const peer of peers) {
        const verdict = judge(peer, turn, round);
        expect(verdict).not.toBe("silent");
        if (verdict === "due") peer.heardTurn = turn;
      }
    }
  });

  test("a silent one has been pinged for more than a round and is gone after two and the grace, whatever its slot", () => {
    const random = new Random(round);
    for (let trial = 0; trial < 50; trial++) {
      const heardTurn = random.below(3 * round);
      const peer = { heardTurn, slot: random.below(round) };
      const last = heardTurn + 2 * round + GRACE_TURNS;
      let pings = 0;
      for (let turn = heardTurn + 1; turn < last; turn++) {
        const verdict = judge(peer, turn, round);
        expect(verdict).not.toBe("silent");
        if (verdict === "due") pings++;
      }
      expect(pings).toBeGreaterThanOrEqual(2);
      expect(judge(peer, last, round)).toBe("silent");
    }
  });
});
