/**
 * What a cluster costs: CPU of relays, helpers and engine for a whole session, and how long a message takes, with both
 * peers at one relay and at two, beside a relay alone. `bun bench/cluster.ts` prints it and writes it into
 * docs/OPERATIONS.md. It wants `bun run build`, and a redis-server.
 */
import { join, resolve } from "node:path";
import { startNodes } from "../test/support/cluster/nodes.ts";
import { helperOf, newPairAt } from "../test/support/cluster/peers.ts";
import { cpuMs, quantile } from "../test/support/machines/outside.ts";
import { type RunningRelay, spawnRelay } from "../test/support/relays/relay.ts";
import { markdownTable, withBlock } from "./tables.ts";

const DOCS = join(resolve(import.meta.dir, ".."), "docs/OPERATIONS.md");
const WARM_UP = 200;
const SESSIONS = 2_000;
const AT_ONCE = 20;
const MESSAGES = 400;
/** Sizes of what peers say: an offer and an answer, and candidates from either side. */
const DESCRIPTION = "x".repeat(2_500);
const CANDIDATE = "y".repeat(120);
const CANDIDATES = 8;

/** A whole session, from the first join to the second close. */
async function session(home: RunningRelay, guest: RunningRelay): Promise<void> {
  const { code, alice, bob } = await newPairAt(home, guest);
  alice.send({ type: "offer", sessionCode: code, offer: { sdp: DESCRIPTION } });
  await bob.next();
  bob.send({ type: "answer", sessionCode: code, answer: { sdp: DESCRIPTION } });
  await alice.next();
  for (let n = 0; n < CANDIDATES; n++)
    for (const peer of [alice, bob])
      peer.send({ type: "ice-candidate", sessionCode: code, candidate: { candidate: CANDIDATE, n } });
  for (let n = 0; n < CANDIDATES; n++) await Promise.all([alice.next(), bob.next()]);
  alice.close();
  bob.close();
  await Promise.all([alice.closed, bob.closed]);
}

async function sessions(count: number, home: RunningRelay, guest: RunningRelay): Promise<void> {
  for (let n = 0; n < count; n += AT_ONCE)
    await Promise.all(Array.from({ length: AT_ONCE }, () => session(home, guest)));
}

/** How long a message takes from peer to peer, by the median. */
async function latencyMs(home: RunningRelay, guest: RunningRelay): Promise<number> {
  const { code, alice, bob } = await newPairAt(home, guest);
  const times: number[] = [];
  for (let n = 0; n < MESSAGES; n++) {
    const since = performance.now();
    alice.send({ type: "signal", sessionCode: code, data: n });
    await bob.next();
    times.push(performance.now() - since);
    await Bun.sleep(5); // one at a time, as people send them, and within what a peer may say
  }
  for (const peer of [alice, bob]) peer.close();
  return quantile(times, 0.5);
}

/** @param pids by column: whose CPU is told together */
async function row(title: string, home: RunningRelay, guest: RunningRelay, pids: number[][]): Promise<string[]> {
  await sessions(WARM_UP, home, guest);
  const used = () => pids.map((some) => some.reduce((sum, pid) => sum + cpuMs(pid), 0));
  const before = used();
  await sessions(SESSIONS, home, guest);
  const cells = used().map((ms, i) => ms - (before[i] ?? 0));
  const told = cells.map((ms, i) => (pids[i]?.length === 0 ? "" : `${(ms / SESSIONS).toFixed(2)} ms`));
  return [title, ...told, `${(await latencyMs(home, guest)).toFixed(2)} ms`];
}

const rows: string[][] = [];
{
  await using relay = await spawnRelay("binary");
  rows.push(await row("without `--cluster`", relay, relay, [[relay.process.pid], [], []]));
}
await using cluster = await startNodes(2, "binary");
const [home, guest] = cluster.nodes;
if (!home || !guest) throw new Error("no nodes");
const helpers = await Promise.all([home, guest].map(helperOf));
const pids = [[home.process.pid, guest.process.pid], helpers, [cluster.engine.process.pid]];
rows.push(await row("both peers at one relay of a cluster of two", home, home, pids));
rows.push(await row("at two relays", home, guest, pids));
const head = ["a whole session", "CPU of the relays", "of their helpers", "of the engine", "a message, median"];
const table = markdownTable(head, rows);
console.log(table);
await Bun.write(DOCS, withBlock(await Bun.file(DOCS).text(), "cluster", table));
