/** What stands between the comments of docs/BENCHMARKS.md, made from the samples of all rounds. Pure. */
import packageJson from "../package.json" with { type: "json" };
import { type FirstPeer, startsOf } from "./first-peer.ts";
import type { Extent, Limit, Sample } from "./measurements.ts";
import bench from "./package.json" with { type: "json" };
import { comparison, generatorOf, growthOf, limitsOf, tlsOf } from "./rows.ts";
import { SERVERS, type ServerName } from "./servers.ts";
import { figureTable, inShort, notAhead, ratioTable, withBlock } from "./tables.ts";
import { type TailSample, tailOf } from "./tail.ts";

/** How the samples came about, besides what their results say. */
export interface Circumstances extends Extent {
  readonly rounds: number;
  /** What was measured, the relay first. */
  readonly servers: readonly ServerName[];
  /** What was not, and why, as sentences without a full stop. */
  readonly missing: readonly string[];
  /** As `node --version` prints it, of Go in words, and as its package says; null where it was not measured. */
  readonly versions: { readonly node: string; readonly go: string | null; readonly uws: string | null };
}

/** All that was measured. */
export interface Measured {
  readonly samples: readonly Sample[];
  readonly limits: readonly Limit[];
  readonly starts: readonly FirstPeer[];
  readonly tails: readonly TailSample[];
}

/** The blocks of the page, by the names of their places. */
export function tablesOf(measured: Measured, circumstances: Circumstances): Record<string, string> {
  const isShown = ({ server }: { readonly server: string }) => circumstances.servers.some((name) => name === server);
  const samples = measured.samples.filter(isShown); // of one that failed later there are some
  const limits = measured.limits.filter(isShown);
  const columns = Object.fromEntries(circumstances.servers.map((name) => [name, SERVERS[name].title]));
  const rows = comparison(samples, circumstances.growth);
  const growth = Object.entries(growthOf(samples, circumstances.growth));
  const steps = growth.flatMap(([title, rows]) => rows.map((row) => ({ ...row, label: `${title}, ${row.label}` })));
  const tls = tlsOf(samples);
  return {
    machine: machineOf(samples, circumstances),
    "in-short": inShort(columns, rows),
    ratios: ratioTable(columns, rows),
    "not-ahead": notAhead(columns, [...rows, ...limitsOf(limits).slice(0, 1), ...steps, ...tls]),
    figures: figureTable(columns, rows),
    growth: growth.map(([title, rows]) => `#### ${title}\n\n${figureTable(columns, rows)}`).join("\n\n"),
    tls: figureTable(columns, tls),
    limits: figureTable(columns, limitsOf(limits)),
    generator: figureTable(columns, generatorOf(samples)),
    starts: startsOf(measured.starts.filter(isShown)),
    tail: tailOf(measured.tails.filter(isShown)),
  };
}

/** @throws Error where a block has no place on the page */
export function pageWith(page: string, blocks: Readonly<Record<string, string>>): string {
  return Object.entries(blocks).reduce((text, [name, block]) => withBlock(text, name, block), page);
}

function machineOf(samples: readonly Sample[], { rounds, seconds, versions, missing }: Circumstances): string {
  const [first] = samples;
  if (first === undefined) throw new Error("nothing was measured");
  const { machine, startedAt, generator } = first.result;
  const { deno, ws, peer } = bench.dependencies;
  return [
    `- ${startedAt.slice(0, 10)}; rounds: ${rounds}; ${seconds} s for each run`,
    `- ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`,
    `- whisper-signaling ${packageJson.version}, compiled with Bun ${machine.bun}`,
    ...(versions.uws === null ? [] : [`- uWebSockets.js ${versions.uws}`]),
    ...(versions.go === null ? [] : [`- ${versions.go}`]),
    `- Deno ${deno}; Node.js ${versions.node.trim().replace(/^v/, "")}, \`ws\` ${ws}, PeerJS's server (\`peer\`) ${peer}`,
    `- the load tester on the same machine, with ${generator.workers} worker${generator.workers === 1 ? "" : "s"}`,
    ...missing.map((sentence) => `- ${sentence}`),
  ].join("\n");
}
