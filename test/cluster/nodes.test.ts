/** Two relays as they are released, with a real engine: what peers, operator and engine see of it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { SIGNALS } from "../../src/program/signals.ts";
import { EngineProcess } from "../support/cluster/engine-process.ts";
import { type Nodes, startNodes } from "../support/cluster/nodes.ts";
import { helperOf, newPairAt, tryJoin } from "../support/cluster/peers.ts";
import { Authority } from "../support/machines/certificates.ts";
import { newFolder } from "../support/machines/folder.ts";
import { freePort } from "../support/machines/free-port.ts";
import { parseMetrics } from "../support/machines/metrics.ts";
import { until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newCode } from "../support/peers/client.ts";
import { command, type RunningRelay, run, spawnRelay } from "../support/relays/relay.ts";

const SECRET = "a secret that nobody guesses, ever";

let cluster: Nodes;
let one: RunningRelay;
let other: RunningRelay;
beforeAll(async () => {
  cluster = await startNodes(2, "binary", ["--admin=127.0.0.1:0"]);
  const [first, second] = cluster.nodes;
  if (!first || !second) throw new Error("no nodes");
  [one, other] = [first, second];
});
afterAll(() => cluster[Symbol.asyncDispose]());

async function sample(relay: RunningRelay, row: string): Promise<number | undefined> {
  return parseMetrics(await (await relay.admin("/metrics")).text()).get(row);
}

/** Two pages that have met, the initiator at the one node and the joiner at the other, each told of the other's. */
async function pagesThatMet() {
  const code = newCode();
  const join = { type: "join", sessionCode: code, isInitiator: true };
  const alice = await Client.connect(one.url);
  alice.send({ ...join, instance: "page-of-alice" });
  const { token } = await alice.expect("joined");
  const bob = await Client.connect(other.url);
  bob.send({ ...join, isInitiator: false, instance: "page-of-bob" });
  await bob.expect("joined");
  expect(await bob.expect("ready")).toEqual({ type: "ready", pairing: 1, peer: "page-of-alice" });
  expect(await alice.expect("ready")).toEqual({ type: "ready", pairing: 1, peer: "page-of-bob" });
  return { code, join, token, alice, bob };
}

describe("peers at two nodes", () => {
  test("meet, a third is refused at both, and the engine forgets that they met", async () => {
    const pair = await newPairAt(one, other);
    for (const relay of [one, other])
      for (const isInitiator of [true, false])
        expect((await tryJoin(relay, pair.code, isInitiator))[0]).toBe("session-full");
    await expectUndisturbed(pair);
    expect([await one.sessions(), await other.sessions()]).toEqual([1, 0]);
    expect(await sample(one, 'whisper_cluster_peers{state="guest"}')).toBe(1);
    expect(await sample(other, 'whisper_cluster_peers{state="away"}')).toBe(1);
    for (const client of [pair.alice, pair.bob]) client.close();
    await cluster.engine.untilForgotten();
  });

  test("take their seat back by its token at the other node, and hear of each other's page", async () => {
    const { code, join, token, alice, bob } = await pagesThatMet();
    const again = await Client.connect(other.url);
    again.send({ ...join, token });
    await again.expect("joined");
    await again.expect("ready");
    expect(await bob.expect("ready")).toEqual({ type: "ready", pairing: 2, peer: null });
    await alice.expectError("replaced");
    bob.send({ type: "offer", sessionCode: code, offer: {}, pairing: 1 });
    await bob.expectError("stale");
    await expectUndisturbed({ code, alice: again, bob });
    for (const client of [again, bob]) client.close();
  });
});

test.each([true, false])(
  "who reloads and comes back at the other node meets the one who stayed, wherever the session is (by token: %p)",
  async (isByToken) => {
    const sessions = async () => [await one.sessions(), await other.sessions()];
    const { code, join, token, alice, bob } = await pagesThatMet();
    if (!isByToken) {
      alice.close();
      await bob.expect("peer-left");
    }
    const again = await Client.connect(other.url);
    again.send({ ...join, instance: "page-of-alice", ...(isByToken && { token }) });
    await again.expect("joined");
    expect(await again.expect("ready")).toEqual({ type: "ready", pairing: 2, peer: "page-of-bob" });
    expect(await bob.expect("ready")).toEqual({ type: "ready", pairing: 2, peer: "page-of-alice" });
    for (const relay of [one, other])
      for (const isInitiator of [true, false])
        expect((await tryJoin(relay, code, isInitiator))[0]).toBe("session-full");
    await expectUndisturbed({ code, alice: again, bob });
    expect(await sessions()).toEqual([1, 0]); // its home has no peer of its own now
    for (const client of [again, bob]) client.close();
    await cluster.engine.untilForgotten();
    const next = await newPairAt(other, one, code);
    expect(await sessions()).toEqual([0, 1]);
    await expectUndisturbed(next);
    for (const client of [next.alice, next.bob]) client.close();
    await cluster.engine.untilForgotten();
  },
);

test("the engine sees no code, no token and nothing of a message", async () => {
  const { engine } = cluster;
  const monitor = Bun.spawn(["redis-cli", "-s", engine.path, "MONITOR"], { stdout: "pipe" });
  let seen = "";
  const reading = (async () => {
    for await (const piece of monitor.stdout.pipeThrough(new TextDecoderStream())) seen += piece;
  })();
  await until("the monitor to be on", () => seen.includes("OK"));
  const code = newCode();
  const alice = await Client.connect(one.url);
  alice.send({ type: "join", sessionCode: code, isInitiator: true });
  const { token } = await alice.expect("joined");
  const bob = await Client.join(other.url, code, false);
  await bob.expect("ready");
  const secret = `v=0 ${crypto.randomUUID()}`;
  alice.send({ type: "ready", sessionCode: code });
  await alice.expect("ready");
  await alice.expectError("bad-message");
  const offer = alice.send({ type: "offer", sessionCode: code, offer: { sdp: secret } });
  expect(await bob.next()).toBe(offer);
  await until("the offer to be seen", () => (seen.match(/"PUBLISH"/g)?.length ?? 0) > 4);
  monitor.kill();
  await reading;
  for (const word of [code, `${token}`, secret, "offer", "sessionCode", "joined"]) {
    expect(seen).not.toContain(word);
    expect(seen).not.toContain(Buffer.from(word).toString("base64").replace(/=*$/, "").slice(0, -1));
  }
  for (const client of [alice, bob]) client.close();
});

test("who reaches the engine can say anything to a relay: it goes on, and so does a pair over two", async () => {
  const { engine } = cluster;
  const monitor = Bun.spawn(["redis-cli", "-s", engine.path, "MONITOR"], { stdout: "pipe" });
  let seen = "";
  const reading = (async () => {
    for await (const piece of monitor.stdout.pipeThrough(new TextDecoderStream())) seen += piece;
  })();
  await until("the monitor to be on", () => seen.includes("OK"));
  const pair = await newPairAt(one, other);
  const letters = () => [...seen.matchAll(/"PUBLISH" "([^"]+)" "([po]) (\S+) (\d+) ([^"]+)"/g)];
  await until("letters both ways", () => new Set(letters().map(([, channel]) => channel)).size > 1);
  monitor.kill();
  await reading;
  for (const [, channel = "", kind = "", link = "", seq = "", rest = ""] of letters())
    for (const number of [seq, "0", "-1", "1.5", "1e300", "281474976710656", "x", ""])
      for (const sealed of [rest, "", "A", "=".repeat(100_000)])
        await engine.ask("PUBLISH", channel, `${kind} ${link} ${number} ${sealed}`);
  await expectUndisturbed(pair);
  expect([one.process.exitCode, other.process.exitCode]).toEqual([null, null]);
  for (const client of [pair.alice, pair.bob]) client.close();
  await engine.untilForgotten();
});

describe("the helper", () => {
  test("outlives each signal that comes to all of a unit, as the relay does", async () => {
    const { alice, bob } = await newPairAt(one, one);
    const pid = await helperOf(one);
    for (const signal of [...SIGNALS.gather, ...SIGNALS.hangUp, "SIGUSR1"] as const) {
      process.kill(pid, signal);
      expect([signal, await alice.drain(), await bob.drain()]).toEqual([signal, [], []]);
    }
    const pair = await newPairAt(one, other); // by a helper that is still there
    expect(await helperOf(one)).toBe(pid);
    for (const client of [alice, bob, pair.alice, pair.bob]) client.close();
    await cluster.engine.untilForgotten();
  });

  test("is locked, and has nothing open but pipes and sockets", async () => {
    const pid = await helperOf(one);
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    expect(/^Seccomp:\s+(\d)$/m.exec(status)?.[1]).toBe("2");
    expect(/^NoNewPrivs:\s+(\d)$/m.exec(status)?.[1]).toBe("1");
    const kinds = readdirSync(`/proc/${pid}/fd`).map((fd) =>
      readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/[:[].*$/, ""),
    );
    expect(kinds.filter((kind) => !["socket", "pipe", "anon_inode", "/dev/null"].includes(kind))).toEqual([]);
    expect(readFileSync(`/proc/${pid}/cmdline`, "latin1")).not.toContain("unix:");
    expect(readFileSync(`/proc/${pid}/environ`, "latin1").replaceAll("\0", "")).toBe("");
  });

  test("is not there without a cluster", async () => {
    await using relay = await spawnRelay("binary");
    expect(await helperOf(relay)).toBe(0);
  });

  test("ends with its relay, whatever ends that", async () => {
    await using more = await startNodes(1, "binary", [], cluster.engine);
    const [relay] = more.nodes;
    if (!relay) throw new Error("no node");
    const pid = await helperOf(relay);
    const isThere = () => readdirSync("/proc").includes(`${pid}`);
    expect(isThere()).toBe(true);
    await relay.stop("SIGKILL");
    await until("the helper to end", () => !isThere());
  });
});

describe("the start", () => {
  async function started(engine: EngineProcess | string, secret = SECRET, ...args: string[]) {
    await using folder = await newFolder();
    const file = await folder.write("secret", secret);
    const url = typeof engine === "string" ? engine : engine.url;
    const own = [`--cluster=${url}`, `--cluster-secret-file=${file}`, "--host=127.0.0.1", "--port=0"];
    return await run(command("binary", ...own, ...args));
  }

  test.each([
    ["it saves to disk (save", ["--save", "60 1"]],
    ["it saves to disk (appendonly yes)", ["--appendonly", "yes"]],
    ["it throws away what it is short of room for", ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]],
    ["it refuses us (NOAUTH)", ["--requirepass", "a password"]],
  ])("is refused where %s", async (why, args) => {
    await using engine = await EngineProcess.start({ args, isFresh: true });
    const { exitCode, stderr } = await started(engine);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(`--cluster ${engine.path}: ${why}`)]);
    expect(stderr.trim().split("\n").length).toBe(1);
  });

  test("takes an engine that saves where that is allowed, and the password out of a file", async () => {
    await using engine = await EngineProcess.start({
      args: ["--save", "60 1", "--requirepass", "a password"],
      isFresh: true,
    });
    await using folder = await newFolder();
    const secret = await folder.write("secret", SECRET);
    const password = await folder.write("password", "a password\n");
    await using relay = await spawnRelay(
      "binary",
      "--admin=127.0.0.1:0",
      "--cluster-allow-persistence",
      `--cluster=${engine.url}`,
      `--cluster-secret-file=${secret}`,
      `--cluster-password-file=${password}`,
    );
    await until("the engine to be there", async () => (await relay.admin("/readyz")).status === 200);
    expect(relay.stdout.text).not.toContain("a password");
  });

  test("goes on without an engine that is not there, and says so", async () => {
    await using folder = await newFolder();
    const secret = await folder.write("secret", SECRET);
    const args = [`--cluster=unix://${folder.file("none")}`, `--cluster-secret-file=${secret}`, "--admin=127.0.0.1:0"];
    await using relay = await spawnRelay("binary", ...args);
    expect(await (await relay.admin("/readyz")).text()).toBe("cut-off\n");
    expect((await relay.stop()).stderr).toContain("can't be reached: nobody new is taken until it can");
  });

  test("is refused for options that are wrong, with exit code 2 and one line", async () => {
    const short = await started("unix:///nowhere", "short");
    expect([short.exitCode, short.stderr]).toEqual([2, expect.stringContaining("less than 32 characters")]);
    for (const [args, why] of [
      [["--cluster=redis://127.0.0.1"], "--cluster and --cluster-secret-file are given together or not at all"],
      [["--cluster-secret-file=/nowhere"], "--cluster and --cluster-secret-file are given together or not at all"],
      [["--cluster-ca=/nowhere"], "--cluster-ca is of use with --cluster only"],
      [["--cluster-password-file=/nowhere"], "--cluster-password-file is of use with --cluster only"],
      [["--cluster-allow-persistence"], "--cluster-allow-persistence is of use with --cluster only"],
      [["--cluster=redis://user:word@127.0.0.1"], "is not redis://HOST:PORT"],
      [["--cluster=http://127.0.0.1"], "is not redis://HOST:PORT"],
    ] as const) {
      const { exitCode, stderr } = await run(command("binary", ...args));
      expect([exitCode, stderr]).toEqual([2, expect.stringContaining(why)]);
    }
  });

  test("is refused for files and engines that don't go together, by `check --config` too", async () => {
    await using folder = await newFolder();
    const secret = await folder.write("secret", SECRET);
    const three = await folder.write("three", `${SECRET}1\n${SECRET}2\n${SECRET}3\n`);
    const engine = "--cluster=redis://127.0.0.1:1";
    const own = `--cluster-secret-file=${secret}`;
    for (const [args, why] of [
      [[engine, `--cluster-secret-file=${three}`], "--cluster-secret-file names 3 secrets; at most 2"],
      [[engine, engine, own], "--cluster names an engine twice"],
      [["--cluster=redis://relay@127.0.0.1:1", own], "--cluster names a user, and --cluster-password-file no password"],
      [[engine, own, `--cluster-ca=${secret}`], `--cluster-ca ${JSON.stringify(secret)} is not a PEM certificate`],
      [[engine, own, "--cluster-ca=/nowhere"], `--cluster-ca "/nowhere" can't be read: there is no such file`],
    ] as const)
      for (const command_ of [[], ["check", "--config"]]) {
        const { exitCode, stderr } = await run(command("binary", ...command_, ...args));
        expect([exitCode, stderr]).toEqual([2, `whisper-signaling: ${why}\n`]);
      }
  });

  test("a node that spreads sessions over other engines takes nobody, and says that it does not fit", async () => {
    await using engine = await EngineProcess.start({ layout: "1/2" });
    await using nodes = await startNodes(1, "binary", ["--admin=127.0.0.1:0"], engine);
    const [relay] = nodes.nodes;
    if (!relay) throw new Error("no node");
    await until("it to say so", async () => (await sample(relay, 'whisper_cluster_engines{state="misfit"}')) === 1);
    expect((await tryJoin(relay, newCode(), true))[0]).toBe("at-capacity");
  });
});

test("while one secret takes the place of another, nodes with either meet, and are one", async () => {
  await using folder = await newFolder();
  await using engine = await EngineProcess.start();
  const [old, both, young] = [
    await folder.write("old", SECRET),
    await folder.write("both", `${SECRET}\n${SECRET.toUpperCase()}\n`),
    await folder.write("young", SECRET.toUpperCase()),
  ];
  const start = (secret: string) =>
    spawnRelay("binary", "--admin=127.0.0.1:0", `--cluster=${engine.url}`, `--cluster-secret-file=${secret}`);
  await using before = await start(old);
  await using between = await start(both);
  await using after = await start(young);
  for (const [home, guest] of [
    [before, between],
    [between, before],
    [between, after],
    [after, between],
  ] as const) {
    const pair = await newPairAt(home, guest);
    await expectUndisturbed(pair);
    expect((await tryJoin(guest, pair.code, true))[0]).toBe("session-full");
    for (const client of [pair.alice, pair.bob]) client.close();
  }
  const unlike = 'whisper_cluster_errors_total{stage="secret"}';
  for (const relay of [before, after])
    await until("both to miss a secret", async () => (await sample(relay, unlike)) === 1);
  expect(await sample(between, unlike)).toBe(0);
  for (const relay of [before, after]) expect((await relay.stop()).stderr).toContain("has another secret");
});

test("several engines share the sessions, and pairs meet over each", async () => {
  await using first = await EngineProcess.start({ layout: "1/2" });
  await using second = await EngineProcess.start({ layout: "2/2" });
  await using nodes = await startNodes(2, "binary", [`--cluster=${second.url}`], first);
  const [home, guest] = nodes.nodes;
  if (!home || !guest) throw new Error("no nodes");
  const pairs = await Promise.all(Array.from({ length: 20 }, () => newPairAt(home, guest)));
  for (const pair of pairs) await expectUndisturbed(pair);
  const claims = await Promise.all([first, second].map((engine) => engine.ask("KEYS", "whisper:at:*")));
  expect(claims.map((keys) => keys.split("\n").length).reduce((sum, count) => sum + count)).toBe(20);
  for (const keys of claims) expect(keys).not.toBe("");
});

describe("an engine that speaks TLS", () => {
  let authority: Authority;
  let engine: EngineProcess;
  const port = freePort();
  beforeAll(async () => {
    authority = await Authority.create();
    const { certFile, keyFile } = await authority.issue();
    const files = ["--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", authority.rootFile];
    engine = await EngineProcess.start({ args: ["--tls-port", `${port}`, "--tls-auth-clients", "no", ...files] });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await authority[Symbol.asyncDispose]();
  });

  test("is believed by the certificate of its authority, by name and by address", async () => {
    const ca = `--cluster-ca=${authority.rootFile}`;
    const url = `rediss://localhost:${port}`;
    await using cluster = await startNodes(1, "binary", ["--admin=127.0.0.1:0", ca], engine, url);
    const [home] = cluster.nodes;
    if (!home) throw new Error("no node");
    const args = [`--cluster=rediss://127.0.0.1:${port}`, `--cluster-secret-file=${cluster.secret}`, ca];
    await using guest = await spawnRelay("binary", ...args);
    await expectUndisturbed(await newPairAt(home, guest));
  });

  test("and by no other", async () => {
    const url = `rediss://localhost:${port}`;
    await using cluster = await startNodes(1, "binary", ["--admin=127.0.0.1:0"], engine, url);
    const [relay] = cluster.nodes;
    if (!relay) throw new Error("no node");
    expect(await (await relay.admin("/readyz")).text()).toBe("cut-off\n");
    expect(await sample(relay, 'whisper_cluster_errors_total{stage="connect"}')).toBeGreaterThan(0);
  });
});
