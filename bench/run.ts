/**
 * Measures the relay and the baselines in turns and makes the tables of docs/BENCHMARKS.md. Run by `bun run bench`,
 * which builds the relay first. Each run of the load tester has a freshly started server, alone on the machine; the
 * turns of a round follow each other closely and begin with another server in each, so that what disturbs the machine
 * disturbs all alike. All results go to dist/bench.json.
 *
 *   bun run bench [--rounds N] [--seconds N] [--workers N] [--quick]
 *
 * Exit codes as of the relay: 0 all well, 1 something could not be measured, 2 it was asked for wrongly.
 */
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import type { Found } from "../src/load/find.ts";
import type { Result } from "../src/load/result.ts";
import { ConfigError, helpFor, type OptionTable, readOptions } from "../src/program/options.ts";
import { type Certificate, newCertificate } from "./certificate.ts";
import { run } from "./command.ts";
import { type FirstPeer, firstPeer, STARTS } from "./first-peer.ts";
import { type Extent, LIMIT_ARGS, type Limit, type Measurement, measurements, type Sample } from "./measurements.ts";
import { pageWith, tablesOf } from "./page.ts";
import { prepared, reasonOf, SERVERS, type ServerName, start, UWS, versionOf } from "./servers.ts";
import { halfLoad, TAIL_ROUNDS, type TailSample, talk } from "./tail.ts";

const OPTIONS = {
  rounds: {
    flag: "--rounds",
    kind: "count",
    default: "3",
    min: "1",
    max: "100",
    what: "how often everything is measured, some 10 minutes each",
  },
  seconds: { flag: "--seconds", kind: "count", default: "5", min: "1", max: "3600", what: "how long one run takes" },
  workers: {
    flag: "--workers",
    kind: "count",
    default: "1",
    min: "1",
    max: "256",
    what: "the load tester's processes; leave the server a core",
  },
  quick: {
    flag: "--quick",
    kind: "switch",
    default: "off",
    what: "one round of short runs in place of both, printed only: a first look in four minutes",
  },
} as const satisfies OptionTable;

/** Pairs at once: two sockets each, so that 10,000 open files are enough for the most of them. */
const GROWTH = [100, 1_000, 4_500];
const QUICK: Extent & { readonly rounds: number } = { rounds: 1, seconds: 2, growth: [100, 1_000] };

const DOCS = resolve(import.meta.dir, "../docs/BENCHMARKS.md");
const RESULTS = resolve(import.meta.dir, "../dist/bench.json");
/** What one run of the load tester measured, until the next one writes it anew. */
const LATEST = resolve(import.meta.dir, "../dist/bench-latest.json");

async function main(args: readonly string[]): Promise<void> {
  const { quick, workers, ...asked } = readOptions(OPTIONS, args, {});
  const { rounds, seconds, growth } = quick ? QUICK : { ...asked, growth: GROWTH };
  const packages = ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
  await run(packages, import.meta.dir).catch((failure) => say(reasonOf(failure)));

  const missing: string[] = [];
  const skipped = (title: string, why: string) => {
    missing.push(`${title} was not measured: ${why}`);
    say(missing.at(-1) ?? "");
  };
  let servers = await prepared(skipped);
  /** Tries twice. A rival that fails then is measured no more, and has no column; without the relay there is no table. */
  async function tried<T>(server: ServerName, measure: () => Promise<T>): Promise<T | null> {
    if (!servers.includes(server)) return null;
    const again = (failure: unknown) => {
      say(`${SERVERS[server].title}, once more: ${reasonOf(failure)}`);
      return measure();
    };
    try {
      return await measure().catch(again);
    } catch (failure) {
      if (server === "relay") throw failure;
      skipped(SERVERS[server].title, reasonOf(failure));
      servers = servers.filter((name) => name !== server);
      return null;
    }
  }
  const plan = measurements({ seconds, growth });
  const samples: Sample[] = [];
  const limits: Limit[] = [];
  await using certificate = await newCertificate();
  for (let round = 0; round < rounds; round++) {
    const told = (what: string, server: ServerName) =>
      say(`round ${round + 1} of ${rounds}, ${what}: ${SERVERS[server].title}`);
    for (const measurement of plan)
      for (const server of inTurn(servers, round)) {
        told(measurement.name, server);
        const result = await tried(server, () => measured(server, measurement, workers, certificate));
        if (result) samples.push({ server, measurement: measurement.name, round, result });
      }
    if (!quick)
      for (const server of inTurn(servers, round)) {
        told("the largest rate", server);
        const found = await tried(server, () => largestRate(server, workers));
        if (found) limits.push({ server, round, ...found });
      }
  }
  const starts: FirstPeer[] = [];
  for (let i = 0; i < STARTS; i++)
    for (const server of inTurn(servers, i).filter((name) => name !== "peerjs")) {
      const start = await tried(server, () => firstPeer(server));
      if (start) starts.push(start);
    }
  const tails: TailSample[] = [];
  const talking = (server: ServerName, rate: number) => {
    const args = talk(rate, seconds);
    return measured(server, { name: "half load", args, isTls: false, warmUpSeconds: 2 }, workers, certificate);
  };
  const rate = await halfLoad((rate) => talking("relay", rate));
  for (let round = 0; round < (quick ? 2 : TAIL_ROUNDS); round++)
    for (const server of inTurn(servers.slice(0, 2), round)) {
      say(`half load, round ${round + 1}: ${SERVERS[server].title}`);
      const result = await tried(server, () => talking(server, rate));
      if (result) tails.push({ server, round, result });
    }
  await Bun.write(RESULTS, JSON.stringify({ samples, limits, starts, tails }));

  const versions = {
    node: await run(["node", "--version"]).catch(() => "none"),
    go: servers.includes("go") ? await goVersion() : null,
    uws: servers.includes("uws") ? await versionOf("uWebSockets.js", [UWS, import.meta.dir]) : null,
  };
  const tables = tablesOf({ samples, limits, starts, tails }, { rounds, seconds, growth, servers, missing, versions });
  process.stdout.write(`${Object.values(tables).join("\n\n")}\n`);
  if (!quick) await Bun.write(DOCS, pageWith(await Bun.file(DOCS).text(), tables));
}

/** Of Go and of gorilla/websocket, as Debian packages it. */
async function goVersion(): Promise<string> {
  const [, go = ""] = /go version go(\S+)/.exec(await run(["go", "version"])) ?? [];
  const status = await run(["dpkg", "--status", "golang-github-gorilla-websocket-dev"]).catch(() => "");
  return `Go ${go}, gorilla/websocket ${/^Version: (\S+)/m.exec(status)?.[1] ?? "of an unknown version"}`;
}

/** The servers, beginning with another one in each round. */
function inTurn(names: readonly ServerName[], round: number): ServerName[] {
  const first = round % names.length;
  return [...names.slice(first), ...names.slice(0, first)];
}

/** Starts the server, warms it up, and loads it. @throws Error where a session failed: then no figure is worth anything */
async function measured(
  name: ServerName,
  { args, isTls, warmUpSeconds }: Measurement,
  workers: number,
  certificate: Certificate,
): Promise<Result> {
  await using server = await start(name, isTls ? certificate : null);
  const load = (...[scenario = "", ...options]: string[]) => {
    const common = ["--insecure", "--workers", `${workers}`];
    return run([process.execPath, SERVERS[name].load, scenario, server.url, ...options, ...common]);
  };
  if (warmUpSeconds > 0) await load("handshake", "--duration", `${warmUpSeconds}s`);
  await load(...args, "--pid", `${server.pid}`, "--json", LATEST);
  const result: Result = await Bun.file(LATEST).json();
  const [failure] = Object.values(result.errors);
  if (failure) throw new Error(`${SERVERS[name].title}, ${args.join(" ")}: ${failure.count} times: ${failure.first}`);
  return result;
}

/** Searches for the largest rate of sessions that a server bears. */
async function largestRate(name: ServerName, workers: number): Promise<Pick<Limit, "rate" | "isBottleneck">> {
  await using server = await start(name, null);
  const [scenario = "", ...options] = LIMIT_ARGS;
  const command = [process.execPath, SERVERS[name].load, "find", scenario, server.url, ...options];
  await rm(LATEST, { force: true }); // it is another server's
  // Where no rate held, it ends with 1, and its file says so.
  await run([...command, "--workers", `${workers}`, "--json", LATEST]).catch(() => {});
  const { rates, isBottleneck }: Found = await Bun.file(LATEST).json();
  if (rates.length === 0) throw new Error("the search ended before it found anything");
  return { rate: rates[0] ?? null, isBottleneck };
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

try {
  const args = process.argv.slice(2);
  if (args.includes("--help")) process.stdout.write(helpFor(OPTIONS, false));
  else await main(args);
} catch (failure) {
  say(failure instanceof Error ? failure.message : String(failure));
  process.exit(failure instanceof ConfigError ? 2 : 1);
}
