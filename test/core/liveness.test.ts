import { describe, expect, test } from "bun:test";
import { GRACE_TURNS, Liveness, type Pulse } from "../../src/core/liveness.ts";
import { Random } from "../support/machines/random.ts";

interface Peer {
  readonly data: Pulse;
}

function newPeer(liveness: Liveness<Peer>): Peer {
  const peer = { data: liveness.newPulse() };
  liveness.add(peer);
  return peer;
}

describe.each([1, 2, 5, 6, 25, 600])("with %d turns between two pings", (turns) => {
  test("every peer is pinged once a round", () => {
    const liveness = new Liveness<Peer>(turns);
    const peers = Array.from({ length: 50 }, () => newPeer(liveness));
    for (let round = 0; round < 2; round++) {
      const pinged = Array.from({ length: turns }, () => liveness.turn().due).flat();
      expect(pinged.length).toBe(50);
      expect(new Set(pinged)).toEqual(new Set(peers));
    }
  });

  test("a peer that answers is never taken for gone", () => {
    const liveness = new Liveness<Peer>(turns);
    for (let i = 0; i < 50; i++) newPeer(liveness);
    for (let turn = 0; turn < 5 * turns + 50; turn++) {
      const { due, silent } = liveness.turn();
      expect(silent).toEqual([]);
      for (const peer of due) liveness.heard(peer);
    }
  });

  test("a silent one is gone after two rounds and the grace, and before a third round has passed", () => {
    const random = new Random(turns);
    for (let trial = 0; trial < 50; trial++) {
      const liveness = new Liveness<Peer>(turns);
      const peer = newPeer(liveness);
      for (let turn = random.below(3 * turns); turn > 0; turn--) {
        liveness.turn();
        liveness.heard(peer);
      }
      let silence = 1;
      while (liveness.turn().silent.length === 0) silence++;
      expect(silence).toBeWithin(2 * turns + GRACE_TURNS, 3 * turns + GRACE_TURNS);
    }
  });
});

test("a crowd that comes at once is not pinged at once", () => {
  const liveness = new Liveness<Peer>(25);
  for (let i = 0; i < 10_000; i++) newPeer(liveness);
  for (let turn = 0; turn < 25; turn++) expect(liveness.turn().due.length).toBeWithin(250, 600);
});

test("a peer that was removed is neither pinged nor listed", () => {
  const liveness = new Liveness<Peer>(3);
  const [gone, there] = [newPeer(liveness), newPeer(liveness)];
  liveness.remove(gone);
  expect(liveness.all()).toEqual([there]);
  expect([liveness.turn(), liveness.turn(), liveness.turn()].flatMap(({ due }) => due)).toEqual([there]);
});
