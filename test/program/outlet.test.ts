/** A log that nobody reads never holds the relay up: not its start, not its service, not its end. */
import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { type FullPipe, fullPipe } from "../support/machines/blocked.ts";
import { newFolder } from "../support/machines/folder.ts";
import { freePort } from "../support/machines/free-port.ts";
import { measured, quantile } from "../support/machines/outside.ts";
import { until } from "../support/machines/until.ts";
import { Client, newCode, newPair } from "../support/peers/client.ts";
import { buildHooked, spawnHooked } from "../support/relays/hooked.ts";
import { command, ROOT } from "../support/relays/relay.ts";

const WARNINGS = 1_000;
const DROPPED = "whisper_log_lines_dropped_total";

const answers = (url: string) =>
  fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
const droppedLines = async (port: number) =>
  Number(
    new RegExp(`^${DROPPED} (\\d+)$`, "m").exec(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())?.[1],
  );

/** Starts a relay on such standard streams, waits until it serves, has a pair meet, and ends it. */
async function live(streams: { out: number | "pipe"; err: number | "pipe" }, during: (admin: number) => Promise<void>) {
  const [port, admin] = [freePort(), freePort()];
  const args = ["--host=127.0.0.1", `--port=${port}`, `--admin=127.0.0.1:${admin}`, "--max-peers=100"];
  const cmd = command("binary", ...args); // with peers named, three lines: nothing is said of the limit of open files
  const relay = Bun.spawn(cmd, { cwd: ROOT, env: {}, stdin: "ignore", stdout: streams.out, stderr: streams.err });
  try {
    await until("health", () => answers(`http://127.0.0.1:${port}/health`));
    const { alice, bob } = await newPair(`ws://127.0.0.1:${port}`);
    await during(admin);
    for (const peer of [alice, bob]) peer.close();
    relay.kill("SIGTERM");
    expect(await relay.exited).toBe(0);
  } finally {
    relay.kill("SIGKILL");
    await relay.exited;
  }
}

test("with a full pipe it starts, serves and ends, and counts the lines; what then reads on hears how many", async () => {
  await using pipe: FullPipe = await fullPipe();
  await live({ out: pipe.descriptor, err: pipe.descriptor }, async (admin) => {
    expect(await droppedLines(admin)).toBe(3);
    pipe.read();
  });
  expect(pipe.read()).toBe(
    "whisper-signaling: draining for up to 30 s; a second signal stops at once lines-dropped-before=3\n" +
      "whisper-signaling: stopped\n",
  );
});

test("nor does a disk that is full, a pipe whose reader has gone", async () => {
  const full = openSync("/dev/full", "w");
  await live({ out: full, err: full }, async (admin) => expect(await droppedLines(admin)).toBe(3));
  closeSync(full);
  const pipe = await fullPipe();
  const { descriptor } = pipe;
  const port = freePort();
  const relay = Bun.spawn(command("binary", "--host=127.0.0.1", `--port=${port}`), {
    ...{ cwd: ROOT, env: {}, stdin: "ignore", stdout: descriptor, stderr: descriptor },
  });
  await until("health", () => answers(`http://127.0.0.1:${port}/health`));
  await pipe[Symbol.asyncDispose]();
  relay.kill("SIGTERM");
  expect(await relay.exited).toBe(0);
});

test("nor does a terminal that was stopped by Ctrl-S", async () => {
  const port = freePort();
  let shown = "";
  const relay = Bun.spawn(
    [
      "sh",
      "-c",
      'echo stopping; read line; exec "$@"',
      "sh",
      ...command("binary", "--host=127.0.0.1", `--port=${port}`),
    ],
    {
      cwd: ROOT,
      env: {},
      terminal: {
        data(_, data) {
          shown += new TextDecoder().decode(data);
        },
      },
    },
  );
  await until("the terminal to show the end", () => shown.includes("stopping"));
  relay.terminal?.write("go\n");
  relay.terminal?.write("\x13");
  await until("health", () => answers(`http://127.0.0.1:${port}/health`));
  expect(shown).not.toContain("listening");
  relay.kill("SIGTERM");
  expect(await relay.exited).toBe(0);
  relay.terminal?.close();
});

test(`a pair feels nothing of ${WARNINGS} warnings that nobody reads`, async () => {
  await using pipe = await fullPipe();
  await using folder = await newFolder();
  await using relay = await spawnHooked(await buildHooked(folder.path), [], pipe.descriptor);
  const { alice, bob } = await newPair(relay.url);
  const ping = async () => {
    const began = performance.now();
    await alice.drain();
    await bob.drain();
    return performance.now() - began;
  };
  const calm: number[] = [];
  for (let n = 0; n < 200; n++) calm.push(await ping());
  await relay.ask({ do: "fail", times: WARNINGS });
  let isOver = false;
  const failing = (async () => {
    for (let n = 0; n < WARNINGS; n++) expect((await relay.get("/health")).status).toBe(500);
    isOver = true;
  })();
  const amid: number[] = [];
  while (!isOver) amid.push(await ping());
  await failing;
  measured(
    `two pings p99 ${quantile(calm, 0.99).toFixed(1)} ms before, ${quantile(amid, 0.99).toFixed(1)} ms amid ${WARNINGS} warnings, most ${Math.max(...amid).toFixed(1)} ms`,
  );
  expect(Math.max(...amid)).toBeLessThan(1_000);
  const carol = await Client.join(relay.url, newCode(), true);
  carol.close();
});
