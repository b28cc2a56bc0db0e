/**
 * Strangers who leave their messages unfinished, more than the memory of a container could hold: the relay lives, and
 * the pairs in it go on. Needs root and control groups, or it is skipped; under CI it never is.
 */
import { expect, test } from "bun:test";
import { MemoryGroup } from "../support/machines/cgroup.ts";
import { counted, scrape } from "../support/machines/metrics.ts";
import { measured, quantile, residentBytes } from "../support/machines/outside.ts";
import { expectUndisturbed, newPair, untilTaken } from "../support/peers/client.ts";
import { inTurns } from "../support/peers/crowd.ts";
import { sayUnfinished } from "../support/peers/unfinished.ts";
import { command, PURGING, spawnProgram } from "../support/relays/relay.ts";

const MIB = 1_048_576;
const obstacle = MemoryGroup.whyNot();
if (obstacle !== null) console.warn(`memory.long.ts: not tried: ${obstacle}`);

test.skipIf(!process.env["CI"])("CI has control groups to test with", () => {
  expect(obstacle).toBe(null);
});

/** With the most memory that peers can make the relay hold below its limit, and above it. */
test.skipIf(obstacle !== null).each([
  [8_000, 1_024],
  [8_000, 384],
])("%d unfinished messages in a container of %d MiB", async (count, limitMiB) => {
  using group = new MemoryGroup(limitMiB * MIB);
  const options = ["--exempt=none", "--admin=127.0.0.1:0", "--ping-interval=10m"]; // raw peers answer no ping
  await using relay = await spawnProgram([...group.through, ...PURGING, ...command("binary", ...options)]);
  const mark = (await scrape(relay)).get("whisper_memory_mark_bytes");
  expect(mark).toBe(Math.floor(limitMiB * MIB * 0.75));
  const pair = await newPair(relay.url);
  const before = residentBytes(relay.process.pid);
  let isOver = false;
  const times: number[] = [];
  const talking = (async () => {
    while (!isOver) {
      const since = performance.now();
      await expectUndisturbed(pair);
      times.push(performance.now() - since);
      await Bun.sleep(100); // within the rate of messages that a stranger has
    }
  })();
  const mallories = await inTurns(count, 100, (n) => sayUnfinished(relay.port, n));
  await Bun.sleep(2_000); // what was sent is read
  isOver = true;
  await talking;
  const [most, upgrades] = [residentBytes(relay.process.pid), await counted(relay, "whisper_upgrades_total")];
  const taken = (upgrades["taken"] ?? 0) - 2;
  measured(
    `${taken} of ${count} were taken, ${((most - before) / 1_024 / taken).toFixed(0)} KiB each, ${(most / MIB).toFixed(0)} of ${limitMiB} MiB; a message there and back p99 ${quantile(times, 0.99).toFixed(0)} ms`,
  );
  expect(taken + (upgrades["memory"] ?? 0) + (upgrades["address"] ?? 0)).toBe(count);
  expect(relay.process.exitCode).toBe(null);
  for (const { client } of mallories) client.end(true);
  await untilTaken(relay.url);
  await expectUndisturbed(pair);
  relay.process.kill("SIGKILL");
  await relay.process.exited;
});
