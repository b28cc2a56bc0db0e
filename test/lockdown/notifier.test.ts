/** What a service manager is told, and when: by the binary, locked, to a real datagram socket. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Notifier } from "../../src/lockdown/notifier.ts";
import { HAS_PYTHON, Manager } from "../support/machines/manager.ts";
import { atLeast, equals, until } from "../support/machines/until.ts";
import { newPair } from "../support/peers/client.ts";
import { command, run, spawnProgram, spawnRelay } from "../support/relays/relay.ts";

if (!HAS_PYTHON) console.warn("notifier.test.ts: no manager is told: Debian's python3 would have to be installed");
test.skipIf(!process.env["CI"])("CI has a python3 that plays the manager", () => {
  expect(HAS_PYTHON).toBeTrue();
});

const LOCKED = command("binary", "--sandbox=require");
const spawnTold = (manager: Manager, env: Record<string, string> = {}) =>
  spawnProgram(LOCKED, { env: { NOTIFY_SOCKET: manager.socket, ...env } });
/** As many datagrams as a socket holds that is not read. */
const QUEUE = Number(readFileSync("/proc/sys/net/unix/max_dgram_qlen", "utf8"));
const uptimeUs = () => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1_000_000;

describe.skipIf(!HAS_PYTHON && !process.env["CI"])("a manager", () => {
  test.each(["path", "abstract"] as const)(
    "with a socket by %s hears of the main process that it is ready once it listens, and when it stops",
    async (kind) => {
      await using manager = await Manager.start(kind);
      await using relay = await spawnTold(manager);
      await manager.hears("READY=1");
      expect((await relay.get("/health")).status).toBe(200);
      const { alice, bob } = await newPair(relay.url);
      relay.process.kill("SIGTERM");
      await manager.hears("STOPPING=1\nSTATUS=draining for up to 30 s");
      expect([await alice.drain(), await bob.drain()]).toEqual([[], []]);
      for (const peer of [alice, bob]) peer.close();
      expect(await relay.ended()).toMatchObject({ exitCode: 0, stderr: "" });
      expect(manager.told.map(({ pid }) => pid)).toEqual([relay.process.pid, relay.process.pid]);
      expect(manager.texts[0]).toBe("READY=1");
    },
  );

  test("does not hear that a relay is ready that can't start", async () => {
    await using manager = await Manager.start("path");
    await using first = await spawnRelay("binary");
    const args = [...LOCKED, "--host=127.0.0.1", `--port=${first.port}`];
    expect((await run(args, { NOTIFY_SOCKET: manager.socket })).exitCode).toBe(1);
    await using second = await spawnTold(manager);
    await manager.hears("READY=1");
    expect(manager.told).toEqual([{ pid: second.process.pid, text: "READY=1" }]);
  });

  test("hears on SIGHUP when it began, what came of it, and that the relay is ready as before", async () => {
    await using manager = await Manager.start("path");
    await using relay = await spawnTold(manager);
    const { alice, bob } = await newPair(relay.url);
    const before = uptimeUs();
    relay.process.kill("SIGHUP");
    await until("the manager to hear four times", () => manager.texts.length, equals(4));
    const [, reloading = "", status = "", ready] = manager.texts;
    const [, at = ""] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(reloading) ?? [];
    expect(Number(at)).toBeWithin(before - 20_000, uptimeUs() + 20_000); // uptime counts in hundredths of a second
    expect([status, ready]).toEqual([expect.stringMatching(/^STATUS=SIGHUP changes nothing: /), "READY=1"]);
    expect([await alice.drain(), await bob.drain()]).toEqual([[], []]);
    for (const peer of [alice, bob]) peer.close();
  });

  test("with a watchdog hears that the relay lives, not while that stands still, and again after it", async () => {
    await using manager = await Manager.start("path");
    await using relay = await spawnTold(manager, { WATCHDOG_USEC: "100000" });
    const beats = () => manager.texts.filter((text) => text === "WATCHDOG=1").length;
    await until("three signs of life", beats, atLeast(3));
    relay.process.kill("SIGSTOP");
    await until("it to stand still", () => readFileSync(`/proc/${relay.process.pid}/stat`, "utf8").includes(") T "));
    const stopped = beats();
    await Bun.sleep(300); // three times what the watchdog allows
    expect(beats() - stopped).toBeLessThanOrEqual(1); // one may have been on its way
    relay.process.kill("SIGCONT");
    await until("a sign of life", beats, atLeast(stopped + 2));
  });

  test.each([
    ["is meant for another process", { watchdogUs: "10000", watchdogPid: "1" }],
    ["is not set", {}],
    ["is no number", { watchdogUs: "soon" }],
  ])("hears nothing of a watchdog that %s", async (_, watchdog) => {
    await using manager = await Manager.start("path");
    const notifier = Notifier.open({ socket: manager.socket, ...watchdog }, process.pid);
    for (let n = 0; n < 3; n++) notifier.turn();
    notifier.ready();
    await manager.hears("READY=1");
    expect([manager.texts, notifier.turnMs]).toEqual([["READY=1"], 1_000]);
  });

  test("that reads nothing for a while holds nothing up, and then hears all, in order", async () => {
    await using manager = await Manager.start("path");
    const notifier = Notifier.open({ socket: manager.socket }, process.pid);
    manager.signal("SIGSTOP");
    const lines = Array.from({ length: QUEUE + 20 }, (_, i) => `STATUS=${i}`);
    for (let i = 0; i < lines.length; i++) notifier.status(String(i));
    manager.signal("SIGCONT");
    await until("all to arrive", () => {
      notifier.turn();
      return manager.texts.length === lines.length;
    });
    expect(manager.texts).toEqual(lines);
  });

  test("that has gone is told nothing more, and the relay goes on", async () => {
    const manager = await Manager.start("path");
    await using relay = await spawnTold(manager, { WATCHDOG_USEC: "20000" });
    await manager.hears("READY=1");
    await manager[Symbol.asyncDispose]();
    const { alice, bob } = await newPair(relay.url);
    for (const peer of [alice, bob]) peer.close();
    expect(await relay.stop()).toMatchObject({ exitCode: 0, stderr: "" });
  });
});

const NOBODY = "leads to nobody who listens";
const NO_NAME = "is neither a full path nor @ and a name";
test.each([
  ["/nowhere/notify", NOBODY],
  ["@nobody-listens-to-this", NOBODY],
  ["notify", NO_NAME],
  ["vsock:2:1234", NO_NAME],
  [`/${"x".repeat(107)}`, "is longer than the 107 bytes"],
])("where NOTIFY_SOCKET is %j it is said why nobody is told, and not what it is", (socket, why) => {
  const notifier = Notifier.open({ socket }, process.pid);
  expect(notifier.obstacle).toStartWith(`NOTIFY_SOCKET ${why}`);
  expect(notifier.obstacle).not.toContain(socket);
  notifier.ready(); // to nobody
});

test.each([
  ["/nowhere/notify", /^whisper-signaling: warning: NOTIFY_SOCKET leads to nobody [^\n]+\n$/],
  ["", /^$/],
])("a relay with NOTIFY_SOCKET=%s serves", async (socket, printed) => {
  await using relay = await spawnProgram(LOCKED, { env: { NOTIFY_SOCKET: socket } });
  expect((await relay.get("/health")).status).toBe(200);
  expect(await relay.stop()).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(printed) });
});
