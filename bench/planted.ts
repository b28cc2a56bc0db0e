/**
 * What a relay that does known harm planted, against what the load tester reports of it: makes the tables of docs/LOAD.md.
 * Run by `bun bench/planted.ts`, in a minute. That they agree is tried by test/long/load-planted.
 *
 * Exit codes as of the relay: 0 all well, 1 something could not be measured.
 */
import { resolve } from "node:path";
import { amount, duration } from "../src/load/figures.ts";
import { histogramOf } from "../src/load/histogram.ts";
import { FAULTS } from "../src/load/outcome.ts";
import { errorsOf, type Result } from "../src/load/result.ts";
import { LoadRun, load } from "../test/support/machines/load-run.ts";
import { type Behaviour, FakeRelay, type MessageFault, type Seen } from "../test/support/relays/fake-relay.ts";
import { markdownTable, withBlock } from "./tables.ts";

const DOCS = resolve(import.meta.dir, "../docs/LOAD.md");
const TALK = ["--pairs", "5", "--message-rate", "20", "--timeout", "2s"];
const SENT = 200;
const MESSAGE_FAULT_EVERY = 7;
const SESSIONS = 200;

/** How each fault is said. */
const SAID: Readonly<Record<MessageFault, string>> = {
  lose: "lost",
  duplicate: "passed on twice",
  reorder: "passed on after the next one",
  corrupt: "with one letter changed",
  misdeliver: "to a peer of another session instead",
};
const KINDS = Object.keys(SAID) as MessageFault[];

/** Of messages: harm by its kind, and how many of their times are of what failed. */
async function harmRow(kinds: readonly MessageFault[]): Promise<string[]> {
  await using fake = await FakeRelay.start({ messageFaults: kinds, messageFaultEvery: MESSAGE_FAULT_EVERY });
  const { result } = await load("source", "relay", fake.url, ...TALK, "--duration", "1s");
  return [plantedIn(await fake.seen(), kinds), ...faultsOf(result), amount(result.percentiles.message?.failed)];
}

/** Of whole sessions, with all at once. */
async function sessionsRow(): Promise<string[]> {
  const behaviour: Partial<Behaviour> = {
    ...{ messageFaults: KINDS, messageFaultEvery: 23, upgradeFaults: ["refuse"], upgradeFaultEvery: 31 },
    ...{ sessionFaults: ["mute"], sessionFaultEvery: 17 },
  };
  await using fake = await FakeRelay.start(behaviour);
  const options = ["--sessions", `${SESSIONS}`, "--concurrency", "40", "--timeout", "3s"];
  const { result } = await load("source", "handshake", fake.url, ...options);
  const seen = await fake.seen();
  const { refuse = 0, mute = 0 } = seen.faults;
  const reported = (kind: string) => amount(result.errors[kind]?.count ?? 0);
  return [
    `${plantedIn(seen, KINDS)}; ${refuse} upgrades refused, ${mute} sessions met by silence`,
    ...faultsOf(result),
    `${reported("refused:503")} \`refused:503\`, ${reported("timeout:ready")} \`timeout:ready\`, of ${errorsOf(result)} errors`,
  ];
}

function plantedIn({ faults }: Seen, kinds: readonly MessageFault[]): string {
  return kinds.map((kind) => `${faults[kind] ?? 0} ${SAID[kind]}`).join(", ");
}

function faultsOf({ counts }: Result): string[] {
  return FAULTS.map((fault) => amount(counts[fault]));
}

/** Of delays: what was planted, and the percentiles of `message`. */
async function delayRow(planted: string, behaviour: Partial<Behaviour>, stallMs = 0): Promise<string[]> {
  await using fake = await FakeRelay.start(behaviour);
  await using run = await LoadRun.start("source", "relay", fake.url, ...TALK, "--duration", "2s");
  let stalled = "";
  if (stallMs > 0) {
    while ((await fake.seen()).messages < SENT / 2) await Bun.sleep(1);
    stalled = ` (${duration((await fake.stall(stallMs)) * 1_000)})`;
  }
  const { result } = await run.over();
  const times = histogramOf(result.histograms.message);
  return [`${planted}${stalled}`, ...[25, 50, 75, 90, 99, 100].map((percent) => duration(times.percentile(percent)))];
}

const harm = [];
for (const kinds of [...KINDS.map((kind) => [kind]), KINDS]) harm.push(await harmRow(kinds));
const delays = [
  await delayRow("none", {}),
  await delayRow("50 ms each", { messageMs: 50 }),
  await delayRow("20 ms, and 500 ms in two pairs of five", { messageMs: 20, slowMessageMs: 500, slowMessageEvery: 2 }),
  await delayRow("50 ms each, with all that harm too, which is to be seen from p90 on", {
    ...{ messageMs: 50, messageFaults: KINDS, messageFaultEvery: MESSAGE_FAULT_EVERY },
  }),
  await delayRow("one stall of a second in two", {}, 1_000),
];
const tables = [
  `Of ${SENT} messages of 5 pairs, with harm to every seventh:`,
  markdownTable(["planted", ...FAULTS, "failed in `message`"], harm),
  `Of ${SESSIONS} whole sessions, with all of it at once:`,
  markdownTable(["planted", ...FAULTS, "errors"], [await sessionsRow()]),
  "Of delays, as the percentiles of `message` have them:",
  markdownTable(["planted", "p25", "p50", "p75", "p90", "p99", "max"], delays),
];
const block = `\n${tables.join("\n\n")}\n`;
process.stdout.write(block);
await Bun.write(DOCS, withBlock(await Bun.file(DOCS).text(), "planted", block));
