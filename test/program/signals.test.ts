/** What signals do, each tried on the binary beside a pair; and starts by npx and bun, whose signals come twice. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { obeySignals, SIGNALS } from "../../src/program/signals.ts";
import { newFolder } from "../support/machines/folder.ts";
import { freePort } from "../support/machines/free-port.ts";
import { equals, until } from "../support/machines/until.ts";
import { newPair } from "../support/peers/client.ts";
import { command, Output, ROOT, run, spawn, spawnRelay } from "../support/relays/relay.ts";

/** Of the 64 that Linux has, those that drain, are crashes of the process itself, stop and continue it, or are the engine's. */
const OTHERS = {
  drain: [2, 3, 15],
  hangUp: [1],
  crash: [4, 5, 6, 7, 8, 11, 31],
  kill: [9],
  stop: [19, 20, 21, 22],
  engine: [30],
};
const HARMLESS = Array.from({ length: 64 }, (_, i) => i + 1).filter((n) => !Object.values(OTHERS).flat().includes(n));

const kill = (pid: number, ...signals: (string | number)[]) =>
  run(["bash", "-c", signals.map((signal) => `kill -${signal} ${pid}`).join(" && ")]);

describe.skipIf(process.platform !== "linux")("the binary", () => {
  test.each(["auto", "off"])("lets no signal but those of the table touch a pair (--sandbox %s)", async (sandbox) => {
    await using relay = await spawnRelay("binary", `--sandbox=${sandbox}`);
    const { alice, bob } = await newPair(relay.url);
    for (const signal of HARMLESS) {
      expect([signal, (await kill(relay.process.pid, signal)).exitCode]).toEqual([signal, 0]);
      expect([signal, await alice.drain(), await bob.drain()]).toEqual([signal, [], []]);
    }
    for (const peer of [alice, bob]) peer.close();
    expect(await relay.stop()).toMatchObject({ exitCode: 0, stderr: "" });
  });

  test.each(SIGNALS.drain)("%s drains it, and the pair finishes", async (signal) => {
    await using relay = await spawnRelay("binary");
    const { alice, bob } = await newPair(relay.url);
    relay.process.kill(signal);
    await relay.stdout.until(/draining/);
    expect([await alice.drain(), await bob.drain()]).toEqual([[], []]);
    for (const peer of [alice, bob]) peer.close();
    expect(await relay.ended()).toMatchObject({ exitCode: 0, stderr: "" });
  });

  test("SIGHUP changes nothing where no terminal has gone, and the log says each time where to read what to do", async () => {
    await using relay = await spawnRelay("binary");
    const { alice, bob } = await newPair(relay.url);
    for (let n = 0; n < 3; n++) {
      await kill(relay.process.pid, "HUP");
      expect([await alice.drain(), await bob.drain()]).toEqual([[], []]);
    }
    for (const peer of [alice, bob]) peer.close();
    const { exitCode, stderr } = await relay.stop();
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(
      /^(whisper-signaling: warning: SIGHUP changes nothing: .*"Renewal without dropping anyone"\n){3}$/,
    );
  });

  test("a terminal that is closed drains it; SIGHUP from elsewhere does not", async () => {
    const port = freePort();
    await using folder = await newFolder();
    const log = folder.file("log");
    const cmd = command("binary", "--host=127.0.0.1", `--port=${port}`, "--drain=1s");
    // Standard output in a file, to be read after the terminal is gone; standard input is the terminal.
    const relay = Bun.spawn(["sh", "-c", `exec "$@" > ${log} 2>&1`, "sh", ...cmd], {
      cwd: ROOT,
      env: {},
      terminal: { data() {} },
    });
    const printed = () => readFileSync(log, "utf8");
    await until("the signal to be seen", () =>
      Bun.file(log)
        .exists()
        .then((is) => is && printed().includes("listening on")),
    );
    const { alice, bob } = await newPair(`ws://127.0.0.1:${port}`);
    await kill(relay.pid, "HUP");
    expect([await alice.drain(), await bob.drain()]).toEqual([[], []]);
    expect(printed()).not.toContain("draining");
    relay.terminal?.close();
    expect([(await alice.closed).code, (await bob.closed).code]).toEqual([1012, 1012]);
    expect([await relay.exited, printed()]).toEqual([0, expect.stringMatching(/draining[\s\S]*stopped\n$/)]);
  });
});

describe("a signal that comes again", () => {
  function actions(log: string[], clock: { at: number }) {
    const handlers = new Map<string, () => void>();
    obeySignals((name, act) => handlers.set(name, act), {
      drain: () => log.push("drain") === 1,
      endAtOnce: () => log.push("end"),
      gather: () => log.push("gather"),
      isTerminalGone: () => true,
      refuseToReload: (line) => log.push(line),
      now: () => clock.at,
    });
    return (name: string, at: number) => {
      clock.at = at;
      handlers.get(name)?.();
    };
  }

  test("within 500 ms is the same one; after that, and another at any time, ends the relay", () => {
    const [again, later, other]: [string[], string[], string[]] = [[], [], []];
    const send = actions(again, { at: 0 });
    for (const at of [1_000, 1_001, 1_499]) send("SIGINT", at);
    expect(again).toEqual(["drain"]);
    const sendLater = actions(later, { at: 0 });
    for (const at of [0, 500]) sendLater("SIGTERM", at);
    expect(later).toEqual(["drain", "drain", "end"]);
    const sendOther = actions(other, { at: 0 });
    sendOther("SIGINT", 0);
    sendOther("SIGTERM", 1);
    expect(other).toEqual(["drain", "drain", "end"]);
  });

  test("as a closed terminal does, drains and never ends it", () => {
    const log: string[] = [];
    const send = actions(log, { at: 0 });
    for (const at of [0, 1_000, 2_000]) send("SIGHUP", at);
    expect(log).toEqual(["drain", "drain", "drain"]);
  });
});

describe.concurrent.skipIf(process.platform !== "linux")("started by the script of the package", () => {
  /** As npx does: a program that runs `sh -c 'bun start'` with npm's variables, and ends alone when it is told to. */
  const AS_NPX = `
    const env = { ...process.env, npm_lifecycle_event: "npx", npm_command: "exec" };
    const sh = Bun.spawn(["sh", "-c", process.argv[1] + " start; exit $?"], { env, stdio: ["ignore", "inherit", "inherit"] });
    process.exit(await sh.exited);`;
  const env = (port: number) => ({ WHISPER_HOST: "127.0.0.1", WHISPER_PORT: String(port), WHISPER_DRAIN: "2s" });
  const isUp = (port: number) =>
    fetch(`http://127.0.0.1:${port}/health`).then(
      () => true,
      () => false,
    );

  test("one Ctrl-C, which comes to the whole group and once more from bun, is one signal", async () => {
    const port = freePort();
    const group = spawn(["setsid", process.execPath, "start"], env(port));
    const [stdout, stderr] = [new Output(group.stdout), new Output(group.stderr)];
    await stdout.until(/listening on/);
    const { alice, bob } = await newPair(`ws://127.0.0.1:${port}`);
    await run(["bash", "-c", `kill -INT -- -${group.pid}`]);
    await stdout.until(/draining/);
    expect([await alice.drain(), await bob.drain()]).toEqual([[], []]);
    for (const peer of [alice, bob]) peer.close();
    await Promise.all([group.exited, stdout.ended, stderr.ended]);
    expect(stdout.text).toEndWith("whisper-signaling: stopped\n");
  });

  test.each(["TERM", "KILL"])("it drains and leaves the port when npx is ended by SIG%s", async (signal) => {
    const port = freePort();
    const npx = spawn([process.execPath, "-e", AS_NPX, process.execPath], env(port));
    const stdout = new Output(npx.stdout);
    await stdout.until(/listening on/);
    await kill(npx.pid, signal);
    await until("the port to be left", () => isUp(port), equals(false));
    await stdout.ended;
    expect(stdout.text).toContain("draining");
    expect(stdout.text).toEndWith("whisper-signaling: stopped\n");
  });

  test("it does not begin to serve where npx has ended before", async () => {
    const port = freePort();
    // The shell waits until its parent, the npx, has gone.
    const wait = `echo waiting; while [ $PPID = $(ps -o ppid= -p $$) ]; do sleep 0.05; done; ${process.execPath}`;
    const npx = spawn([process.execPath, "-e", AS_NPX, wait], env(port));
    const [stdout, stderr] = [new Output(npx.stdout), new Output(npx.stderr)];
    await stdout.until(/waiting/);
    await kill(npx.pid, "KILL");
    await Promise.all([stdout.ended, stderr.ended]);
    expect(stdout.text).toBe("waiting\n");
    expect(stderr.text).toContain("whisper-signaling: the npx, npm or bun that it was started with has ended");
    expect(await isUp(port)).toBeFalse();
  });

  test.each(["nohup", "setsid"])(
    "it outlives the shell that put it into the background with %s",
    async (background) => {
      const port = freePort();
      const shell = await run(
        ["bash", "-c", `${background} ${process.execPath} start > /dev/null 2>&1 & echo $!`],
        env(port),
      );
      await until("the port to be taken", () => isUp(port));
      const { alice, bob } = await newPair(`ws://127.0.0.1:${port}`);
      await Bun.sleep(1_100); // two looks at what it was started with
      expect([await alice.drain(), await bob.drain()]).toEqual([[], []]);
      for (const peer of [alice, bob]) peer.close();
      await kill(Number(shell.stdout), "TERM");
      await until("the port to be left", () => isUp(port), equals(false));
    },
  );
});

test("the table in OPERATIONS names every signal that has a rule, and its rule", () => {
  const operations = readFileSync(resolve(ROOT, "docs/OPERATIONS.md"), "utf8");
  const [, table = ""] = /\n## Signals\n([\s\S]*?)\n## /.exec(operations) ?? [];
  const row = (words: RegExp) => table.split("\n").find((line) => line.startsWith("|") && words.test(line)) ?? "";
  const names = (line: string) =>
    [...(line.split("|")[1] ?? "").matchAll(/`([A-Z0-9]+)`/g)].map(([, name]) => `SIG${name}`);
  expect(names(row(/drains/)) as unknown[]).toEqual([...SIGNALS.drain]);
  expect(names(row(/terminal/)) as unknown[]).toEqual([...SIGNALS.hangUp]);
  expect(names(row(/alone/)) as unknown[]).toEqual([...SIGNALS.gather]);
  expect(names(row(/nothing happens/)) as unknown[]).toEqual([...SIGNALS.nothing]);
});
