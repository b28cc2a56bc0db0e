/** The mark of memory above which nobody new is taken: what it is, and what a relay does that is above it. */
import { expect, test } from "bun:test";
import { totalmem } from "node:os";
import { readConfig } from "../../src/program/config.ts";
import { MemoryWatch } from "../../src/program/memory.ts";
import { counted } from "../support/machines/metrics.ts";
import { residentBytes } from "../support/machines/outside.ts";
import { equals, until } from "../support/machines/until.ts";
import { expectUndisturbed, newPair, untilTaken } from "../support/peers/client.ts";
import { inTurns } from "../support/peers/crowd.ts";
import { RawClient, UPGRADE } from "../support/peers/raw.ts";
import { sayUnfinished } from "../support/peers/unfinished.ts";
import { spawnRelay } from "../support/relays/relay.ts";

const MIB = 1_048_576;

test("the mark is what the operator says, or else a share of what there is", () => {
  expect(new MemoryWatch(300 * MIB, () => 0).markBytes).toBe(300 * MIB);
  const share = new MemoryWatch(0, () => 0).markBytes;
  expect(share).toBeGreaterThan(100 * MIB);
  expect(share).toBeLessThanOrEqual(totalmem() * 0.75);
  expect(new MemoryWatch(0, () => 0).isShort).toBe(false);
});

test("memory is short above the mark and no longer than that", () => {
  let resident: number | null = 300 * MIB;
  const watch = new MemoryWatch(1_048_576 * MIB, () => resident);
  const mark = watch.markBytes;
  const shortAt = (bytes: number | null) => {
    resident = bytes;
    watch.turn();
    return watch.isShort;
  };
  expect([shortAt(mark), shortAt(mark + 1), shortAt(mark), shortAt(null)]).toEqual([false, true, false, false]);
});

test("a mark below what the relay itself takes is refused", () => {
  expect(() => readConfig(["--max-memory=99MiB"], {})).toThrow("--max-memory");
  expect(readConfig(["--max-memory=100MiB"], {}).maxMemoryBytes).toBe(100 * MIB);
});

test("above it newcomers are told to come back, who is here goes on, and it ends when memory has been given back", async () => {
  await using relay = await spawnRelay("binary", "--exempt=none", "--max-memory=100MiB", "--admin=127.0.0.1:0");
  const pair = await newPair(relay.url);
  const idle = residentBytes(relay.process.pid);
  const mallories = await inTurns(1_200, 50, (n) => sayUnfinished(relay.port, n));
  await until("readiness to end", async () => (await relay.admin("/readyz")).text(), equals("crowded\n"));
  const raw = await RawClient.dial(relay.port);
  raw.write(UPGRADE);
  const head = await raw.head();
  expect(head).toStartWith("HTTP/1.1 503 ");
  expect(head).toMatch(/^retry-after: [0-5]\r?$/im);
  const { memory } = await counted(relay, "whisper_upgrades_total");
  expect(memory).toBe(1 + mallories.filter(({ status }) => status === 503).length);
  await expectUndisturbed(pair);
  expect(residentBytes(relay.process.pid) - idle).toBeLessThan(150 * MIB);
  for (const { client } of mallories) client.end(true);
  await untilTaken(relay.url);
  await expectUndisturbed(pair);
  expect((await relay.stop("SIGKILL")).stderr.match(/memory is short/g)?.length).toBe(1);
});
