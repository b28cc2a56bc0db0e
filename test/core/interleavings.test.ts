/**
 * Admission in every order: all that three sockets can do with two codes, in every interleaving, with what must always
 * hold checked after each step. How deep, it says; long/interleavings goes deeper.
 */
import { expect, test } from "bun:test";
import { explore } from "../support/core/explore.ts";

test.each([
  { asks: false, depth: 7, least: 20_000 },
  { asks: true, depth: 6, least: 10_000 },
])("whatever three peers do in whatever order, the rules hold (%p)", ({ asks, depth, least }) => {
  const { states, steps, faults } = explore(asks, depth);
  console.info(`explored to depth ${depth}${asks ? " with a directory" : ""}: ${states} states, ${steps} steps`);
  expect(faults).toEqual([]);
  expect(states).toBeGreaterThan(least);
});
