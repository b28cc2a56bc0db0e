/** Nodes and an engine with everything that may go wrong, in virtual time. A run that fails names its seed. */
import { expect, test } from "bun:test";
import { PLANTED } from "../support/cluster/planted.ts";
import { expectNoFault, simulate } from "../support/cluster/simulation.ts";

const RUNS = 600;
const FIRST_SEED = 1;
/** A planted fault is found within so many runs; most within fifty. */
const SEARCHED = 600;

test("no two nodes have one session, nobody is forgotten, nothing comes late or out of order, and nothing is left", () => {
  expectNoFault(FIRST_SEED, RUNS);
});

test("a seed gives the same run again", () => {
  expect(simulate(7)).toEqual(simulate(7));
});

test.each(PLANTED)("%s: it is found, as %s", (_, found, plant) => {
  const planted = plant();
  try {
    const hit = Array.from({ length: SEARCHED }, (_, n) => n + 1).some((seed) =>
      simulate(seed, planted).faults.some((fault) => fault.includes(found)),
    );
    expect(hit).toBe(true);
  } finally {
    planted[Symbol.dispose]?.();
  }
});
