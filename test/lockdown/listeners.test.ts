/** What the kernel does for each connection: read back from the running program, and tried by bare connections. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Authority } from "../support/machines/certificates.ts";
import { openFiles } from "../support/machines/outside.ts";
import { socketsOf } from "../support/machines/sockets.ts";
import { atMost, until } from "../support/machines/until.ts";
import { expectUndisturbed, newPair } from "../support/peers/client.ts";
import { RawClient } from "../support/peers/raw.ts";
import { command, type RunningRelay, run, spawnRelay, VARIANTS } from "../support/relays/relay.ts";

const GET = "GET /health HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n";
/** The kernel books the buffer twice, and waits for the first byte on the listener alone. */
const TUNED = { sendBufferBytes: 131_072, unacknowledgedMs: 20_000 };
const LISTENER = { ...TUNED, isListening: true, silentSeconds: 7 };
const CROWD = 20;

const isAble = process.platform === "linux" && process.getuid?.() === 0;
if (!isAble) console.warn("listeners.test.ts: options aren't read: only root may copy another process's sockets");

describe.skipIf(!isAble && !process.env["CI"]).each(VARIANTS)("the listeners (%s)", (variant) => {
  test.each([
    ["locked", ["--sandbox=require", "--host=127.0.0.1"]],
    ["not locked", ["--sandbox=off", "--host=127.0.0.1"]],
    ["IPv6", ["--host=::1"]],
    ["shared", ["--reuse-port"]],
  ])("and all that they accept have a small send buffer and short times: %s", async (_how, args) => {
    await using relay = await spawnRelay(variant, "--admin=127.0.0.1:0", ...args);
    const [, admin = ""] = /operator on \S+:(\d+)/.exec(relay.stdout.text) ?? [];
    const { pid } = relay.process;
    for (const port of [relay.port, Number(admin)]) expect(socketsOf(pid, port)).toEqual([LISTENER]);
    const client = await RawClient.connect(relay.port, { hostname: args.includes("--host=::1") ? "::1" : "127.0.0.1" });
    const accepted = { ...TUNED, isListening: false };
    expect(socketsOf(pid, relay.port)).toEqual([LISTENER, expect.objectContaining(accepted)]);
    client.end();
    expect((await relay.stop()).stderr).toBe("");
  });

  test("and all that they accept are the same with TLS", async () => {
    await using authority = await Authority.create();
    await using relay = await spawnRelay(variant, ...(await authority.issue()).args);
    expect(socketsOf(relay.process.pid, relay.port)).toEqual([LISTENER]);
    const client = await RawClient.dial(relay.port);
    client.write("no hello of TLS, but it has to be read to know that");
    await until(
      "every send buffer to be small",
      () => socketsOf(relay.process.pid, relay.port).map(({ sendBufferBytes }) => sendBufferBytes),
      (bytes) => bytes.every((size) => size === 131_072),
    );
    client.end();
  });
});

describe("a bare connection", () => {
  let relay: RunningRelay;
  beforeAll(async () => {
    relay = await spawnRelay("binary");
  });
  afterAll(() => relay[Symbol.asyncDispose]());

  test("that says nothing takes no descriptor, and is answered as soon as it speaks after all", async () => {
    await relay.sessions(); // fetch keeps that connection
    const before = openFiles(relay.process.pid);
    const silent = await Promise.all(Array.from({ length: CROWD }, () => RawClient.dial(relay.port)));
    const speaking = await RawClient.dial(relay.port);
    speaking.write(GET);
    expect(await speaking.head()).toStartWith("HTTP/1.1 200 ");
    expect(openFiles(relay.process.pid)).toBeLessThan(before + CROWD);
    for (const client of silent) client.write(GET);
    for (const client of silent) expect(await client.head()).toStartWith("HTTP/1.1 200 ");
  });

  test("of a health check that hangs up without a word, by FIN or by RST, disturbs nothing", async () => {
    const before = openFiles(relay.process.pid);
    for (const reset of [false, true]) {
      const clients = await Promise.all(Array.from({ length: CROWD }, () => RawClient.dial(relay.port)));
      for (const client of clients) client.end(reset);
      const pair = await newPair(relay.url);
      await expectUndisturbed(pair);
      for (const peer of [pair.alice, pair.bob]) {
        peer.close();
        await peer.closed;
      }
    }
    await until("its files to be closed", () => openFiles(relay.process.pid), atMost(before));
  });
});

describe("where something is missing", () => {
  const options = ["--host=127.0.0.1", "--port=0", "--sandbox=require"];
  const failure = (obstacle: string) => ({
    exitCode: 4,
    stdout: "",
    stderr: `whisper-signaling: --sandbox "require" can't be had here: ${obstacle}\n`,
  });

  test("memory for the engine's compiler: it says so, and how to mend it", async () => {
    const limited = ["sh", "-c", 'ulimit -v 1000000 && exec "$@"', "sh", ...command("binary", ...options)];
    expect(await run(limited)).toEqual(
      failure(
        "the engine has no memory for its compiler, without which no C library can be called; lift the limit of addresses (ulimit -v, LimitAS=)",
      ),
    );
  });

  test.skipIf(!isAble && !process.env["CI"])("what /proc says of the process: it says so", async () => {
    const blinded = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null /proc/$$/stat && exec "$@"', "sh"];
    expect(await run([...blinded, ...command("binary", ...options)])).toEqual(
      failure("/proc/self/stat doesn't tell where the environment lies in memory; mount /proc"),
    );
  });
});
