/**
 * Measures what each attack costs who makes it and what it costs the relay, and prints the table of docs/SECURITY.md.
 * Each attack has a freshly started relay with the limits that strangers meet, a process of its own, and beside it an
 * honest pair whose messages are timed, and pairs that come new.
 *
 *   bun run build && bun bench/attacks.ts [--relay FILE] [--only NAME] [--seconds N]
 *
 * Exit codes as of the relay: 0 all well, 1 something could not be measured, 2 it was asked for wrongly.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ConfigError, helpFor, type OptionTable, readOptions } from "../src/program/options.ts";
import { cpuMs, PAGE_BYTES, quantile, residentBytes } from "../test/support/machines/outside.ts";
import { Client, newCode, newPair } from "../test/support/peers/client.ts";
import { Output } from "../test/support/relays/relay.ts";
import { ATTACKS } from "./attackers.ts";

const OPTIONS = {
  relay: { flag: "--relay", kind: "file", default: "dist/whisper-signaling", what: "the relay's binary" },
  only: { flag: "--only", kind: "list", default: "none", what: "the attacks to measure; all where none is named" },
  seconds: { flag: "--seconds", kind: "count", default: "8", min: "2", max: "3600", what: "how long each lasts" },
} as const satisfies OptionTable;

/** Between two messages of the honest pair: below the 30 a second that the relay allows. */
const MESSAGE_EVERY_MS = 40;
const PAIR_EVERY_MS = 500;
/** A person who waits longer has given up. */
const PATIENCE_MS = 6_000;
const QUIET_S = 2;

interface Felt {
  readonly messageMs: number[];
  readonly pairMs: number[];
}

const HEAD = [
  "attack",
  "connections: at once, in all",
  "sent, MB/s",
  "relay: CPU",
  "memory at the most, 5 s after",
  "kernel's buffers of both ends at the most, 5 s after",
  "an honest message: p50, p99 in ms (quiet)",
  "new pairs served, slowest in ms",
];

async function main(args: readonly string[]): Promise<void> {
  const { relay, only, seconds } = readOptions(OPTIONS, args, {});
  const unknown = only.filter((name) => ATTACKS[name] === undefined);
  if (unknown.length > 0) throw new ConfigError(`--only knows ${Object.keys(ATTACKS).join(", ")}`);
  print(HEAD);
  print(HEAD.map(() => "---"));
  for (const name of only.length > 0 ? only : Object.keys(ATTACKS)) print(await measured(name, relay ?? "", seconds));
}

async function measured(name: string, binary: string, seconds: number): Promise<string[]> {
  const { title, options = [], files = 65_536 } = ATTACKS[name] ?? { title: name };
  const command = [resolve(binary), "--host", "127.0.0.1", "--port", "0", "--exempt", "none", ...options];
  const relay = Bun.spawn(
    ["sh", "-c", 'ulimit -n "$1" && shift && exec "$@"', "sh", String(Math.min(files, 20_000)), ...command],
    {
      env: { MIMALLOC_PURGE_DELAY: "0", PATH: process.env["PATH"] ?? "" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
    },
  );
  try {
    const [, digits] = await new Output(relay.stdout).until(/: listening on \S+:(\d+)/);
    const port = Number(digits);
    const quiet = await felt(port, QUIET_S);
    const before = {
      cpu: cpuMs(relay.pid),
      bytes: residentBytes(relay.pid),
      kernel: kernelBytes(),
      at: performance.now(),
    };
    const attacker = Bun.spawn([process.execPath, resolve(import.meta.dir, "attackers.ts"), name, String(port)], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
    let [most, mostInKernel] = [before.bytes, before.kernel];
    const looking = setInterval(() => {
      most = Math.max(most, residentBytes(relay.pid));
      mostInKernel = Math.max(mostInKernel, kernelBytes());
    }, 50);
    const during = await felt(port, seconds);
    clearInterval(looking);
    const elapsedMs = performance.now() - before.at;
    const cpu = (cpuMs(relay.pid) - before.cpu) / elapsedMs;
    attacker.kill("SIGTERM");
    const { opened, open, bytes } = JSON.parse(await attacker.stdout.text()) as Record<
      "opened" | "open" | "bytes",
      number
    >;
    await Bun.sleep(5_000);
    const [after, afterInKernel] = [residentBytes(relay.pid), kernelBytes()];
    const served = during.pairMs.filter(Number.isFinite);
    return [
      title,
      `${open}, ${opened}`,
      (bytes / elapsedMs / 1_000).toFixed(1),
      `${(100 * cpu).toFixed(0)} %`,
      `${mega(most - before.bytes)}, ${mega(after - before.bytes)}`,
      `${mega(mostInKernel - before.kernel)}, ${mega(afterInKernel - before.kernel)}`,
      `${times(during.messageMs)} (${times(quiet.messageMs)})`,
      `${served.length} of ${during.pairMs.length}, ${served.length > 0 ? Math.max(...served).toFixed(0) : "none"}`,
    ];
  } finally {
    relay.kill("SIGKILL");
    await relay.exited;
  }
}

/** An honest pair whose messages are timed for some seconds, and new pairs meanwhile; one that can't meet has no end. */
async function felt(port: number, seconds: number): Promise<Felt> {
  const until = performance.now() + seconds * 1_000;
  const [messageMs, pairMs] = await Promise.all([messages(port, until).catch(() => [Number.NaN]), pairs(port, until)]);
  return { messageMs, pairMs };
}

async function messages(port: number, until: number): Promise<number[]> {
  const { code, alice, bob } = await newPair(`ws://127.0.0.1:${port}`);
  const taken: number[] = [];
  while (performance.now() < until) {
    const since = performance.now();
    alice.send({ type: "ice-candidate", sessionCode: code, candidate: { candidate: "" } });
    const isThere = await Promise.race([bob.expect("ice-candidate").then(() => true), Bun.sleep(PATIENCE_MS)]);
    if (!isThere) throw new Error("the honest pair was cut off");
    taken.push(performance.now() - since);
    await Bun.sleep(Math.max(0, MESSAGE_EVERY_MS - (performance.now() - since)));
  }
  alice.close();
  bob.close();
  return taken;
}

async function pairs(port: number, until: number): Promise<number[]> {
  const waits: Promise<number>[] = [];
  for (; performance.now() < until; await Bun.sleep(PAIR_EVERY_MS)) waits.push(pair(port));
  return Promise.all(waits);
}

async function pair(port: number): Promise<number> {
  const since = performance.now();
  const met = meet(port).then(
    () => performance.now() - since,
    () => Number.POSITIVE_INFINITY,
  );
  return Promise.race([met, Bun.sleep(PATIENCE_MS).then(() => Number.POSITIVE_INFINITY)]);
}

async function meet(port: number): Promise<void> {
  const url = `ws://127.0.0.1:${port}`;
  const code = newCode();
  const [alice, bob] = await Promise.all([Client.join(url, code, true), Client.join(url, code, false)]);
  await alice.expect("ready");
  alice.close();
  bob.close();
}

function print(cells: readonly string[]): void {
  console.log(`| ${cells.join(" | ")} |`);
}

/** What the buffers of all TCP sockets of this machine take. */
function kernelBytes(): number {
  return Number(/^TCP: .* mem (\d+)/m.exec(readFileSync("/proc/net/sockstat", "utf8"))?.[1]) * PAGE_BYTES;
}

function mega(bytes: number): string {
  return `${Math.max(0, bytes / 1_048_576).toFixed(0)} MB`;
}

function times(ms: readonly number[]): string {
  return `${quantile(ms, 0.5).toFixed(1)}, ${quantile(ms, 0.99).toFixed(1)}`;
}

try {
  if (process.argv.includes("--help")) console.info(helpFor(OPTIONS, false).trimEnd());
  else await main(process.argv.slice(2));
  process.exit(0);
} catch (failure) {
  console.error(`attacks: ${failure instanceof Error ? failure.message : failure}`);
  process.exit(failure instanceof ConfigError ? 2 : 1);
}
