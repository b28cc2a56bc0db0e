/**
 * What is left of 1,000 ended sessions in the memory of the process, as root sees it from outside. Freed memory keeps
 * its bytes until it is written over, so a little always may be: how little, docs/SECURITY.md says.
 */
import { expect, test } from "bun:test";
import { SCRUB_MS } from "../../src/lockdown/scrubber.ts";
import { Authority } from "../support/machines/certificates.ts";
import { memoryOf } from "../support/machines/memory.ts";
import { measured, secondsSince } from "../support/machines/outside.ts";
import { openTunnel } from "../support/machines/tunnel.ts";
import { equals, until } from "../support/machines/until.ts";
import { SDP_LINES, Secrets } from "../support/marks/secrets.ts";
import { countKinds, Visitors } from "../support/marks/visitors.ts";
import { inTurns } from "../support/peers/crowd.ts";
import { command, PURGING, spawnProgram } from "../support/relays/relay.ts";

const SESSIONS = 1_000;
const AT_ONCE = 50;
/** The time that docs/SECURITY.md states: the turn that notices the last end, the one after it, and how long it takes. */
const FORGOTTEN_MS = 2 * SCRUB_MS + 5_000;
/** Of some 127,000 codes, tokens and lines; a few at most were ever found. */
const MOST_LEFT = 30;

const isAble = process.platform === "linux" && process.getuid?.() === 0;
if (!isAble) console.warn("forgetting.long.ts: nothing is tried: only root may read the memory of a process, on Linux");

function findIn(pid: number, secrets: Secrets): Set<string> {
  return new Set(memoryOf(pid).flatMap((text) => secrets.findIn(text)));
}

test.skipIf(!isAble && !process.env["CI"]).each([false, true])(
  "15 s after the last of 1,000 sessions ended, next to nothing of them is in memory (TLS: %p)",
  async (isTls) => {
    await using authority = await Authority.create();
    await using relay = await spawnProgram([
      ...PURGING,
      ...command("binary", ...(isTls ? (await authority.issue()).args : [])),
    ]);
    await using tunnel = await openTunnel(relay.port, { ca: await authority.root() });
    const { pid } = relay.process;
    const secrets = new Secrets();
    await inTurns(SESSIONS, AT_ONCE, async (n) => {
      const { code, alice, bob, aliceToken } = await secrets.tell(isTls ? tunnel.url : relay.url, n);
      if (n === SESSIONS / 2) for (const secret of [code, aliceToken]) expect(findIn(pid, secrets)).toContain(secret);
      for (const client of [alice, bob]) client.close();
      await Promise.all([alice.closed, bob.closed]);
    });
    await until("the last session to end", () => relay.sessions(), equals(0));
    const since = performance.now();
    const atFirst = findIn(pid, secrets).size;
    let left = new Set<string>();
    await until("all to be forgotten", () => {
      left = findIn(pid, secrets);
      return left.size <= MOST_LEFT || performance.now() - since > FORGOTTEN_MS;
    });
    const seconds = secondsSince(since).toFixed(1);
    measured(`forgetting, TLS ${isTls}: ${atFirst} codes, tokens and lines at first, after ${seconds} s ${left.size}`);
    expect([...left].slice(MOST_LEFT)).toEqual([]);
    expect(atFirst).toBeGreaterThan(MOST_LEFT); // or the search is blind
    const whole = Object.entries(Object.groupBy(left, (secret) => secret.replace(/\d+$/, ""))).filter(
      ([, lines]) => lines?.length === SDP_LINES,
    );
    expect(whole).toEqual([]);
  },
);

const VISITORS = 600;
/** Of 1,800 addresses, forwarded addresses and origins; 4 were found. */
const MOST_VISITORS_LEFT = 30;

test.skipIf(!isAble && !process.env["CI"])(
  "15 s after the last of 600 visitors, next to none of their addresses and origins is in memory",
  async () => {
    await using relay = await spawnProgram([...PURGING, ...command("binary", "--trust-proxy=127.0.0.0/8")]);
    const visitors = new Visitors();
    const look = () => new Set([...memoryOf(relay.process.pid)].flatMap((text) => [...visitors.findIn(text)]));
    await inTurns(VISITORS, AT_ONCE, () => visitors.visit(relay.port));
    const since = performance.now();
    const atFirst = countKinds(look());
    let left = new Set<string>();
    await until("all to be forgotten", () => {
      left = look();
      return left.size <= MOST_VISITORS_LEFT || performance.now() - since > FORGOTTEN_MS;
    });
    measured(
      `forgetting visitors: ${JSON.stringify(atFirst)} at first, after ${secondsSince(since).toFixed(1)} s ${JSON.stringify(countKinds(left))}`,
    );
    expect(left.size).toBeLessThanOrEqual(MOST_VISITORS_LEFT);
    for (const count of Object.values(atFirst)) expect(count).toBeGreaterThan(0); // or the search is blind
  },
);
