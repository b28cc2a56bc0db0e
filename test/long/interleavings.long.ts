/** Admission in every order, deeper than the short suite goes (core/interleavings). */
import { expect, test } from "bun:test";
import { explore } from "../support/core/explore.ts";

test.each([
  { asks: false, depth: 9, least: 150_000 },
  { asks: true, depth: 8, least: 100_000 },
])("whatever three peers do in whatever order, the rules hold (%p)", ({ asks, depth, least }) => {
  const { states, steps, faults } = explore(asks, depth);
  console.info(`explored to depth ${depth}${asks ? " with a directory" : ""}: ${states} states, ${steps} steps`);
  expect(faults).toEqual([]);
  expect(states).toBeGreaterThan(least);
});
