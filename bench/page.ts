/** What stands between the comments of docs/BENCHMARKS.md, made from the samples of all rounds. Pure. */
import packageJson from "../package.json" with { type: "json" };
import type { Extent, Sample } from "./measurements.ts";
import bench from "./package.json" with { type: "json" };
import { comparison, generatorOf, growthOf, tlsOf } from "./rows.ts";
import { SERVERS } from "./servers.ts";
import { figureTable, notAhead, ratioTable, withBlock } from "./tables.ts";

/** How the samples came about, besides what their results say. */
export interface Circumstances extends Extent {
  readonly rounds: number;
  /** As `node --version` prints it. */
  readonly nodeVersion: string;
}

const COLUMNS = Object.fromEntries(Object.entries(SERVERS).map(([name, { title }]) => [name, title]));

/** The blocks of the page, by the names of their places. */
export function tablesOf(samples: readonly Sample[], circumstances: Circumstances): Record<string, string> {
  const rows = comparison(samples, circumstances.growth);
  const growth = Object.entries(growthOf(samples, circumstances.growth));
  const steps = growth.flatMap(([title, rows]) => rows.map((row) => ({ ...row, label: `${title}, ${row.label}` })));
  const tls = tlsOf(samples);
  return {
    machine: machineOf(samples, circumstances),
    ratios: ratioTable(COLUMNS, rows),
    "not-ahead": notAhead(COLUMNS, [...rows, ...steps, ...tls]),
    figures: figureTable(COLUMNS, rows),
    growth: growth.map(([title, rows]) => `#### ${title}\n\n${figureTable(COLUMNS, rows)}`).join("\n\n"),
    tls: figureTable(COLUMNS, tls),
    generator: figureTable(COLUMNS, generatorOf(samples)),
  };
}

/** @throws Error where a block has no place on the page */
export function pageWith(page: string, blocks: Readonly<Record<string, string>>): string {
  return Object.entries(blocks).reduce((text, [name, block]) => withBlock(text, name, block), page);
}

function machineOf(samples: readonly Sample[], { rounds, seconds, nodeVersion }: Circumstances): string {
  const [first] = samples;
  if (first === undefined) throw new Error("nothing was measured");
  const { machine, startedAt, generator } = first.result;
  const { ws, peer } = bench.dependencies;
  return [
    `- ${startedAt.slice(0, 10)}; rounds: ${rounds}; ${seconds} s for each run`,
    `- ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`,
    `- whisper-signaling ${packageJson.version}, compiled with Bun ${machine.bun}`,
    `- Node.js ${nodeVersion.replace(/^v/, "")}, \`ws\` ${ws}, PeerJS's server (\`peer\`) ${peer}`,
    `- the load tester on the same machine, with ${generator.workers} worker${generator.workers === 1 ? "" : "s"}`,
  ].join("\n");
}
