/**
 * The report of a run, as text and as Chromium shows it: all of the data is in its plots, it needs nothing from anywhere,
 * and what others wrote does nothing in it. Where Chromium is missing the latter is skipped, but never under CI.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { coursePlots, latencyPlot, percentilePlot } from "../../src/load/curves.ts";
import { SCRIPT } from "../../src/load/drawing.ts";
import { Histogram } from "../../src/load/histogram.ts";
import { loadLibrary, reportOf } from "../../src/load/report.ts";
import { percentilesOf, type Result } from "../../src/load/result.ts";
import { CHROMIUM, hasChromium, launchChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { EMPTY, HOSTILE, hostileResult, stalledResult, tinyResult } from "../support/machines/results.ts";

setDefaultTimeout(2 * PATIENCE_MS);

if (!hasChromium()) console.warn(`report.test.ts: the report is not looked at, there is no ${CHROMIUM}`);

test.skipIf(!process.env["CI"])("CI has a Chromium to look at the report with", () => {
  expect(hasChromium()).toBe(true);
});

const RESULTS: [name: string, result: Result][] = [
  ["a minute with a stall", stalledResult()],
  ["a tenth of a second", tinyResult()],
  ["nothing at all", EMPTY],
  ["hostile strings", hostileResult()],
];

const EMPTY_DATA = new Histogram().toData();
const LIBRARY = await loadLibrary();
const pageOf = (result: Result) => reportOf(result, LIBRARY);
/** The page without what its plotting library says. */
const wordsOf = (result: Result) => pageOf(result).replace(LIBRARY.script, "");

describe("a plot", () => {
  test("of latency by percentile ends for each time at its largest value, and has the main time on top", () => {
    const result = stalledResult();
    const { series, x } = percentilePlot(result);
    expect(series.map(({ name }) => name)).toEqual(["connect", "ready", "answer", "session"]);
    expect(series.at(-1)?.values.at(-1)).toBe(result.percentiles.session?.max ?? Number.NaN);
    for (const { values } of series) {
      expect(values).toHaveLength(x.length);
      expect(values).toEqual([...values].sort((a, b) => (a ?? 0) - (b ?? 0)));
    }
  });

  test("of a time that was measured less often ends before the others", () => {
    const rare = stalledResult();
    const result = {
      ...rare,
      histograms: { ...rare.histograms, connect: tinyResult().histograms.session ?? EMPTY_DATA },
    };
    const few = { ...rare.percentiles, connect: { ...percentilesOf(new Histogram()), count: 10, max: 1_234 } };
    const { series } = percentilePlot({ ...result, percentiles: few });
    expect(series[0]?.values.at(-1)).toBeNull();
    expect(series[0]?.values.filter((value) => value !== null).at(-1)).toBe(1_234);
  });

  test("over time has a point or a gap for each interval", () => {
    const { timeline } = stalledResult();
    const { x, series } = latencyPlot(stalledResult());
    const p99 = series.find(({ name }) => name === "p99");
    expect(x).toEqual(timeline.map(({ at }) => at));
    expect(p99?.values).toEqual(timeline.map(({ p99 }) => p99));
    expect(p99?.values.filter((value) => value === null)).toHaveLength(2);
  });

  test("is logarithmic only where its values differ too much to be read otherwise", () => {
    expect(latencyPlot(stalledResult()).isLogarithmic).toBe(true);
    expect(latencyPlot(tinyResult()).isLogarithmic).toBe(true);
    expect(coursePlots(stalledResult()).some(({ isLogarithmic }) => isLogarithmic)).toBe(false);
  });

  test("of a storm shows which share of the pairs was back when", () => {
    const back = { p50: 0.1, p95: 0.15, p99: 0.15, p100: 0.15 };
    const [plot] = coursePlots({
      ...stalledResult(),
      storms: [{ pairs: 10, back, curve: [0, 8, 10], times: EMPTY_DATA }],
    });
    expect(plot).toMatchObject({ unit: "share", x: [0, 0.05, 0.1, 0.15], series: [{ values: [0, 0, 0.8, 1] }] });
  });
});

describe("the page's text", () => {
  test.each(RESULTS)("of %s names no figure that is none", (_, result) => {
    const data = /<script type="application\/json".*?<\/script>/s;
    expect(wordsOf(result).replace(data, "").replace(SCRIPT, "")).not.toMatch(/NaN|Infinity|undefined|\bnull\b/);
    expect(data.exec(pageOf(result))?.[0]).not.toMatch(/NaN|Infinity/);
  });

  test("has nothing in it that others wrote unless it is escaped", () => {
    const text = wordsOf(hostileResult());
    expect(text.match(/<script/g)).toHaveLength(3); // the data, the library and what draws
    expect(text).not.toContain("<img");
    expect(text.match(/<\/style>/g)).toHaveLength(1);
    expect(text).toContain("&lt;script&gt;alert(2)&lt;/script&gt;");
  });

  test("shows what was expected and whether it was so, the errors, the cost and the options", () => {
    const text = wordsOf(stalledResult()).replace(/<[^>]+>/g, " ");
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
    await page.setContent(pageOf(result));
    await page.waitForFunction("document.documentElement.dataset.drawn");
    return { page, noted, [Symbol.asyncDispose]: () => page.close() };
  }

  test.each(RESULTS)("%s: it complains of nothing, asks for nothing and runs nothing", async (_, result) => {
    await using opened = await open(result);
    const { page, noted } = opened;
    expect(await page.evaluate("document.querySelectorAll('script[src], img, a, iframe, link').length")).toBe(0);
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

  test("each plot is drawn, and says what it shows to those who can't see it", async () => {
    await using opened = await open(stalledResult());
    const labels = await opened.page.evaluate(`[...document.querySelectorAll(".plot[role=img]")]
      .filter((place) => place.querySelector("canvas").width > 200).map((place) => place.getAttribute("aria-label"))`);
    expect(labels).toEqual([
      expect.stringMatching(/^Latency by percentile\. connect: 180 µs to 2 s; .*session: 900 µs to 2 s\.$/),
      expect.stringMatching(/^Latency over time: session\. max: .* p50: 1\.35 ms to /),
      expect.stringContaining("errors: 0 to 60; offered: 1,000 to 1,000; achieved: 0 to 2,940."),
      expect.stringContaining("most: 8 to 4,000; least: 0 to 0."),
      expect.stringContaining("share of a core: 35 % to 89 %."),
    ]);
  });

  test("the values under the pointer are shown in words, and dragging shows a part", async () => {
    await using opened = await open(stalledResult());
    const { page } = opened;
    const box = await page.locator(".plot .u-over").nth(1).boundingBox();
    if (!box) throw new Error("there is no plot");
    const middle = box.y + box.height / 2;
    await page.mouse.move(box.x + box.width / 2, middle);
    const legend = () => page.locator(".plot .u-legend").nth(1).textContent();
    expect(await legend()).toMatch(/at[\s\S]*\d s[\s\S]*p99[\s\S]*ms/);
    const at = async () => Number(/([\d.]+) s/.exec((await legend()) ?? "")?.[1]);
    await page.mouse.move(box.x + box.width * 0.99, middle);
    expect(await at()).toBeGreaterThan(55);
    await page.mouse.move(box.x + box.width * 0.2, middle);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.4, middle, { steps: 5 });
    await page.mouse.up();
    await page.mouse.move(box.x + box.width * 0.99, middle);
    expect(await at()).toBeLessThan(30);
  });

  test.each([1_920, 380])("%d pixels wide, nothing of it needs scrolling aside", async (width) => {
    for (const result of [stalledResult(), hostileResult()]) {
      await using opened = await open(result, width);
      expect(await opened.page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0);
      const wide = await opened.page.evaluate(`[...document.querySelectorAll(".wide, figure")]
        .filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.innerText)`);
      expect(wide).toEqual([]);
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
