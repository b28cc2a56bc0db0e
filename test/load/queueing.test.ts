/** What waits in the tester itself is seen whenever the tester stands still, not only while its own byte is on its way. */
import { expect, test } from "bun:test";
import { QueueProbe } from "../../src/load/queueing.ts";
import { until } from "../support/machines/until.ts";

const STILL_MS = 300;
/** Bytes are less far apart, whatever the timer adds. */
const STEP_MS = 25;

test("what would have come while it stood still has waited for the rest of that time", async () => {
  const probe = new QueueProbe();
  await probe.start();
  const next = () =>
    until(
      "a byte",
      () => probe.take(),
      ({ max }) => max > 0,
    );
  await next();
  Bun.sleepSync(STILL_MS); // no byte is on its way: one has just come
  const { max, buckets } = await next();
  probe.stop();
  expect(max).toBeGreaterThan((STILL_MS - STEP_MS) * 1_000);
  expect(buckets.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThanOrEqual(STILL_MS / STEP_MS - 1);
});
