/** What is done with results besides showing them: found, merged, compared, exported; and the schema that they keep to. */
import { describe, expect, test } from "bun:test";
import { find } from "../../src/load/commands.ts";
import { comparison, differences, doubtsOf } from "../../src/load/compare.ts";
import { foundText, type Step, search } from "../../src/load/find.ts";
import { hdrText } from "../../src/load/hdr.ts";
import { Histogram, histogramOf } from "../../src/load/histogram.ts";
import { merged } from "../../src/load/merge.ts";
import { EXIT } from "../../src/load/outcome.ts";
import schema from "../../src/load/result.schema.json" with { type: "json" };
import { COUNT_MEANINGS, percentilesOf, type Result } from "../../src/load/result.ts";
import { wrongIn } from "../../src/load/schema.ts";
import { stormOf } from "../../src/load/tally.ts";
import { ConfigError } from "../../src/program/options.ts";
import { newFolder } from "../support/machines/folder.ts";
import { load, loadCommand } from "../support/machines/load-run.ts";
import { EMPTY, stalledResult, tinyResult } from "../support/machines/results.ts";
import { FakeRelay } from "../support/relays/fake-relay.ts";
import { run } from "../support/relays/relay.ts";

describe("find", () => {
  const LIMITS = { from: 100, repeats: 3, precision: 5, most: 1_000_000 };
  /** A relay that bears so much, each time a little less or more. */
  const bearing = (limits: readonly number[]) => async (rate: number, repeat: number) =>
    ({ repeat, rate, holds: rate <= (limits[repeat] ?? 0), missed: [], isBottleneck: rate > 900 }) as unknown as Step;

  test.each([
    ["above the first rate", [730, 700, 760]],
    ["below the first rate", [37, 30, 40]],
    ["at 1", [1, 1, 1]],
  ])("finds the largest rate that holds, %s", async (_, limits) => {
    const { rates, spread, steps } = await search(LIMITS, bearing(limits));
    rates.forEach((rate, repeat) => {
      const limit = limits[repeat] ?? 0;
      expect(rate).toBeLessThanOrEqual(limit);
      expect(rate).toBeGreaterThan(limit / 1.05 - 1);
    });
    expect(spread?.least).toBe(Math.min(...rates.map(Number)));
    expect(steps.length).toBeLessThan(60);
  });

  test("says where none held, where the tester was the limit, and where it was interrupted", async () => {
    expect((await search(LIMITS, bearing([0, 0, 0]))).spread).toBeNull();
    const all = [1e9, 1e9, 1e9];
    expect(foundText(await search(LIMITS, bearing(all)), "pairs")).toContain("None failed, so it is only the largest");
    expect(foundText(await search(LIMITS, bearing([300, 300, 300])), "pairs")).not.toContain("None failed");
    expect((await search(LIMITS, bearing([950, 950, 950]))).isBottleneck).toBe(true);
    expect((await search(LIMITS, bearing([300, 300, 300]))).isBottleneck).toBe(false);
    const interrupted = await search(LIMITS, async () => null);
    expect(interrupted).toMatchObject({ rates: [], spread: null });
    expect(foundText(interrupted, "pairs")).toStartWith("It ended before a largest rate was found, after 0 steps.");
    expect(foundText(await search(LIMITS, bearing([0, 0, 0])), "pairs")).toStartWith("No rate held.");
  });
});

test("a search ends where the tester itself fails, and says so by its exit code", async () => {
  let runs = 0;
  const run = async (): Promise<Result> => {
    runs++;
    return { ...EMPTY, exitCode: EXIT.broken };
  };
  const { exitCode } = await find(["handshake", "ws://127.0.0.1:1"], {
    cores: 1,
    run,
    say() {},
    refuseUnwritable() {},
  });
  expect({ runs, exitCode }).toEqual({ runs: 1, exitCode: EXIT.broken });
});

test("a search whose relay can't be looked at any more ends with what was found", async () => {
  const said: string[] = [];
  const run = async (): Promise<Result> => {
    if (said.length > 0) throw new ConfigError("--pid is gone");
    return EMPTY;
  };
  const runner = { cores: 1, run, say: (line: string) => said.push(line), refuseUnwritable() {} };
  const { found, exitCode } = await find(["handshake", "ws://127.0.0.1:1", "--pid", "1"], runner);
  expect({ steps: found.steps.length, exitCode }).toEqual({ steps: 1, exitCode: EXIT.broken });
  expect(said[1]).toBe("WARNING: The search was ended: --pid is gone.\n");
  const refused = async () => await find(["handshake", "ws://127.0.0.1:1"], runner);
  await expect(refused()).rejects.toThrow("--pid is gone"); // before anything was measured
});

describe("merge", () => {
  test("sums what two machines did at the same time, and takes the worst of what can't be summed", () => {
    const one = stalledResult();
    const other: Result = { ...one, startedAt: "2026-01-02T03:04:05.400Z", options: { ...one.options, workers: "2" } };
    const both = merged([one, other]);
    expect(both.counts.done).toBe(2 * one.counts.done);
    expect(both.offeredPerSecond).toBe(2_000);
    expect(both.peakPeers).toBe(8_000);
    expect(both.percentiles.session).toEqual({ ...one.percentiles.session, count: 120_000 } as never);
    expect(both.errors["closed:1006"]?.count).toBe(24);
    expect(both.timeline).toHaveLength(60);
    expect(both.timeline[0]).toMatchObject({ at: 1, counts: { offered: 2_000 }, p99: one.timeline[0]?.p99 });
    expect(both.generator.workers).toBe(2);
    expect(both.troubles).toEqual([
      "The runs were asked for differently in: workers.",
      expect.stringContaining("What the relay spent is left out"),
    ]);
  });

  test("sums how the pairs of each storm came back", () => {
    const storm = (...backMs: number[]) => {
      const times = new Histogram();
      for (const ms of backMs) times.add(ms * 1_000);
      return stormOf(backMs.length, times);
    };
    const stormed = (...backMs: number[]): Result => ({ ...tinyResult(), storms: [storm(...backMs)] });
    const [both] = merged([stormed(20, 120), stormed(70, 320)]).storms;
    expect(both).toMatchObject({ pairs: 4, back: { p95: 0.32, p100: 0.32 }, curve: [1, 2, 3, 3, 3, 3, 4] });
    expect(both?.back.p50).toBeCloseTo(0.07, 3);
    const longer = { ...tinyResult(), storms: [storm(20), storm(30)] }; // the other machine was interrupted before
    for (const results of [[stormed(10), longer] as const, [longer, stormed(10)] as const])
      expect(merged(results).storms.map(({ pairs }) => pairs)).toEqual([2, 1]);
  });

  test("says that runs did not load the relay together", () => {
    const later = { ...tinyResult(), startedAt: "2026-01-02T03:05:05.000Z" };
    expect(merged([tinyResult(), later]).troubles[0]).toContain("60.0 s apart");
  });

  test("of two files written at a common start makes one report", async () => {
    await using fake = await FakeRelay.start();
    await using folder = await newFolder();
    const startAt = new Date(Date.now() + 1_500).toISOString();
    const options = ["--sessions", "20", "--start-at", startAt];
    const files = [folder.file("a.json"), folder.file("b.json"), folder.file("all.json")] as const;
    await Promise.all(
      files.slice(0, 2).map((file) => run(loadCommand("source", "handshake", fake.url, ...options, "--json", file))),
    );
    const hdr = folder.file("all");
    const args = ["merge", ...files.slice(0, 2), "--json", files[2], "--hdr", hdr, "--expect", "done=40"];
    expect((await run(loadCommand("source", ...args))).exitCode).toBe(EXIT.good);
    const all = (await Bun.file(files[2]).json()) as Result;
    expect(all).toMatchObject({ counts: { done: 40 }, expectations: [{ isMet: true }] });
    expect(Date.parse(all.startedAt)).toBeGreaterThanOrEqual(Date.parse(startAt));
    expect(Date.parse(all.startedAt)).toBeLessThan(Date.parse(startAt) + 10_000);
    expect(await Bun.file(`${hdr}.session.hgrm`).text()).toContain("#[Max     =");
  });

  test.each([
    [["merge", "/nowhere"], "can't be read"],
    [["merge", "package.json"], "its schema is not 2"],
    [["merge"], "merge takes the files"],
    [["compare", "package.json", "./package.json"], "its schema is not 2"],
    [["schema", "everything"], "schema takes nothing, or find"],
    [["merge", "a.json", "a.json"], '"a.json" is given twice'],
    [["find", "handshake", "ws://127.0.0.1:1", "--rate", "5"], "--rate is not given with find"],
    [["find", "handshake", "ws://127.0.0.1:1", "--json", "/nowhere/a.json"], "can't be written"],
    [["handshake", "ws://127.0.0.1:1", "--json", "/dev/null", "--report", "/dev/null"], "is the file of --json too"],
    [["relay", "ws://127.0.0.1:1", "--pairs", "100", "--message-rate", "5001"], "is more than 5000"],
  ])("%j is refused in one line", async (args, message) => {
    const { exitCode, stderr } = await run(loadCommand("source", ...args));
    expect(exitCode).toBe(EXIT.refused);
    expect(stderr).toMatch(/^whisper-load: [^\n]+\n$/);
    expect(stderr).toContain(message);
  });
});

test.each(["merge", "compare"])("a file that %s is given, and no run wrote, is refused in one line", async (word) => {
  await using folder = await newFolder();
  const files = ["a.json", "b.json"].map((name) => folder.file(name));
  for (const file of files) await Bun.write(file, JSON.stringify({ ...EMPTY, startedAt: undefined, later: 1 }));
  const { exitCode, stderr } = await run(loadCommand("source", word, ...files));
  expect({ exitCode, stderr }).toEqual({
    exitCode: EXIT.refused,
    stderr: `whisper-load: "${files[0]}" is not what --json writes: $.startedAt is missing\n`,
  });
});

test.each(["merge", "compare"])("a file of a later version, with more in it, is as good to %s", async (word) => {
  await using folder = await newFolder();
  const files = ["a.json", "b.json"].map((name) => folder.file(name));
  for (const file of files) await Bun.write(file, JSON.stringify({ ...EMPTY, later: 1 }));
  const { stderr } = await run(loadCommand("source", word, ...files));
  expect(stderr).toBe("");
});

describe("compare", () => {
  const withMedian = (p50: number, cost: Result["cost"] = null): Result => {
    return {
      ...EMPTY,
      achievedPerSecond: 100,
      cost,
      percentiles: { session: { ...percentilesOf(new Histogram()), p50 } },
    };
  };

  test("takes ratios turn by turn, so that what disturbed both disturbs no ratio", () => {
    const results = [1_000, 2_000, 3_000, 6_000, 500, 1_050].map((p50) => withMedian(p50));
    const median = comparison(results).find(({ name }) => name === "median");
    expect(median).toEqual({
      name: "median",
      first: "1 ms (500 µs to 3 ms)",
      second: "2 ms (1.05 ms to 6 ms)",
      ratio: "2 (2 to 2.1)",
    });
  });

  test("makes no ratio to nothing", () => {
    expect(comparison([withMedian(0), withMedian(5)]).find(({ name }) => name === "median")?.ratio).toBe("–");
  });

  test("names the options in which the two differ, but not where their results went", () => {
    const asked = (rate: string, json: string) => ({ ...EMPTY, options: { rate, json } });
    expect(differences([asked("5", "a.json"), asked("5", "b.json")])).toEqual([]);
    expect(differences([asked("5", "a.json"), asked("6", "b.json")])).toEqual(["rate: 5 and 6"]);
    const inTurns = ["5", "5", "5", "6"].map((rate) => asked(rate, "a.json"));
    expect(differences(inTurns)).toEqual(["rate: 5 and 6"]);
  });

  test("says of which files the figures may be worth nothing", () => {
    expect(doubtsOf(EMPTY)).toEqual([]);
    const { counts, generator } = EMPTY;
    const doubtful: Result = {
      ...EMPTY,
      interrupted: true,
      counts: { ...counts, failed: 3, lost: 2, corrupted: 1 },
      generator: { ...generator, isBottleneck: true },
    };
    expect(doubtsOf(doubtful)).toEqual([
      "was interrupted",
      expect.stringContaining("it was the bottleneck"),
      "has 3 failed sessions, which count as their time-out",
      "has 3 messages at fault",
    ]);
  });

  test("refuses what is not in turns, or not of one kind", () => {
    expect(() => comparison([EMPTY, EMPTY, EMPTY])).toThrow("in turns");
    expect(() => comparison([EMPTY, { ...EMPTY, scenario: "hold" }])).toThrow("one scenario");
  });
});

test("a histogram is exported as HdrHistogram's own tools write it", async () => {
  const histogram = new Histogram();
  for (let i = 1; i <= 1_001; i++) histogram.add(i);
  // Of the same values, by hdr-histogram-js 3.0.1: outputPercentileDistribution(5, 1000)
  const theirs = await Bun.file(new URL("../fixtures/hdr-histogram.hgrm", import.meta.url)).text();
  expect(hdrText(histogram)).toBe(theirs);
  expect(hdrText(new Histogram())).toContain("#[Max     =        0.000, Total count    =            0]");
});

describe("the schema", () => {
  test("is kept by every result, and is what the program prints", async () => {
    await using fake = await FakeRelay.start();
    const { result } = await load("source", "storm", fake.url, "--pairs", "4", "--pid", `${fake.pid}`);
    for (const one of [result, EMPTY, stalledResult(), tinyResult()]) expect(wrongIn(one, schema)).toEqual([]);
    expect(wrongIn({ ...result, seconds: "1" }, schema)).toEqual(["$.seconds is string"]);
    const { stdout } = await run(loadCommand("source", "schema"));
    expect(JSON.parse(stdout)).toEqual(schema);
    expect(Object.keys(schema.$defs.counts.properties)).toEqual(Object.keys(COUNT_MEANINGS));
    expect(result.storms).toEqual([expect.objectContaining({ pairs: 4 })]);
    expect(histogramOf(result.histograms.return).count).toBe(8);
  });
});
