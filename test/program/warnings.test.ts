/** What the log says where addresses are not what they seem: each case once, on the binary, with what to set. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { version } from "../../package.json" with { type: "json" };
import { doubtAboutFiles, OPEN_FILES, readConfig } from "../../src/program/config.ts";
import { LEVELS } from "../../src/program/log.ts";
import { RawClient, UPGRADE } from "../support/peers/raw.ts";
import { command, commitOf, run, spawnProgram, spawnRelay } from "../support/relays/relay.ts";

const PROXIED = "X-Forwarded-For: 203.0.113.9\r\n";

async function warningsAfter(args: readonly string[], connections: number, header = ""): Promise<string> {
  await using relay = await spawnRelay("binary", ...args);
  const clients: RawClient[] = [];
  for (let n = 0; n < connections; n++) {
    const client = await RawClient.dial(relay.port);
    client.write(UPGRADE.replace("\r\n\r\n", `\r\n${header}\r\n`));
    await client.head();
    clients.push(client);
  }
  for (const client of clients) client.end();
  return (await relay.stop()).stderr;
}

test.each([
  ["an exempt address that forwards", ["--exempt=127.0.0.1"], 3, PROXIED, "an exempt address sends X-Forwarded-For, "],
  [
    "a proxy that is neither trusted nor exempt",
    ["--exempt=none"],
    3,
    PROXIED,
    "an address that is not trusted sends ",
  ],
  [
    "a trusted proxy that names nobody",
    ["--exempt=none", "--trust-proxy=127.0.0.1"],
    6,
    "",
    "a trusted proxy sends no ",
  ],
  [
    "a forwarder that is exempt and names nobody",
    ["--exempt=127.0.0.1", "--max-per-address=4"],
    7,
    "",
    "addresses in --exempt have more connections than ",
  ],
])("%s is warned of once, without an address", async (_, args, connections, header, warning) => {
  const stderr = await warningsAfter(args, connections, header);
  expect(stderr).toStartWith(`whisper-signaling: warning: ${warning}`);
  expect(stderr.trimEnd()).not.toContain("\n");
  expect(stderr).not.toMatch(/\d+\.\d+\.\d+/);
});

test.each([
  ["clients of no proxy", ["--exempt=none"], 6, ""],
  ["a check on the machine of a trusted proxy", ["--exempt=none", "--trust-proxy=127.0.0.1"], 3, ""],
  ["a trusted proxy as it should be", ["--exempt=none", "--trust-proxy=127.0.0.1"], 6, PROXIED],
  ["as many from exempt addresses as one may have", ["--exempt=127.0.0.1", "--max-per-address=4"], 4, ""],
])("%s are not", async (_, args, connections, header) => {
  expect(await warningsAfter(args, connections, header)).toBe("");
});

test.each([
  ["0.0.0.0:0", "--admin is where strangers may reach it (0.0.0.0 port 0): "],
  ["[::]:0", "--admin is where strangers may reach it (:: port 0): "],
])("a listener for the operator that strangers may reach is warned of: %s", async (admin, warning) => {
  await using relay = await spawnRelay("binary", `--admin=${admin}`);
  expect((await relay.stop()).stderr).toStartWith(`whisper-signaling: warning: ${warning}`);
});

test("a low limit of open files is told at the start, with what it leaves room for and how to raise it; one like the unit's is not", async () => {
  const start = async (files: number, ...args: string[]) => {
    const limited = ["bash", "-c", `ulimit -n ${files} && exec "$@"`, "bash", ...command("binary", ...args)];
    await using relay = await spawnProgram(limited);
    return (await relay.stop()).stdout.split("\n").find((line) => line.includes("open files"));
  };
  expect(await start(1_024)).toMatch(
    /^whisper-signaling: a limit of 1024 open files leaves room for 871 peers, memory for some \d+: raise it to 65536 \(LimitNOFILE= /,
  );
  expect(await start(1_024, "--max-peers=100")).toBeUndefined();
  expect(await start(1_024, "--max-memory=100MiB")).toMatch(/memory for some 11377:/);
  const [config, memory] = [readConfig([], {}, OPEN_FILES), 2 ** 40];
  expect(doubtAboutFiles(config, OPEN_FILES, memory)).toBeNull();
  const [few, peerBytes] = [readConfig([], {}, 1_024), 9 * 1_024];
  expect(doubtAboutFiles(few, 1_024, 871 * peerBytes)).toBeNull(); // memory holds no more than they do
  expect(doubtAboutFiles(few, 1_024, 872 * peerBytes)).toContain("for 871 peers, memory for some 872:");
});

test("a line in JSON of the start has the options by their types, and what was built", async () => {
  await using relay = await spawnRelay(
    "binary",
    "--log=json",
    "--max-peers=100",
    "--reuse-port",
    "--origin=null,file://",
  );
  const { stdout } = await relay.stop();
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line): Record<string, unknown> => JSON.parse(line));
  expect(lines[0]).toMatchObject({
    ...{ level: "info", event: "start", version, commit: commitOf("binary"), port: 0, "max-peers": 100 },
    ...{ "reuse-port": true, origin: ["null", "file://"], exempt: ["127.0.0.0/8", "::1"], sandbox: "on" },
  });
  expect(lines.map(({ event, seconds, address }) => ({ event, seconds, address })).slice(1)).toEqual([
    { event: "ready", seconds: undefined, address: `http://127.0.0.1:${relay.port}` },
    { event: "drain", seconds: 30, address: undefined },
    { event: "stop", seconds: undefined, address: undefined },
  ]);
});

test("what is told at the start beside its one line is a notice", async () => {
  const limited = ["bash", "-c", 'ulimit -n 1024 && exec "$@"', "bash", ...command("binary", "--log=json")];
  await using relay = await spawnProgram(limited);
  const events = (await relay.stop()).stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).event);
  expect(events).toEqual(["start", "notice", "ready", "drain", "stop"]);
});

test.each<[string[], Record<string, string>]>([
  [["--log=json", "--port=x"], {}],
  [["--port=x", "--log", "json"], {}],
  [["--bogus"], { WHISPER_LOG: "json" }],
  [["--log=json", "--tls-cert=/none", "--tls-key=/none"], {}],
])("a start that can't be is told as --log asks: %j %j", async (args, env) => {
  const { exitCode, stderr } = await run(command("binary", ...args), env);
  expect(exitCode).toBe(2);
  expect(JSON.parse(stderr)).toMatchObject({ level: "error", event: "failure" });
});

test("docs/OPERATIONS.md names each event of the log", async () => {
  const docs = await Bun.file(join(import.meta.dir, "../../docs/OPERATIONS.md")).text();
  const [, events = ""] = /`event` \(([^)]+)\)/.exec(docs) ?? [];
  expect([...events.matchAll(/\w+/g)].map(([name]) => name)).toEqual(Object.keys(LEVELS));
});
