/** The simulation at length: as many runs as find what comes once in ten thousand. */
import { test } from "bun:test";
import { expectNoFault } from "../support/cluster/simulation.ts";

const RUNS = 100_000;

test(
  `in ${RUNS} runs nothing happens that must not`,
  () => {
    expectNoFault(Math.floor(Math.random() * 1e9), RUNS);
  },
  20 * 60_000,
);
