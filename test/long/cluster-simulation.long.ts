/** The simulation at length: as many runs as find what comes once in ten thousand. */
import { test } from "bun:test";
import { expectNoFault } from "../support/cluster/simulation.ts";

const RUNS = 100_000;
/** The same runs each time, unless others are asked for. */
const FIRST_SEED = Number(process.env["SIMULATION_SEED"] ?? 1_000_000);

test(
  `in ${RUNS} runs nothing happens that must not`,
  () => {
    expectNoFault(FIRST_SEED, RUNS);
  },
  20 * 60_000,
);
