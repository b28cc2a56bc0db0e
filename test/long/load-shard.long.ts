/** The load tester behind a balancer that knows sessions by their `?s=`: it loads all relays, and no pair is torn apart. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { EXIT } from "../../src/load/outcome.ts";
import { type Folder, newFolder } from "../support/machines/folder.ts";
import { freePort } from "../support/machines/free-port.ts";
import { pathOf } from "../support/machines/fronts.ts";
import { load } from "../support/machines/load-run.ts";
import { counted } from "../support/machines/metrics.ts";
import { until } from "../support/machines/until.ts";
import { type RunningRelay, spawnRelay } from "../support/relays/relay.ts";

const HAPROXY = pathOf("haproxy");
const EXEMPT = ["--exempt", "127.0.0.1", "--admin", "127.0.0.1:0"];
const LOAD = ["--rate", "50", "--duration", "2s", "--timeout", "2s"];
const SESSIONS = 100;

test.skipIf(!process.env["CI"])("CI has a haproxy to balance with", () => {
  expect(HAPROXY).not.toBeNull();
});

let relays: RunningRelay[] = [];
let folder: Folder;
let haproxy: Bun.Subprocess;
const port = freePort();
const url = `ws://127.0.0.1:${port}`;

beforeAll(async () => {
  if (HAPROXY === null) return;
  relays = await Promise.all([spawnRelay("source", ...EXEMPT), spawnRelay("source", ...EXEMPT)]);
  folder = await newFolder();
  const servers = relays.map((relay, i) => `  server relay${i} 127.0.0.1:${relay.port}`);
  const configuration = [
    ...["defaults", "  mode http", "  timeout connect 5s", "  timeout client 1h", "  timeout server 1h"],
    ...["frontend all", `  bind 127.0.0.1:${port}`, "  default_backend relays"],
    ...["backend relays", "  balance url_param s", ...servers, ""],
  ];
  await folder.write("haproxy.cfg", configuration.join("\n"));
  haproxy = Bun.spawn([HAPROXY, "-db", "-f", folder.file("haproxy.cfg")], { stdout: "ignore", stderr: "ignore" });
  await until("haproxy to listen", () =>
    fetch(url.replace("ws", "http")).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
});

afterAll(async () => {
  haproxy?.kill("SIGKILL");
  await haproxy?.exited;
  for (const relay of relays) await relay[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

test.skipIf(HAPROXY === null)("with --shard every session is whole, and each relay has a part of them", async () => {
  const { exitCode, result } = await load("source", "handshake", url, ...LOAD, "--shard");
  expect(exitCode).toBe(EXIT.good);
  expect(result.counts).toMatchObject({ offered: SESSIONS, done: SESSIONS });
  const paired = await Promise.all(
    relays.map(async (relay) => (await counted(relay, "whisper_session_outcomes_total"))["paired"] ?? 0),
  );
  expect(paired.reduce((sum, sessions) => sum + sessions)).toBe(SESSIONS);
  for (const sessions of paired) expect(sessions).toBeGreaterThan(SESSIONS / 4);
});

test.skipIf(HAPROXY === null)(
  "without it such a balancer tears pairs apart, and they are told to have waited",
  async () => {
    const { result } = await load("source", "handshake", url, ...LOAD);
    expect(result.counts.failed).toBeGreaterThan(0);
    expect(Object.keys(result.errors)).toEqual(["timeout:ready"]);
  },
);
