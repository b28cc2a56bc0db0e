import { describe, expect, test } from "bun:test";
import { GRACE_MS, judge, TURN_MS } from "../../src/core/clock.ts";
import { Random } from "../support/machines/random.ts";

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
