/** What a run shows while it lasts, in a terminal and in a pipe, and what is printed of it at the end. */
import { describe, expect, test } from "bun:test";
import { BUSY_LOAD, Display, type Progress } from "../../src/load/display.ts";
import { duration, percent, rate, size } from "../../src/load/figures.ts";
import type { Result } from "../../src/load/result.ts";
import { summaryOf } from "../../src/load/summary.ts";
import { countsOf, EMPTY, HOSTILE, hostileResult, stalledResult, tinyResult } from "../support/machines/results.ts";

const PROGRESS: Progress = {
  scenario: "handshake",
  fraction: 0.5,
  elapsed: 65,
  latest: {
    at: 1,
    counts: countsOf({ offered: 1_000, done: 998, received: 5_988 }),
    errors: 2,
    peers: 2_004,
    mostPeers: 2_004,
    leastPeers: 1_900,
    generatorQueue: 250,
    p50: 1_200,
    p99: 8_910,
    max: 31_000,
    generatorLoad: 0.41,
  },
  counts: countsOf({ offered: 1_000, started: 1_000, done: 998, failed: 2, received: 5_988, bytes: 2_048 }),
  main: "session",
  percentiles: {
    count: 998,
    failed: 0,
    p50: 1_100,
    p90: 2_000,
    p95: 5_000,
    p99: 9_000,
    p999: 14_200,
    max: 31_000,
    mean: 1_300,
  },
  errors: { "closed:1006": 1, "timeout:ready": 12 },
};
const afterSeconds = (at: number, progress = PROGRESS): Progress => ({
  ...progress,
  latest: progress.latest && { ...progress.latest, at },
});

/** A display and all that it wrote. */
function shown(
  isTerminal: boolean,
  columns: number,
  ...progresses: Progress[]
): { display: Display; written: string[] } {
  const written: string[] = [];
  const display = new Display((text) => written.push(text), isTerminal, columns);
  for (const progress of progresses) display.show(progress);
  return { display, written };
}

/** The lines of the last frame as they are seen, without what colours them and moves the cursor. */
function seen(written: readonly string[]): string[] {
  return Bun.stripANSI(written.at(-1) ?? "")
    .replaceAll("\r", "")
    .trimEnd()
    .split("\n");
}

describe("in a pipe", () => {
  test("each second is one line of names and values, and no second is shown twice", () => {
    const { display, written } = shown(false, 80, PROGRESS, PROGRESS, afterSeconds(3));
    display.end();
    expect(written).toEqual([
      "at=1s offered=1000/s achieved=998/s messages=5988/s peers=2004 failed=2 errors=13 session.p50=1.2ms session.p99=8.91ms session.max=31ms queue=0.25ms faults=0 generator=41%\n",
      "at=3s offered=500/s achieved=499/s messages=2994/s peers=2004 failed=2 errors=13 session.p50=1.2ms session.p99=8.91ms session.max=31ms queue=0.25ms faults=0 generator=41%\n",
    ]);
  });

  test("what was not measured is a dash, and before the first second there is nothing", () => {
    const { latest } = PROGRESS;
    const silent = { ...PROGRESS, latest: latest && { ...latest, p50: null, p99: null, max: null } };
    const { written } = shown(false, 80, { ...PROGRESS, latest: null }, silent);
    expect(written).toHaveLength(1);
    expect(written[0]).toContain("session.p50=- session.p99=- session.max=- ");
  });
});

describe("in a terminal", () => {
  test("it shows how far it is, how fast, how late and what went wrong", () => {
    const text = seen(shown(true, 120, PROGRESS, PROGRESS).written).join("\n");
    expect(text).toContain(`handshake 1:05  ${"█".repeat(20)}${"░".repeat(20)} 50 %`);
    expect(text).toContain("offered 1,000/s  achieved 998/s  done 998");
    expect(text).toContain("session   p50 1.1 ms  p99 9 ms  p99.9 14.2 ms  max 31 ms");
    expect(text).toContain("errors    13  timeout:ready 12  closed:1006 1");
    expect(text).toContain("generator 41 % of a core");
    expect(text).not.toContain("too busy");
  });

  test("only the most frequent kinds of errors are named", () => {
    const errors = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`kind-${i}`, i + 1]));
    const text = seen(shown(true, 120, { ...PROGRESS, errors }).written).join("\n");
    expect(text).toContain("errors    45  kind-8 9  kind-7 8  kind-6 7  kind-5 6  5 more kinds");
  });

  test("a generator that is too busy is warned of", () => {
    const { latest } = PROGRESS;
    const busy = { ...PROGRESS, latest: latest && { ...latest, generatorLoad: BUSY_LOAD } };
    expect(seen(shown(true, 120, busy).written).join("\n")).toContain("too busy");
  });

  test("each frame is written over the one before, whatever comes first", () => {
    const empty = { ...PROGRESS, fraction: null, latest: null, percentiles: null, errors: {} };
    const { written } = shown(true, 80, empty, PROGRESS);
    const height = seen(written.slice(0, 1)).length;
    expect(seen(written)).toHaveLength(height);
    expect(written[0]).not.toContain("A\r");
    expect(written[1]).toStartWith(`\x1b[${height}A`);
  });

  test.each([20, 40, 79, 200])("no line is wider than %d columns", (columns) => {
    const hostile = { ...PROGRESS, scenario: "s".repeat(300), errors: { [HOSTILE]: 5, ["界".repeat(50)]: 1 } };
    const widths = seen(shown(true, columns, PROGRESS, hostile).written).map((line) => Bun.stringWidth(line));
    expect(Math.max(...widths)).toBe(columns);
  });

  test("an error's kind can't move the cursor or colour anything", () => {
    const calm = shown(true, 200, { ...PROGRESS, errors: { calm: 1 } }).written.join("");
    const wild = shown(true, 200, { ...PROGRESS, errors: { [HOSTILE]: 1 } }).written.join("");
    const controls = (text: string) => text.match(/\p{C}/gu)?.length;
    expect(controls(wild)).toBe(controls(calm));
  });

  test("the cursor is hidden once and given back once", () => {
    const { display, written } = shown(true, 80, PROGRESS, PROGRESS);
    display.end();
    display.end();
    expect(written.join("").match(/\[\?25[lh]/g)).toEqual(["[?25l", "[?25h"]);
  });

  test("where nothing was shown there is nothing to end", () => {
    const { display, written } = shown(true, 80);
    display.end();
    expect(written).toEqual([]);
  });
});

describe("the summary", () => {
  /** Its lines, with single spaces. */
  const linesOf = (text: string) => text.split("\n").map((line) => line.trim().replace(/ {2,}/g, " "));

  test("says what was asked, what came of it and what it cost", () => {
    const lines = linesOf(summaryOf(stalledResult()));
    expect(lines).toContain("handshake against ws://127.0.0.1:8000/, 60 s, whisper-signaling 0.1.0");
    expect(lines).toContain("sessions achieved 999/s 99.9 % of 1,000/s offered");
    expect(lines).toContain("time p50 p90 p95 p99 p99.9 max mean count failed");
    expect(lines).toContain("session 1.38 ms 1.75 ms 1.8 ms 1.4 s 1.94 s 2 s 34.8 ms 60,000 0");
    expect(lines).toContain("timeout:ready 48 no ready within 1000 ms of the second join");
    expect(lines).toContain("CPU per session 220 µs");
    expect(lines).toContain("CPU per message 36.7 µs");
    expect(lines).toContain("resident memory per peer 4 KiB");
    expect(lines).toContain("kernel memory per peer, both ends where local 9.57 KiB");
    expect(lines).toContain("met session.p50<5ms 1.38 ms");
    expect(lines).toContain("NOT MET session.p99<50ms 1.4 s");
    expect(lines).toContain("WARNING: 1 of 3 expectations not met.");
  });

  test("of the cost names what the scenario can mean, and why the rest is left out", () => {
    const { cost, ...result } = stalledResult();
    const linesFor = (scenario: string, changed: Partial<NonNullable<Result["cost"]>>) =>
      linesOf(summaryOf({ ...result, scenario, cost: cost && { ...cost, ...changed } }));
    const sessions = linesFor("handshake", { residentBytesPerPeer: null, kernelBytesPerPeer: null });
    expect(sessions).toContain("memory per peer, left out as peers come and go in handshake –");
    expect(sessions.filter((line) => /per peer/.test(line))).toHaveLength(1);
    const held = linesFor("hold", { cpuMicrosPerSession: null, sessionsPerCpuSecond: null });
    expect(held).toContain("memory per peer 4 KiB and 9.57 KiB in the kernel");
    expect(held.filter((line) => /per session|CPU second/.test(line))).toEqual([]);
  });

  test.each([
    [0, "as the tester did not get to them in time."],
    [1, "as their pairs were not there (any more)."],
  ])("of messages that were not sent says whose fault that is, where %d pairs failed", (failed, why) => {
    const counts = countsOf({ meant: 10, sent: 7, failed });
    const text = summaryOf({ ...EMPTY, scenario: "relay", main: "message", counts });
    expect(text).toContain(`WARNING: 3 of 10 messages were not sent, ${why}`);
  });

  test("figures of a column stand flush right", () => {
    const times = /^Times\n(.*?)\n\n/ms.exec(summaryOf(stalledResult()))?.[1]?.split("\n") ?? [];
    expect(times).toHaveLength(6);
    expect(new Set(times.map((line) => line.length)).size).toBe(1);
  });

  test("says last that the generator was the bottleneck, or that the run was interrupted", () => {
    expect(linesOf(summaryOf(hostileResult())).slice(-3)[0]).toMatch(
      /^WARNING: The generator was the bottleneck.* 99 % /,
    );
    expect(linesOf(summaryOf(tinyResult())).at(-2)).toStartWith("WARNING: Interrupted after 100 ms");
    expect(summaryOf(stalledResult())).not.toMatch(/bottleneck|[Ii]nterrupted/);
  });

  test("of a run without anything in it has no table without rows and no figure that is none", () => {
    const text = summaryOf(EMPTY);
    expect(text).not.toMatch(/NaN|Infinity|undefined|null|Times|Errors|Cost|Expectations|WARNING/);
  });

  test("can't be broken by what a relay or a URL said", () => {
    expect(summaryOf(hostileResult()).replaceAll("\n", "")).not.toMatch(/\p{C}/u);
    expect(
      Math.max(
        ...summaryOf(hostileResult())
          .split("\n")
          .map((line) => line.length),
      ),
    ).toBeLessThan(600);
  });
});

describe("figures", () => {
  test.each([
    [duration(0), "0 µs"],
    [duration(999.4), "999 µs"],
    [duration(999.6), "1 ms"],
    [duration(1_254), "1.25 ms"],
    [duration(999_700), "1 s"],
    [duration(3_600_000_000), "3,600 s"],
    [duration(null), "–"],
    [size(1_023), "0.999 KiB"],
    [size(3_584), "3.5 KiB"],
    [size(-2_048), "-2 KiB"],
    [rate(0.123456), "0.123/s"],
    [rate(1_234.5), "1,235/s"],
    [percent(0.9996), "100 %"],
    [percent(0.998), "99.8 %"],
  ])("%s is written as %s", (written, expected) => {
    expect(written).toBe(expected);
  });
});
