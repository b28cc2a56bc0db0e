/**
 * What idle peers cost the relay, beside Bun alone: the memory of each one more, and the processor's time of all that is
 * done while nobody says anything. Run by `bun bench/idle.ts`, after `bun run build`; with `--tls` it speaks WSS. It takes
 * five minutes and writes nothing.
 */
import { readdirSync } from "node:fs";
import { CostMeter } from "../src/load/cost.ts";
import { NOTHING, size } from "../src/load/figures.ts";
import { type Certificate, newCertificate } from "./certificate.ts";
import { SERVERS, type ServerName, start } from "./servers.ts";
import { figureTable } from "./tables.ts";

const NAMES = ["relay", "bun"] as const satisfies readonly ServerName[];
const [FEWER, MORE] = [1_000, 4_500];
/** Once all are there: soon after, and when what connecting left has been compiled, collected and overwritten. */
const SOON_MS = 3_000;
const SETTLED_MS = 20_000;
/** Two rounds of pings. */
const WATCH_MS = 50_000;
const POLL_MS = 100;

interface Idle {
  readonly soonBytes: number;
  readonly settledBytes: number;
  /** Of one peer in one second, in us. */
  readonly cpuMicros: number;
}

/** Holds idle pairs on a freshly started server. @throws Error where they don't all connect */
async function idle(name: ServerName, pairs: number, certificate: Certificate | null): Promise<Idle> {
  await using server = await start(name, certificate);
  const seconds = 2 * Math.ceil((SETTLED_MS + WATCH_MS) / 1_000);
  const args = ["hold", server.url, "--pairs", `${pairs}`, "--duration", `${seconds}s`, "--insecure", "--workers", "1"];
  const load = Bun.spawn([process.execPath, SERVERS[name].load, ...args], { stdin: "ignore", stdout: "ignore" });
  /** What it spends within so many ms; its memory is the most that it had. */
  const spent = async (ms: number) => {
    const meter = new CostMeter(server.pid);
    await Bun.sleep(ms);
    await meter.end();
    return meter.cost({ sessions: 0, messages: 0, peers: 0 });
  };
  try {
    while (readdirSync(`/proc/${server.pid}/fd`).length < 2 * pairs) {
      if (load.exitCode !== null)
        throw new Error(`${SERVERS[name].title}: the load tester ended before all were there`);
      await Bun.sleep(POLL_MS);
    }
    const soon = await spent(SOON_MS);
    await Bun.sleep(SETTLED_MS - SOON_MS);
    const settled = await spent(WATCH_MS);
    const peerSeconds = (2 * pairs * WATCH_MS) / 1_000;
    return {
      soonBytes: soon.residentBytesPeak ?? 0,
      settledBytes: settled.residentBytesPeak ?? 0,
      cpuMicros: ((settled.cpuSeconds ?? 0) * 1e6) / peerSeconds,
    };
  } finally {
    load.kill("SIGKILL");
    await load.exited;
  }
}

if (import.meta.main) {
  await SERVERS.bun.prepare();
  await using certificate = await newCertificate();
  const tls = process.argv.includes("--tls") ? certificate : null;
  const runs = await Array.fromAsync(NAMES, async (name) => {
    return { name, few: await idle(name, FEWER, tls), many: await idle(name, MORE, tls) };
  });
  const each = (of: (few: Idle, many: Idle) => number) =>
    Object.fromEntries(runs.map(({ name, few, many }) => [name, [of(few, many)]]));
  const slope = (bytes: (idle: Idle) => number) =>
    each((few, many) => (bytes(many) - bytes(few)) / (2 * (MORE - FEWER)));
  const micros = (value: number | null) => (value === null ? NOTHING : `${value.toFixed(2)} µs`);
  const columns = Object.fromEntries(NAMES.map((name) => [name, SERVERS[name].title]));
  const table = figureTable(columns, [
    {
      label: "memory of each one more, after 3 s",
      better: "less",
      write: size,
      values: slope((idle) => idle.soonBytes),
    },
    {
      label: "memory of each one more, settled",
      better: "less",
      write: size,
      values: slope((idle) => idle.settledBytes),
    },
    {
      label: "processor for each, in a second",
      better: "less",
      write: micros,
      values: each((_, { cpuMicros }) => cpuMicros),
    },
  ]);
  process.stdout.write(`1,000 to 4,500 pairs\n\n${table}\n`);
}
