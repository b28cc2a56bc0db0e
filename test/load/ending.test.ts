/**
 * Ends that come from outside while a run, or what reads results, goes on: by signals, a terminal that is gone, and readers
 * that stand still. What was measured is written each time. More of them, which take longer, are in long/load-ending.
 */
import { describe, expect, test } from "bun:test";
import { constants, existsSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { readAsked } from "../../src/load/config.ts";
import { Coordinator } from "../../src/load/coordinator.ts";
import { EXIT } from "../../src/load/outcome.ts";
import type { Result } from "../../src/load/result.ts";
import { type Folder, newFolder } from "../support/machines/folder.ts";
import { isRunning, LoadRun, loadCommand } from "../support/machines/load-run.ts";
import { atLeast, equals, until } from "../support/machines/until.ts";
import { FakeRelay } from "../support/relays/fake-relay.ts";
import { run, spawn } from "../support/relays/relay.ts";

/** A run that ends when it is made to. */
const ENDLESS = ["--rate", "50", "--duration", "1h"];
const [TERM_BIT, SIGNAL_DIGITS] = [0x4000n, 16];

describe("by signals", () => {
  test.each([
    ["a terminal that is gone", ["SIGHUP"]],
    ["Ctrl-\\", ["SIGQUIT"]],
    ["a terminal that is gone, of which a shell tells too", ["SIGHUP", "SIGHUP"]],
    ["a manager that sends one more behind the first", ["SIGTERM", "SIGHUP"]],
  ] as const)("%s: what was measured so far is written", async (_, signals) => {
    await using fake = await FakeRelay.start();
    await using load = await LoadRun.start("source", "handshake", fake.url, ...ENDLESS, "--workers", "2");
    await until("11 sessions", async () => (await fake.seen()).sessions, atLeast(11));
    const { workers } = load;
    for (const signal of signals) for (const pid of [...workers, load.process.pid]) process.kill(pid, signal);
    const { exitCode, stderr, result } = await load.over();
    expect({ exitCode, stderr }).toEqual({ exitCode: EXIT.interrupted, stderr: "" });
    expect(result).toMatchObject({ interrupted: true, troubles: [], exitCode, counts: { failed: 0 } });
    expect(result.counts.done).toBeGreaterThan(0);
    expect(workers.length).toBe(2);
    await until("the workers to end", () => !workers.some(isRunning));
    await until("no open", async () => (await fake.seen()).open, equals(0));
  });

  test("a terminal that takes its session with it ends a run that draws in it", async () => {
    await using fake = await FakeRelay.start();
    await using folder = await newFolder();
    const json = folder.file("result.json");
    const command = loadCommand("source", "handshake", fake.url, ...ENDLESS, "--json", json);
    const terminal = spawn(["script", "-qec", `exec ${command.join(" ")}`, "/dev/null"], {}, "pipe");
    await until("11 sessions", async () => (await fake.seen()).sessions, atLeast(11));
    terminal.kill("SIGKILL");
    expect(await written(json)).toMatchObject({ interrupted: true, exitCode: EXIT.interrupted });
    await until("no open", async () => (await fake.seen()).open, equals(0));
  });

  test("under nohup a terminal that is gone changes nothing", async () => {
    await using fake = await FakeRelay.start();
    const command = loadCommand("source", "handshake", fake.url, ...ENDLESS);
    const child = spawn(["bash", "-c", 'trap "" HUP; exec "$@"', "bash", ...command]);
    const sessions = async () => (await fake.seen()).sessions;
    const before = await until("a session", sessions, atLeast(1));
    child.kill("SIGHUP");
    await until("more sessions", sessions, atLeast(before + 20));
    child.kill("SIGTERM");
    expect(await child.exited).toBe(EXIT.interrupted);
  });

  test.each(["merge", "compare"])("%s, which waits for a file, ends at once", async (word) => {
    await using folder = await newFolder();
    const fifo = await newFifo(folder);
    const child = spawn(loadCommand("source", word, fifo, folder.file("other.json")));
    await hearing(child.pid);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(EXIT.interrupted);
  });

  test.each(["schema", "--help"])("%s, whose reader stands still, ends at once", async (word) => {
    await using folder = await newFolder();
    const fifo = await newFifo(folder);
    fill(openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK));
    const child = spawn(["bash", "-c", 'exec "$@" >"$0"', fifo, ...loadCommand("source", word)]);
    await hearing(child.pid);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(EXIT.interrupted);
  });
});

test("a worker that can be told nothing any more keeps no run from its end", async () => {
  await using folder = await newFolder();
  const mark = folder.file("deaf");
  const deaf = ["bash", "-c", `eval "exec $NODE_CHANNEL_FD>&-"; touch '${mark}'; exec sleep 60`];
  const world = { workerCommand: deaf, version: "", meter: null, show() {} };
  const coordinator = new Coordinator(readAsked(["handshake", "ws://127.0.0.1:1", "--workers", "2"]), world);
  const ended = coordinator.run();
  let looks = 0;
  await until("the channel's end to be noticed", () => existsSync(mark) && looks++ > 5);
  coordinator.interrupt();
  expect(await ended).toMatchObject({ isBroken: false, measured: { interrupted: true, troubles: [] } });
});

test("a worker that can't be started ends the run, and is no stack trace", async () => {
  const world = { workerCommand: ["/nowhere/whisper-load"], version: "", meter: null, show() {} };
  const { isBroken, measured } = await new Coordinator(readAsked(["handshake", "ws://127.0.0.1:1"]), world).run();
  expect(isBroken).toBe(true);
  expect(measured.troubles).toEqual([
    expect.stringMatching(/^The run was ended: a worker could not be started, .+\.$/),
  ]);
});

describe("where a reader stands still", () => {
  test.each([
    ["it is printed once it is read", EXIT.good],
    ["a signal ends it", EXIT.interrupted],
  ])("of what is printed, files are written, and %s", async (_, code) => {
    await using fake = await FakeRelay.start();
    await using folder = await newFolder();
    const [json, fifo] = [folder.file("result.json"), await newFifo(folder)];
    const pipe = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    fill(pipe);
    const command = loadCommand("source", "handshake", fake.url, "--sessions", "3", "--json", json);
    const child = spawn(["bash", "-c", 'exec "$@" >"$0"', fifo, ...command]);
    expect((await written(json)).counts.done).toBe(3);
    if (code === EXIT.good) await drained(pipe, "sessions done");
    await until("it to end", () => {
      if (code === EXIT.interrupted) child.kill("SIGTERM"); // again where the first came while it wrote
      return child.exitCode !== null;
    });
    expect(await child.exited).toBe(code);
  });

  test("of a report that goes into a pipe, it gets all of it once", async () => {
    await using fake = await FakeRelay.start();
    await using folder = await newFolder();
    const fifo = await newFifo(folder);
    const pipe = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const child = spawn(loadCommand("source", "handshake", fake.url, "--sessions", "3", "--report", fifo));
    const html = await drained(pipe, "</html>");
    expect(await child.exited).toBe(EXIT.good);
    expect(html.split("<!doctype html>").length).toBe(2);
    expect(html.length).toBeGreaterThan(65_536); // more than a pipe holds
  });

  test("of a pipe that nobody reads, that is said", async () => {
    await using fake = await FakeRelay.start();
    await using folder = await newFolder();
    const fifo = await newFifo(folder);
    const ended = await run(loadCommand("source", "handshake", fake.url, "--sessions", "3", "--json", fifo));
    expect(ended.exitCode).toBe(EXIT.broken);
    expect(ended.stderr).toMatch(/^whisper-load: --json ".*": ENXIO.*\n$/);
  });
});

/** Waits until a process hears SIGTERM, and is not just ended by it. */
async function hearing(pid: number): Promise<void> {
  const caught = () => /^SigCgt:\t([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";
  const hears = () => (BigInt(`0x${caught().padStart(SIGNAL_DIGITS, "0")}`) & TERM_BIT) === TERM_BIT;
  await until("it to hear signals", hears);
}

/** A pipe with a name. */
async function newFifo(folder: Folder): Promise<string> {
  const path = folder.file("pipe");
  expect((await run(["mkfifo", path])).exitCode).toBe(0);
  return path;
}

/** What was measured, once it is written whole. */
async function written(json: string): Promise<Result> {
  const text = () =>
    Bun.file(json)
      .text()
      .catch(() => "");
  return JSON.parse(await until("the result", text, (seen) => seen.endsWith("}\n"))) as Result;
}

/** Fills a pipe, so that it takes nothing more. */
function fill(pipe: number): void {
  for (const bytes of [new Uint8Array(4_096), new Uint8Array(1)])
    while (attempt(() => writeSync(pipe, bytes)) !== null);
}

/** What comes out of a pipe, until it ends with these words or some lines later. */
async function drained(pipe: number, words: string): Promise<string> {
  const bytes = Buffer.alloc(65_536);
  let text = "";
  await until(`"${words}" in what is read`, () => {
    const length = attempt(() => readSync(pipe, bytes)) ?? 0;
    text += bytes.toString("latin1", 0, length);
    return length === 0 && text.includes(words);
  });
  return text;
}

/** What `work` gives; null where it throws, as a pipe does that is full or empty. */
function attempt(work: () => number): number | null {
  try {
    return work();
  } catch {
    return null;
  }
}
