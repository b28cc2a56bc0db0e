/**
 * Crowds: sockets that never join, heads that never end, storms of connections, no files left. Beside each an honest
 * pair must get through, and after each the relay must hold no more than before.
 */
import { describe, expect, test } from "bun:test";
import { cpuMs, measured, openFiles, quantile, residentBytes, secondsSince } from "../support/machines/outside.ts";
import { atLeast, atMost, equals, until } from "../support/machines/until.ts";
import { expectUndisturbed, newCode, newPair } from "../support/peers/client.ts";
import { ask, inTurns, spawnWithFiles } from "../support/peers/crowd.ts";
import { frame, OP, RawClient, UPGRADE } from "../support/peers/raw.ts";
import { type RunningRelay, spawnRelay } from "../support/relays/relay.ts";

/** Connections that are being opened at one time; the queue of the listener takes 512. */
const AT_ONCE = 200;

/** Files open before anything is done. */
function openAtRest(relay: RunningRelay): number {
  return openFiles(relay.process.pid);
}

/** Pairs meet, talk and part, one after the other, until `work` is done. Returns the ms that each took. */
async function pairsDuring(url: string, work: Promise<unknown>): Promise<number[]> {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  work.then(end, end);
  const times: number[] = [];
  while (!isOver) {
    const since = performance.now();
    const pair = await newPair(url);
    await expectUndisturbed(pair);
    pair.alice.close();
    pair.bob.close();
    await Promise.all([pair.alice.closed, pair.bob.closed]);
    times.push(performance.now() - since);
    await Bun.sleep(10); // it is there to try the relay, not to load it
  }
  await work;
  return times;
}

/** Says how pairs fared beside a crowd; the bound is one that a person at the other end would put up with. */
function served(times: readonly number[]): string {
  expect(Math.max(...times)).toBeWithin(0, 5_000);
  return `${times.length} pairs were served meanwhile, p99 ${quantile(times, 0.99).toFixed(0)} ms`;
}

test("10,000 sockets that never join are all closed in time, and pairs in their midst are served", async () => {
  await using relay = await spawnRelay("binary");
  const { pid } = relay.process;
  const atRest = openAtRest(relay);
  const pair = await newPair(relay.url);
  const since = performance.now();
  const crowd = inTurns(10_000, AT_ONCE, () => RawClient.connect(relay.port)).then((crowd) => {
    measured(
      `10,000 sockets opened in ${secondsSince(since).toFixed(1)} s; ${openFiles(pid) - atRest} more files are open`,
    );
    return inTurns(crowd.length, crowd.length, async (n) => [await crowd[n]?.text(), await crowd[n]?.text()].join());
  });
  const times = await pairsDuring(relay.url, crowd);
  measured(`10,000 that never join were gone after ${secondsSince(since).toFixed(1)} s; ${served(times)}`);
  const ends = new Set(await crowd);
  expect([...ends]).toEqual([expect.stringMatching(/^{"type":"error","code":"join-timeout",[^}]*},close 4503$/)]);
  await expectUndisturbed(pair);
  expect(await relay.sessions()).toBe(1);
  pair.alice.close();
  pair.bob.close();
  await until("the last session to end", () => relay.sessions(), equals(0));
  await until("its files to be closed", () => openFiles(pid), atMost(atRest));
});

test.each([
  ["stop half way", UPGRADE.slice(0, 60), false],
  ["never begin", "", false],
  ["come a byte a second", UPGRADE.slice(0, 60), true],
] as const)("2,000 request heads that %s keep nobody out, and are hung up on", async (what, begun, dripping) => {
  await using relay = await spawnRelay("binary");
  const { pid } = relay.process;
  const atRest = openAtRest(relay);
  const crowd = await inTurns(2_000, AT_ONCE, async () => {
    const socket = await RawClient.dial(relay.port);
    socket.write(begun);
    return socket;
  });
  await until("the crowd to be taken", () => openFiles(pid), atLeast(atRest + crowd.length));
  const since = performance.now();
  const drip = () => {
    for (const socket of crowd) socket.write("a");
  };
  const dripper = dripping ? setInterval(drip, 1_000) : undefined;
  const gone = until("the crowd to be hung up on", () => openFiles(pid), atMost(atRest + crowd.length / 10));
  const times = await pairsDuring(relay.url, gone);
  clearInterval(dripper);
  measured(`2,000 heads that ${what} were gone after ${secondsSince(since).toFixed(1)} s; ${served(times)}`);
  expect(secondsSince(since)).toBeLessThan(20);
  await until("its files to be closed", () => openFiles(pid), atMost(atRest));
});

function join(): Buffer {
  return frame(OP.text, JSON.stringify({ type: "join", sessionCode: newCode(), isInitiator: true }));
}

async function dialAndWrite(port: number, ...parts: (string | Uint8Array)[]): Promise<RawClient> {
  const socket = await RawClient.dial(port);
  socket.write(...parts);
  return socket;
}

const STORMS: [what: string, come: (port: number) => Promise<RawClient>][] = [
  ["say nothing", (port) => RawClient.dial(port)],
  ["ask and do not wait", (port) => dialAndWrite(port, UPGRADE)],
  ["ask and join and do not wait", (port) => dialAndWrite(port, UPGRADE, join())],
  ["are upgraded", (port) => RawClient.connect(port)],
  [
    "have joined",
    async (port) => {
      const socket = await RawClient.connect(port);
      socket.write(join());
      await socket.text();
      return socket;
    },
  ],
];

test("a storm of 20,000 connections that close at once, each in one of ten ways, leaves nothing behind", async () => {
  await using relay = await spawnRelay("binary");
  const { pid } = relay.process;
  const atRest = openAtRest(relay);
  const pair = await newPair(relay.url);
  for (const [what, come] of STORMS)
    for (const reset of [false, true]) {
      const since = performance.now();
      const storm = inTurns(2_000, AT_ONCE, async () => (await come(relay.port)).end(reset));
      const times = await pairsDuring(relay.url, storm);
      const seconds = secondsSince(since).toFixed(1);
      measured(`2,000 that ${what} and ${reset ? "reset" : "close"} in ${seconds} s; ${served(times)}`);
      await until("one session to be left", () => relay.sessions(), equals(1));
      await until("its files to be closed", () => openFiles(pid), atMost(atRest + 2));
    }
  measured(`${(residentBytes(pid) / 1_048_576).toFixed(0)} MiB in RAM after the storms`);
  await expectUndisturbed(pair);
  pair.alice.close();
  pair.bob.close();
  await until("the last session to end", () => relay.sessions(), equals(0));
  await until("its files to be closed", () => openFiles(pid), atMost(atRest));
});

describe("under a limit of 300 open files", () => {
  const FILES = 300;
  const PEERS = 220;

  test("220 peers are taken; the next is told when to come again, and gets in when one has gone", async () => {
    await using relay = await spawnWithFiles(FILES);
    const pair = await newPair(relay.url);
    const crowd = await inTurns(PEERS - 2, 20, () => RawClient.connect(relay.port));
    for (let n = 0; n < 50; n++) {
      const { status, retryAfterS, client } = await ask(relay.port, "127.0.0.1");
      client.end(true);
      expect(status).toBe(503);
      expect(retryAfterS).toBeWithin(0, 6);
    }
    await expectUndisturbed(pair);
    crowd.pop()?.end();
    await until("a free place", async () => (await ask(relay.port, "127.0.0.1")).status, equals(101));
    expect((await ask(relay.port, "127.0.0.1")).status).toBe(503);
    await expectUndisturbed(pair);
    for (const socket of crowd) socket.end();
  });

  test("more idle connections than files are survived: the pair goes on, and peers get in once they have gone", async () => {
    await using relay = await spawnWithFiles(FILES);
    const { pid } = relay.process;
    const pair = await newPair(relay.url);
    const crowd = await inTurns(2 * FILES, 50, () => RawClient.dial(relay.port));
    await until("no file to be left", () => openFiles(pid), atLeast(FILES - 1));
    const since = performance.now();
    const busyBefore = cpuMs(pid);
    const times: number[] = [];
    while (secondsSince(since) < 3) {
      const asked = performance.now();
      await expectUndisturbed(pair);
      times.push(performance.now() - asked);
      await Bun.sleep(10);
    }
    const busy = (cpuMs(pid) - busyBefore) / (10 * secondsSince(since));
    measured(
      `with no files left: round trips p99 ${quantile(times, 0.99).toFixed(1)} ms, ${busy.toFixed(0)} % of a processor`,
    );
    for (const socket of crowd) socket.end(true);
    const freed = performance.now();
    const later = await newPair(relay.url);
    measured(`a new pair was served ${secondsSince(freed).toFixed(2)} s after they had gone`);
    await expectUndisturbed(later);
    await expectUndisturbed(pair);
    expect(relay.process.exitCode).toBe(null);
  });

  test("idle connections that stay are hung up on, and who waited behind them is served", async () => {
    await using relay = await spawnWithFiles(FILES);
    const pair = await newPair(relay.url);
    const crowd = await inTurns(2 * FILES, 50, () => RawClient.dial(relay.port));
    await until("no file to be left", () => openFiles(relay.process.pid), atLeast(FILES - 1));
    const since = performance.now();
    const later = await newPair(relay.url);
    measured(
      `a pair that came behind ${2 * FILES} idle connections was served after ${secondsSince(since).toFixed(1)} s`,
    );
    expect(secondsSince(since)).toBeLessThan(60);
    await expectUndisturbed(later);
    await expectUndisturbed(pair);
    for (const socket of crowd) socket.end();
  });
});

describe("for strangers", () => {
  test("the 257th connection from one address is refused for now; another address, and one in its place, get in", async () => {
    await using relay = await spawnRelay(
      "binary",
      "--exempt",
      "none",
      "--connect-rate",
      "1000",
      "--connect-burst",
      "1000",
    );
    const crowd = await inTurns(256, 20, () => ask(relay.port, "127.0.0.5"));
    expect(crowd.filter(({ status }) => status !== 101)).toEqual([]);
    const refused = await ask(relay.port, "127.0.0.5");
    expect([refused.status, refused.retryAfterS]).toEqual([429, 10]);
    expect((await ask(relay.port, "127.0.0.6")).status).toBe(101);
    crowd.pop()?.client.end(true);
    await until("a free place", async () => (await ask(relay.port, "127.0.0.5")).status, equals(101));
    expect((await ask(relay.port, "127.0.0.5")).status).toBe(429);
    for (const { client } of crowd) client.end(true);
  });

  test("101 connections in one burst from one address are one too many, until a second has passed", async () => {
    await using relay = await spawnRelay("binary", "--exempt", "none", "--connect-rate", "1");
    const since = performance.now();
    const crowd = await inTurns(150, 20, () => ask(relay.port, "127.0.0.5"));
    const passed = Math.ceil(secondsSince(since));
    const taken = crowd.filter(({ status }) => status === 101).length;
    expect(taken).toBeWithin(100, 100 + passed);
    const refused = crowd.filter(({ status }) => status !== 101);
    expect(new Set(refused.map(({ status, retryAfterS }) => `${status} ${retryAfterS}`))).toEqual(new Set(["429 1"]));
    expect((await ask(relay.port, "127.0.0.6")).status).toBe(101);
    await until("a free place", async () => (await ask(relay.port, "127.0.0.5")).status, equals(101));
    for (const { client } of crowd) client.end(true);
    measured(`the burst took ${taken} of 150, and the next after ${secondsSince(since).toFixed(1)} s`);
  });
});
