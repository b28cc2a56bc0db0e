/**
 * Mallory joins and never reads while the peer opposite sends all it can. What waits for Mallory fills the kernels
 * and then the relay; what may wait there is little, and nobody else may feel it. Loopback has no rates or quotas.
 */
import { describe, expect, test } from "bun:test";
import {
  highestDuring,
  measured,
  openFiles,
  quantile,
  residentBytes,
  secondsSince,
} from "../support/machines/outside.ts";
import { atMost, equals, until } from "../support/machines/until.ts";
import { newCode, newPair, type Pair } from "../support/peers/client.ts";
import { PeerProcess } from "../support/peers/peers.ts";
import { Reader } from "../support/peers/reader.ts";
import { type RunningRelay, spawnRelay } from "../support/relays/relay.ts";

/** Far more than what the kernels take, 4 to 10 MB, so that a relay without a limit would be seen to grow. */
const FLOOD = { messages: 1_000, bytes: 60 * 1_024 };
/** --max-buffered, the message that went over it and the one behind it; a buffer that doubles takes up to twice that. */
const HELD_BYTES = 2 * (256 * 1_024 + 2 * 64 * 1_024);
/** What the memory of an idle process of this kind differs by from one minute to the next. */
const SLACK_BYTES = 12 * 1_048_576;

/** The longest that 99 of 100 round trips may take beside a flood, on a machine that runs the flood too. */
const FLOODED_MS = 250;

/** What the kernel books for a send buffer of 64 KiB that is full, the last packet over its edge included. */
const QUEUED_BYTES = 256 * 1_024;
/** The 20 s after which the kernel gives an unread connection up, found out at its next probe. */
const QUEUED_SECONDS = 45;

/** What the kernel holds for sockets on a port that send: wmem_alloc and what is queued, as ss tells them. */
function queuedBytes(port: number): number {
  const { stdout } = Bun.spawnSync(["ss", "-Htnma", `sport = :${port}`]);
  const queued = stdout.toString().matchAll(/skmem:\(.*?,t(\d+),tb\d+,f(\d+),w(\d+)/g);
  return [...queued].reduce((sum, [, , , bytes]) => sum + Number(bytes), 0);
}

const mega = (bytes: number) => `${(bytes / 1_048_576).toFixed(1)} MiB`;

/** Lets a process flood these sessions, and returns it when all its peers have had enough or are done. */
async function flood(relay: RunningRelay, codes: readonly string[], messages = FLOOD.messages): Promise<PeerProcess> {
  const peers = await PeerProcess.join(relay.url, codes, { isInitiator: true, flood: { ...FLOOD, messages } });
  await peers.heard(/peer-left|done|closed/, codes.length);
  return peers;
}

/** The highest memory of the relay while `count` pairs send each other as much, and read it. */
async function warmUp(relay: RunningRelay, count: number, messages: number): Promise<number> {
  const codes = Array.from({ length: count }, newCode);
  await using _readers = await PeerProcess.join(relay.url, codes, { isInitiator: false });
  return await highestDuring(
    flood(relay, codes, messages).then((peers) => peers[Symbol.asyncDispose]()),
    () => residentBytes(relay.process.pid),
  );
}

/** How long each of a pair's questions waits for its answer, in ms, up to the end of `work` or so many times. */
async function roundTrips({ code, alice, bob }: Pair, work: Promise<unknown> | number): Promise<number[]> {
  let isOver = false;
  if (typeof work !== "number") void work.finally(() => (isOver = true)).catch(() => {});
  const times: number[] = [];
  while (!isOver && times.length < (typeof work === "number" ? work : Number.POSITIVE_INFINITY)) {
    const since = performance.now();
    alice.send({ type: "offer", sessionCode: code, offer: {} });
    await bob.expect("offer");
    bob.send({ type: "answer", sessionCode: code, answer: {} });
    await alice.expect("answer");
    times.push(performance.now() - since);
  }
  return times;
}

describe.each([1, 50])("%d peers that do not read", (count) => {
  test("are closed as slow, which they hear when they read after all, and their pairs are told", async () => {
    await using relay = await spawnRelay("binary");
    const { pid } = relay.process;
    const openBefore = openFiles(pid);
    const codes = Array.from({ length: count }, newCode);
    const mallories = await Promise.all(codes.map((code) => Reader.join(relay.port, code, false)));
    await using flooders = await PeerProcess.join(relay.url, codes, { isInitiator: true, flood: FLOOD });
    const read = await Promise.all(
      mallories.map(async (mallory, n) => {
        await flooders.heard(new RegExp(`^${n} .*"peer-left"`));
        return mallory.readToEnd();
      }),
    );
    expect(read.map(({ code }) => code)).toEqual(codes.map(() => 4001));
    expect(flooders.lines(/closed/)).toEqual([]);
    measured(`${count} slow readers: each took ${mega(Math.min(...read.map(({ bytes }) => bytes)))} or more`);
    expect(await relay.sessions()).toBe(count);
    await flooders[Symbol.asyncDispose]();
    await until("its files to be closed", () => openFiles(pid), atMost(openBefore));
  });

  test("and never will cost the relay a bounded number of bytes, and are hung up on", async () => {
    await using relay = await spawnRelay("binary");
    const { pid } = relay.process;
    const openAtRest = openFiles(pid);
    const before = await warmUp(relay, count, Math.ceil(FLOOD.messages / count));
    await until("the last session to end", () => relay.sessions(), equals(0));
    await until("its files to be closed", () => openFiles(pid), atMost(openAtRest));
    const codes = Array.from({ length: count }, newCode);
    const mallories = await Promise.all(codes.map((code) => Reader.join(relay.port, code, false)));
    const flooding = flood(relay, codes);
    const highest = await highestDuring(flooding, () => residentBytes(pid));
    const flooders = await flooding;
    expect(flooders.lines(/peer-left/).length).toBe(count);
    const since = performance.now();
    await flooders[Symbol.asyncDispose]();
    await until("the last session to end", () => relay.sessions(), equals(0));
    await until("its files to be closed", () => openFiles(pid), atMost(openAtRest));
    const most = count * HELD_BYTES + SLACK_BYTES;
    measured(
      `${count} slow readers: ${mega(before)} in RAM before, at most ${mega(highest)}; bound ${mega(most)} more`,
    );
    measured(`${count} slow readers that never read: hung up on after ${secondsSince(since).toFixed(1)} s`);
    expect(highest - before).toBeLessThan(most);
    expect(secondsSince(since)).toBeLessThan(60);
    for (const mallory of mallories) mallory.destroy();
  });

  test("are not felt by a pair that does", async () => {
    await using relay = await spawnRelay("binary");
    const pair = await newPair(relay.url);
    await roundTrips(pair, 2_000);
    const idle = quantile(await roundTrips(pair, 2_000), 0.99);
    const times: number[] = [];
    while (times.length < 500) {
      const codes = Array.from({ length: count }, newCode);
      const mallories = await Promise.all(codes.map((code) => Reader.join(relay.port, code, false)));
      const flooding = flood(relay, codes);
      times.push(...(await roundTrips(pair, flooding)));
      await (await flooding)[Symbol.asyncDispose]();
      for (const mallory of mallories) mallory.destroy();
    }
    const flooded = quantile(times, 0.99);
    measured(
      `${count} slow readers: p99 of a round trip ${idle.toFixed(1)} ms idle, ${flooded.toFixed(1)} ms in ${times.length} of the flood, the longest ${Math.max(...times).toFixed(1)} ms`,
    );
    expect(flooded).toBeLessThan(Math.max(FLOODED_MS, 10 * idle));
    expect(await pair.bob.drain()).toEqual([]);
  });
});

test("what 50 peers that never read have in send queues is little, and gone 45 s after", async () => {
  await using relay = await spawnRelay("binary");
  const before = queuedBytes(relay.port);
  const codes = Array.from({ length: 50 }, newCode);
  const mallories = await Promise.all(codes.map((code) => Reader.join(relay.port, code, false)));
  await using _flooders = await flood(relay, codes);
  const since = performance.now();
  const highest = queuedBytes(relay.port);
  await until(
    "the send queues to empty",
    () => queuedBytes(relay.port) <= before || secondsSince(since) > QUEUED_SECONDS,
  );
  measured(
    `50 slow readers: ${mega(highest)} in send queues after the flood, ${mega(queuedBytes(relay.port))} after ${secondsSince(since).toFixed(0)} s`,
  );
  expect(highest).toBeLessThan(50 * QUEUED_BYTES);
  expect(queuedBytes(relay.port)).toBe(before);
  for (const mallory of mallories) mallory.destroy();
});

test("with the limits that strangers have, a flood ends before a quarter of its quota was taken, and its sender stays", async () => {
  await using relay = await spawnRelay("binary", "--exempt", "none");
  const before = residentBytes(relay.process.pid);
  const code = newCode();
  const mallory = await Reader.join(relay.port, code, false);
  const flooding = flood(relay, [code]);
  const highest = await highestDuring(flooding, () => residentBytes(relay.process.pid));
  await using flooders = await flooding;
  expect(await flooders.heard(/"peer-left"/)).toHaveLength(1);
  const end = await mallory.readToEnd();
  measured(`a stranger's flood ended after ${mega(end.bytes)}, with ${mega(highest - before)} more in RAM`);
  expect(end.code).toBe(4001);
  expect(end.bytes).toBeLessThan(1_048_576);
  expect(flooders.lines(/closed/)).toEqual([]);
});
