/**
 * Churn with every kind of ending, over a minute. When all have gone nothing is left: no session, no file, no object,
 * and once memory has found its level, no more of it.
 */

import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { startRelay } from "../../src/core/relay.ts";
import { gauges } from "../../src/program/books.ts";
import { LoopClock } from "../../src/program/clock.ts";
import { readConfig } from "../../src/program/config.ts";
import { Metrics } from "../../src/program/metrics.ts";
import { answer, refusal } from "../../src/web/http.ts";
import { killed, type Place, QUICK, SLOW } from "../support/machines/endings.ts";
import { failed } from "../support/machines/failed.ts";
import { measured, openFiles, residentBytes } from "../support/machines/outside.ts";
import { atMost, equals, until } from "../support/machines/until.ts";
import { command, LIMITS_ALONE, PURGING, spawnProgram } from "../support/relays/relay.ts";

const ARGS = [
  ...["--join-timeout=1s", "--session-ttl=3s"],
  ...["--exempt=127.0.0.1", "--max-per-address=10000"], // a crowd from one address is no reason to warn of anything
];
const CYCLES = 8;
const CYCLE_MS = 10_000;
/** Lives at once: quick ones, one after the other in each lane, and slow ones of each kind, side by side. */
const LANES = 16;
const SLOW_EACH = 100;
const KILLED = 50;
/** So many cycles it takes until the allocator has what it needs, what overwrites free memory included. */
const SETTLED_AFTER = 4;
/** How much more than by then may be resident after the last; it varies by half of that. */
const MOST_GROWTH_BYTES = 12 * 2 ** 20;
/** In the heap: cycles, what is back at its start after each, and how much of any type may have been added later. */
const HEAP_CYCLES = 4;
const HEAP_CYCLE_MS = 4_000;
const PATIENCE_MS = 10_000;
const GIVEN_BACK = ["ServerWebSocket", "WebSocket", "Timeout"];
/** A type counts a prototype or two of its own from its first use on. */
const PROTOTYPES = 2;
const MOST_MORE_OBJECTS = 100;
const NOTHING = { sockets: 0, notJoined: 0, probing: 0, sessions: 0, seated: 0, seatsHeld: 0 };

/** The objects in the heap of this process, by type, garbage collected. */
function objects(): Record<string, number> {
  Bun.gc(true);
  return heapStats().objectTypeCounts;
}

/** Lets peers come and go for so long, and until the last has gone. Returns how many lives ended. */
async function churn(place: Place, ms: number): Promise<number> {
  const end = performance.now() + ms;
  let lives = 0;
  async function lane(first: number): Promise<void> {
    for (let n = first; performance.now() < end; n++, lives++) await QUICK[n % QUICK.length]?.(place);
  }
  const slow = SLOW.flatMap((ending) => Array.from({ length: SLOW_EACH }, () => ending(place)));
  await Promise.all([...Array.from({ length: LANES }, (_, n) => lane(n)), ...slow, killed(place, KILLED)]);
  return lives + slow.length + KILLED;
}

test("after every cycle all is given back, and memory has found its level", async () => {
  await using relay = await spawnProgram([...PURGING, ...command("binary", ...ARGS)]);
  const { pid } = relay.process;
  expect(await relay.sessions()).toBe(0);
  const openAtFirst = openFiles(pid);
  const resident: number[] = [];
  for (let cycle = 1; cycle <= CYCLES; cycle++) {
    const lives = await churn(relay, CYCLE_MS);
    await until("the last session to end", () => relay.sessions(), equals(0));
    await until("its files to be closed", () => openFiles(pid), atMost(openAtFirst));
    resident.push(residentBytes(pid) / 2 ** 20);
    measured(`soak, cycle ${cycle}: ${lives} lives, ${resident.at(-1)?.toFixed(1)} MiB resident after it`);
  }
  const [level = Number.NaN, ...later] = resident.slice(SETTLED_AFTER - 1);
  const growth = (later.at(-1) ?? Number.NaN) - level;
  measured(`soak: ${(growth / later.length).toFixed(2)} MiB a cycle from cycle ${SETTLED_AFTER} on`);
  expect(growth).toBeLessThan(MOST_GROWTH_BYTES / 2 ** 20);
  expect(await (await relay.get("/health")).json()).toEqual({ status: "ok", sessions: 0 });
  expect((await relay.stop()).stderr).toMatch(LIMITS_ALONE);
});

test("no socket, peer or collection outlives its session in the heap", async () => {
  const warnings: string[] = [];
  const config = readConfig(["--host", "127.0.0.1", "--port", "0", ...ARGS], {});
  const relay = startRelay(config, {
    events: new Metrics({ warn: (warning) => void warnings.push(warning) }),
    http: (request) => answer(request, "ok", 0),
    refusal,
    failed,
    clock: new LoopClock(),
  });
  const place = { url: `ws://127.0.0.1:${relay.port}`, port: relay.port };
  const start = objects();
  let first: Record<string, number> | null = null;
  for (let cycle = 1; cycle <= HEAP_CYCLES; cycle++) {
    await churn(place, HEAP_CYCLE_MS);
    await until("the last socket to close", () => gauges(relay.state).sockets, equals(0));
    relay.sweep();
    expect(gauges(relay.state)).toEqual(NOTHING);
    const end = performance.now() + PATIENCE_MS;
    const left = () => GIVEN_BACK.filter((type) => (objects()[type] ?? 0) > (start[type] ?? 0) + PROTOTYPES);
    await until("the objects to be collected", () => left().length === 0 || performance.now() > end); // the collector takes some rounds
    expect(left()).toEqual([]);
    first ??= objects();
  }
  const growth = () =>
    Object.entries(objects())
      .map(([type, count]) => ({ type, more: count - (first?.[type] ?? 0) }))
      .toSorted((a, b) => b.more - a.more);
  const grown = () => growth().filter(({ more }) => more > MOST_MORE_OBJECTS);
  // What is still on the stack is taken for used: it goes in a later round, and what leaks in none.
  const end = performance.now() + PATIENCE_MS;
  await until("what was used last to be collected", () => grown().length === 0 || performance.now() > end);
  measured(`soak: what grew most from the first cycle to the last: ${JSON.stringify(growth().slice(0, 5))}`);
  expect(grown()).toEqual([]);
  expect(warnings).toEqual([]);
  await relay.stop();
});
