/**
 * The report of a run, as text and as Chromium shows it: all of the data is in its plots, it needs nothing from anywhere,
 * and what others wrote does nothing in it. Where Chromium is missing the latter is skipped, but never under CI.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { linearAxis, percentileAxis, timeAxis, valueAxis } from "../../src/load/axis.ts";
import { latencyPlot, percentilePlot } from "../../src/load/curves.ts";
import { amount, duration } from "../../src/load/figures.ts";
import { reportOf } from "../../src/load/report.ts";
import type { Result } from "../../src/load/result.ts";
import { CHROMIUM, hasChromium, launchChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { EMPTY, HOSTILE, hostileResult, stalledResult, tinyResult } from "../support/machines/results.ts";

setDefaultTimeout(2 * PATIENCE_MS);

if (!hasChromium()) console.warn(`load-report.test.ts: the report is not looked at, there is no ${CHROMIUM}`);

test.skipIf(!process.env["CI"])("CI has a Chromium to look at the report with", () => {
  expect(hasChromium()).toBe(true);
});

const RESULTS: [name: string, result: Result][] = [
  ["a minute with a stall", stalledResult()],
  ["a tenth of a second", tinyResult()],
  ["nothing at all", EMPTY],
  ["hostile strings", hostileResult()],
];

describe("an axis", () => {
  const marked = ({ ticks, format }: ReturnType<typeof timeAxis>) => ticks.map(format);

  test("is marked at round values", () => {
    expect(marked(linearAxis(2_900))).toEqual(["0", "500", "1,000", "1,500", "2,000", "2,500", "3,000"]);
    expect(marked(linearAxis(0, amount))).toEqual(["0", "1"]);
    expect(marked(timeAxis(60))).toEqual(["0 s", "10 s", "20 s", "30 s", "40 s", "50 s", "60 s"]);
    expect(marked(timeAxis(2_000))).toEqual(["0 min", "10 min", "20 min", "30 min"]);
    expect(marked(timeAxis(86_400))).toEqual(["0 h", "4 h", "8 h", "12 h", "16 h", "20 h", "24 h"]);
    expect(marked(percentileAxis(100_000))).toEqual(["50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]);
  });

  test("begins at 0 unless its values differ too much for that", () => {
    expect(marked(valueAxis([1_000, 5_200], duration))).toEqual([
      "0 µs",
      "1 ms",
      "2 ms",
      "3 ms",
      "4 ms",
      "5 ms",
      "6 ms",
    ]);
    expect(marked(valueAxis([210, 9_000], duration))).toEqual(["200 µs", "500 µs", "1 ms", "2 ms", "5 ms", "10 ms"]);
    expect(marked(valueAxis([210, 3_000_000], duration))).toEqual(["1 ms", "10 ms", "100 ms", "1 s"]);
  });

  test("puts each further nine as far from the last as the one before", () => {
    const { place } = percentileAxis(10_000);
    expect([0, 90, 99, 99.9, 99.99].map((percent) => place(percent).toFixed(6))).toEqual(
      [0, 0.25, 0.5, 0.75, 1].map((at) => at.toFixed(6)),
    );
  });

  test("puts values on a logarithmic axis by their magnitude, and 0 at its start", () => {
    const { place } = valueAxis([100, 1_000_000], duration);
    expect([0, 100, 10_000, 1_000_000].map(place)).toEqual([0, 0, expect.closeTo(0.5), 1]);
  });
});

describe("a plot", () => {
  test("of latency by percentile ends for each time at its largest value, and has the main time on top", () => {
    const result = stalledResult();
    const { series } = percentilePlot(result);
    expect(series.map(({ name }) => name)).toEqual(["connect", "ready", "answer", "session"]);
    expect(series.at(-1)?.points.at(-1)?.[1]).toBe(result.percentiles.session?.max ?? Number.NaN);
    for (const { points } of series)
      expect(points.map(([, micros]) => micros)).toEqual(points.map(([, micros]) => micros ?? 0).sort((a, b) => a - b));
  });

  test("over time has a point or a gap for each interval", () => {
    const { timeline } = stalledResult();
    const p99 = latencyPlot(stalledResult()).series.find(({ name }) => name === "p99");
    expect(p99?.points).toEqual(timeline.map(({ at, p99 }) => [at, p99]));
    expect(p99?.points.filter(([, value]) => value === null)).toHaveLength(2);
  });
});

describe("the page's text", () => {
  test.each(RESULTS)("of %s names no figure that is none", (_, result) => {
    expect(reportOf(result)).not.toMatch(/NaN|Infinity|undefined|\bnull\b/);
  });

  test("has nothing in it that others wrote unless it is escaped", () => {
    const text = reportOf(hostileResult());
    expect(text).not.toContain("<script");
    expect(text).not.toContain("<img");
    expect(text.match(/<\/style>/g)).toHaveLength(1);
    expect(text).toContain("&lt;script&gt;alert(2)&lt;/script&gt;");
  });

  test("shows what was expected and whether it was so, the errors, the cost and the options", () => {
    const text = reportOf(stalledResult()).replace(/<[^>]+>/g, " ");
    for (const shown of ["NOT MET", "session.p99&lt;50ms", "timeout:ready", "no ready within", "220 µs", "4242"])
      expect(text).toContain(shown);
  });
});

describe.skipIf(!hasChromium())("in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
  });

  /** The report in a page that notes what it says and asks for. */
  async function open(result: Result, width = 1_920): Promise<Opened> {
    const page = await browser.newPage({ viewport: { width, height: 1_080 } });
    const noted: string[] = [];
    page.on("console", (message) => noted.push(message.text()));
    page.on("pageerror", (error) => noted.push(String(error)));
    page.on("dialog", (dialog) => noted.push(dialog.message()));
    page.on("request", (request) => noted.push(request.url()));
    await page.setContent(reportOf(result));
    return { page, noted, [Symbol.asyncDispose]: () => page.close() };
  }

  test.each(RESULTS)("%s: it complains of nothing, asks for nothing and runs nothing", async (_, result) => {
    await using opened = await open(result);
    const { page, noted } = opened;
    expect(await page.evaluate("document.querySelectorAll('script, img, a, iframe, link, [style]').length")).toBe(0);
    expect(await page.evaluate("getComputedStyle(document.querySelector('h1')).fontWeight")).toBe("650");
    expect(noted).toEqual([]);
  });

  test("its policy forbids scripts, styles and requests that were put into it", async () => {
    await using opened = await open(stalledResult());
    const { page, noted } = opened;
    await page.evaluate(`document.body.append(
      Object.assign(document.createElement("img"), { src: "http://127.0.0.1:1/" }),
      Object.assign(document.createElement("script"), { text: "document.title = 'run'" }),
      Object.assign(document.createElement("style"), { textContent: "h1 { color: rgb(1, 2, 3) }" }))`);
    expect(await page.title()).not.toBe("run");
    expect(await page.evaluate("getComputedStyle(document.querySelector('h1')).color")).not.toBe("rgb(1, 2, 3)");
    expect(noted.filter((note) => note.includes("Content Security Policy"))).toHaveLength(3);
  });

  test("each plot has as many points as there are data, and says what it shows to those who can't see it", async () => {
    const result = stalledResult();
    await using opened = await open(result);
    const plots = (await opened.page.evaluate(`[...document.querySelectorAll("svg[role=img]")].map((svg) => [
      svg.getAttribute("aria-label"),
      [...svg.querySelectorAll("path")].map((path) => path.getAttribute("d").match(/[ML]/g)?.length ?? 0),
    ])`)) as [string, number[]][];
    const seconds = result.timeline.length;
    const timed = result.timeline.filter(({ p99 }) => p99 !== null).length;
    const readings = percentilePlot(result).series.map(({ points }) => points.length);
    expect(plots).toEqual([
      [expect.stringMatching(/^Latency by percentile\. connect: 180 µs to 2 s; .*session: 900 µs to 2 s\.$/), readings],
      [expect.stringMatching(/^Latency over time: session\. max: .* p50: 1\.35 ms to /), [timed, timed, timed]],
      [
        expect.stringContaining("errors: 0 to 60; offered: 1,000 to 1,000; achieved: 0 to 2,940."),
        [seconds, seconds, seconds],
      ],
      [expect.stringContaining("peers: 4 to 4,000."), [seconds]],
      [expect.stringContaining("share of a core: 35 % to 89 %."), [seconds]],
    ]);
  });

  test("where nothing was measured, a line over time has a gap", async () => {
    await using opened = await open(stalledResult());
    const lines = await opened.page.evaluate(`[...document.querySelectorAll("path")]
      .filter((path) => path.textContent === "p99").map((path) => path.getAttribute("d").match(/M/g).length)`);
    expect(lines).toEqual([2]);
  });

  test("a single point can be seen", async () => {
    await using opened = await open(tinyResult());
    const widths = (await opened.page.evaluate(
      "[...document.querySelectorAll('path')].map((path) => path.getBoundingClientRect().width)",
    )) as number[];
    expect(widths).toHaveLength(9);
    expect(Math.min(...widths)).toBeGreaterThan(2);
  });

  test.each([1_920, 390])("%d pixels wide, it needs no scrolling aside and no label is cut off", async (width) => {
    for (const result of [stalledResult(), hostileResult()]) {
      await using opened = await open(result, width);
      expect(await opened.page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0);
      const outside = await opened.page.evaluate(`[...document.querySelectorAll("svg text")].filter((text) => {
        const [label, card] = [text.getBoundingClientRect(), text.closest("figure").getBoundingClientRect()];
        return label.width > 0 && (label.left < card.left || label.right > card.right || label.bottom > card.bottom);
      }).length`);
      expect(outside).toBe(0);
    }
  });

  test("hostile strings are shown as they are", async () => {
    await using opened = await open(hostileResult());
    expect(await opened.page.title()).toStartWith(HOSTILE.slice(0, HOSTILE.indexOf("\x1b")));
    expect(await opened.page.textContent("h1")).toContain("<script>alert(2)</script>");
  });

  test("it is dark where the reader's system is", async () => {
    await using opened = await open(stalledResult());
    const background = () => opened.page.evaluate("getComputedStyle(document.body).backgroundColor");
    await opened.page.emulateMedia({ colorScheme: "light" });
    expect(await background()).toBe("rgb(251, 251, 250)");
    await opened.page.emulateMedia({ colorScheme: "dark" });
    expect(await background()).toBe("rgb(18, 19, 22)");
  });
});

interface Opened extends AsyncDisposable {
  readonly page: Page;
  /** What the page said on its console, threw, popped up and asked for. */
  readonly noted: readonly string[];
}
