/**
 * The load tester against a relay that does known harm: what was planted is what is reported, each kind by its name, and
 * none of it moves the times of what was not harmed.
 */
import { describe, expect, test } from "bun:test";
import { histogramOf } from "../../src/load/histogram.ts";
import { expectDelay, expectWhole } from "../support/machines/load-checks.ts";
import { load } from "../support/machines/load-run.ts";
import { measured } from "../support/machines/outside.ts";
import { FakeRelay, type MessageFault } from "../support/relays/fake-relay.ts";

/** 5 pairs send 20 messages a second each way for 1 s. */
const TALK = ["--pairs", "5", "--message-rate", "20", "--duration", "1s", "--timeout", "2s"];
const SENT = 200;
const DELAY_MS = 50;
/** What a machine that others keep busy may add to a median, in ms. */
const BUSY_MS = 800;

const COUNT_OF = {
  lose: "lost",
  duplicate: "duplicated",
  reorder: "reordered",
  corrupt: "corrupted",
  misdeliver: "misdelivered",
} as const satisfies Record<MessageFault, string>;
const ALL = Object.keys(COUNT_OF) as MessageFault[];

describe("harm to messages is counted by its kind", () => {
  test.concurrent.each([...ALL.map((fault) => [[fault]] as const), [ALL] as const])("%j", async (faults) => {
    await using fake = await FakeRelay.start({
      ...{ messageMs: DELAY_MS, messageFaults: faults, messageFaultEvery: 7 },
    });
    const { exitCode, stdout, result } = await load("source", "relay", fake.url, ...TALK);
    const { faults: planted, messages } = await fake.seen();
    expectWhole(result);
    expect(messages).toBe(SENT);
    const { lose = 0, duplicate = 0, reorder = 0, corrupt = 0, misdeliver = 0 } = planted;
    expect(lose + duplicate + reorder + corrupt + misdeliver).toBeGreaterThan(SENT / 10);
    const missing = lose + misdeliver; // what only another peer gets is lost to its own
    const reported = Object.fromEntries(Object.values(COUNT_OF).map((count) => [count, result.counts[count]]));
    measured(`planted ${JSON.stringify(planted)}, reported ${JSON.stringify(reported)}`);
    expect(reported as object).toEqual({
      ...{ lost: missing, duplicated: duplicate, reordered: reorder, corrupted: corrupt, misdelivered: misdeliver },
    });
    expect(result.counts).toMatchObject({ sent: SENT, meant: SENT, received: SENT - missing - corrupt, late: 0 });
    expect(result.percentiles.message).toMatchObject({ count: SENT, failed: missing + corrupt });
    if (missing + corrupt + reorder === 0) expectDelay(result, "message", DELAY_MS);
    expect(result.percentiles.message?.p50).toBeGreaterThanOrEqual(DELAY_MS * 1_000);
    expect(result.percentiles.message?.p50).toBeLessThan((DELAY_MS + BUSY_MS) * 1_000);
    expect(exitCode).toBe(4);
    for (const [name, count] of Object.entries(reported))
      if (count > 0) expect(stdout).toContain(`WARNING: ${count} of ${SENT} messages were ${name}.`);
  });
});

test("what is lost is in the percentiles at its time-out, and not before", async () => {
  await using fake = await FakeRelay.start({ messageFaults: ["lose"], messageFaultEvery: 4 });
  const { result, stdout } = await load("source", "relay", fake.url, ...TALK);
  expect(result.counts).toMatchObject({ sent: SENT, lost: SENT / 4 });
  expect(result.percentiles.message?.p50).toBeLessThan(BUSY_MS * 1_000);
  expect(result.percentiles.message).toMatchObject({ failed: SENT / 4, p90: 2_000_000, max: 2_000_000 });
  expect(stdout).toContain(`${SENT / 4} of the ${SENT} times of message are of what failed, and count as the time-out`);
});

test("what is lost, doubled or damaged moves no time of the others, though they take two different times", async () => {
  const SLOW_MS = 1_500;
  await using fake = await FakeRelay.start({
    ...{ messageMs: DELAY_MS, slowMessageMs: SLOW_MS, slowMessageEvery: 5 },
    ...{ messageFaults: ["lose", "duplicate", "corrupt"], messageFaultEvery: 8 },
  });
  const { result } = await load("source", "relay", fake.url, ...TALK.slice(0, -1), "5s");
  const { lose = 0, duplicate = 0, corrupt = 0 } = (await fake.seen()).faults;
  expect(result.counts).toMatchObject({ sent: SENT, lost: lose, duplicated: duplicate, corrupted: corrupt });
  const times = histogramOf(result.histograms.message);
  const below = (ms: number) => times.countUpTo(ms * 1_000);
  expect(below(DELAY_MS - 1)).toBe(0);
  expect(below(4_990)).toBe(SENT - lose - corrupt);
  const slow = below(4_990) - below(SLOW_MS - 1);
  expect(slow).toBeGreaterThanOrEqual(SENT / 5 - lose - corrupt);
  expect(slow).toBeLessThanOrEqual(SENT / 5);
});

test.each(["offer", "answer"])(
  "what goes back to its sender is misdelivered, also where it is an %s",
  async (echoed) => {
    const SESSIONS = 30;
    await using fake = await FakeRelay.start({ echoed });
    const options = ["--sessions", String(SESSIONS), "--concurrency", "5", "--candidates", "10"];
    const { result } = await load("source", "handshake", fake.url, ...options);
    expect(result.counts).toMatchObject({ done: SESSIONS, misdelivered: SESSIONS, duplicated: 0, corrupted: 0 });
  },
);

test("in whole sessions too, beside refusals and silence; each session that it spoils fails", async () => {
  await using fake = await FakeRelay.start({
    ...{ messageFaults: ALL, messageFaultEvery: 23, upgradeFaults: ["refuse"], upgradeFaultEvery: 31 },
    ...{ sessionFaults: ["mute"], sessionFaultEvery: 17 },
  });
  const options = ["--sessions", "200", "--concurrency", "40", "--timeout", "3s"];
  const { result, exitCode } = await load("source", "handshake", fake.url, ...options);
  expectWhole(result);
  const { faults: planted } = await fake.seen();
  const { lose = 0, duplicate = 0, corrupt = 0, misdeliver = 0, refuse = 0, mute = 0 } = planted;
  const { counts, errors } = result;
  measured(`planted ${JSON.stringify(planted)}, reported ${JSON.stringify(counts)}`);
  expect(errors["refused:503"]?.count).toBe(refuse);
  expect(errors["timeout:ready"]?.count).toBe(mute);
  expect(counts.corrupted).toBe(corrupt);
  expect(counts.lost).toBe(lose + misdeliver);
  expect(counts.misdelivered).toBeLessThanOrEqual(misdeliver); // a session may have hung up before
  expect(counts.misdelivered).toBeGreaterThanOrEqual(0.7 * misdeliver);
  expect(counts.duplicated).toBeLessThanOrEqual(duplicate);
  expect(counts.duplicated).toBeGreaterThanOrEqual(0.7 * duplicate);
  expect(counts.done + counts.failed).toBe(200);
  expect(result.percentiles.session).toMatchObject({ count: 200, failed: counts.failed });
  expect(result.percentiles.session?.max).toBeGreaterThanOrEqual(3_000_000);
  expect(exitCode).toBe(4);
});
