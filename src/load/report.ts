/**
 * The report of a run: one HTML page that needs nothing else, to be sent, kept or shown in a talk. Its plotting library
 * is written into it; nothing is loaded from anywhere, which its policy also forbids; whatever others wrote stands in it
 * as text. Values in, text out.
 */
import { coursePlots, described, hasValues, latencyPlot, type Plot, percentilePlot } from "./curves.ts";
import { PAGE_UNITS, SCRIPT } from "./drawing.ts";
import { headlineOf, measuredTimes, type Table, tablesOf, timesTable, warningsOf } from "./facts.ts";
import { duration, escaped, rate } from "./figures.ts";
import { type Result, TIME_MEANINGS } from "./result.ts";
import { STYLE } from "./style.ts";

/** The plotting library, as text. */
export interface Library {
  readonly script: string;
  readonly style: string;
}

/**
 * Loads the plotting library: out of the binary, or from where `bun install` puts it.
 * @throws Error where it is not there
 */
export async function loadLibrary(): Promise<Library> {
  const [{ default: script }, { default: style }] = await Promise.all([
    import("uplot/dist/uPlot.iife.min.js", { with: { type: "text" } }),
    import("uplot/dist/uPlot.min.css", { with: { type: "text" } }),
  ]);
  return { script, style };
}

/** The whole page. */
export function reportOf(result: Result, library: Library): string {
  const [main, small] = [[percentilePlot(result), latencyPlot(result)], coursePlots(result)].map((plots) =>
    plots.filter(hasValues),
  ) as [Plot[], Plot[]];
  const data = JSON.stringify({ units: PAGE_UNITS, plots: [...main, ...small] }).replaceAll("<", "\\u003c");
  const style = `${library.style}${STYLE}`;
  const { scenario, targets, version, startedAt, seconds } = result;
  const about = [
    duration(seconds * 1e6),
    `${startedAt.slice(0, "2026-01-02T03:04".length).replace("T", " ")} UTC`,
    `whisper-signaling ${version}`,
    result.machine.cpu,
  ];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policyFor([style], [library.script, SCRIPT])}">
<meta name="viewport" content="width=device-width">
<title>${escaped(titleOf(result))}</title>
<style>${style}</style>
<header>
<h1>${isolated(scenario)} <span>${targets.map(isolated).join(", ")}</span></h1>
<p class="about">${about.map(isolated).join(" · ")}</p>
</header>
${warnings(result)}<main>
<dl class="headline">
${headline(result)}
</dl>
${plotsOf("plots", main)}
${plotsOf("plots small", small)}
${tableOf(timesWithMeanings(result))}
<div class="tables">
${tablesOf(result).map(tableOf).join("\n")}
</div>
</main>
<script type="application/json" id="data">${data}</script>
<script>${library.script}</script>
<script>${SCRIPT}</script>
</html>
`;
}

function titleOf({ scenario, achievedPerSecond, main, percentiles }: Result): string {
  return `${scenario}: ${rate(achievedPerSecond)}, ${main} p99 ${duration(percentiles[main]?.p99)} – whisper-signaling`;
}

/** Text that may be written from right to left, and must not turn what stands next to it. */
function isolated(text: string): string {
  return `<bdi>${escaped(text)}</bdi>`;
}

function warnings(result: Result): string {
  const items = warningsOf(result).map((warning) => `<li>${escaped(warning)}</li>`);
  return items.length > 0 ? `<ul class="warnings">${items.join("")}</ul>\n` : "";
}

function headline(result: Result): string {
  return headlineOf(result)
    .map(({ label, value, note }) => {
      return `<div><dt>${escaped(label)}</dt><dd>${escaped(value)}<p class="note">${escaped(note)}</p></dd></div>`;
    })
    .join("\n");
}

function tableOf({ title, head, rows, figures }: Table): string {
  if (rows.length === 0) return "";
  const cellOf = (tag: "th" | "td") => (text: string, column: number) => {
    const isFigure = column >= 1 && column <= figures;
    const label = tag === "td" && column > 0 && head[column] ? ` data-head="${escaped(head[column])}"` : "";
    return `<${tag}${isFigure ? ' class="figure"' : ""}${label}>${isolated(text)}</${tag}>`;
  };
  const headRow = head.length > 0 ? `<thead><tr>${head.map(cellOf("th")).join("")}</tr></thead>` : "";
  const body = rows.map((row) => `<tr>${row.map(cellOf("td")).join("")}</tr>`).join("\n");
  return `<section><h2>${escaped(title)}</h2><div class="wide"><table>${headRow}<tbody>\n${body}\n</tbody></table></div></section>`;
}

const OWN_QUEUE = "what came being there to the tester looking at it: a part of every time above";

/** The times with what they mean, for which a page has room. */
function timesWithMeanings(result: Result): Table {
  const { title, head, rows, figures } = timesTable(result);
  const meanings = [...measuredTimes(result).map(({ name }) => TIME_MEANINGS[name]), OWN_QUEUE];
  return { title, head: [...head, "from … to"], rows: rows.map((row, i) => [...row, meanings[i] ?? ""]), figures };
}

/** Nothing may run, style or be fetched but what is here. */
function policyFor(styles: readonly string[], scripts: readonly string[]): string {
  const sums = (texts: readonly string[]) =>
    texts.map((text) => `'sha256-${new Bun.CryptoHasher("sha256").update(text).digest("base64")}'`).join(" ");
  return `default-src 'none'; style-src ${sums(styles)}; script-src ${sums(scripts)}; base-uri 'none'; form-action 'none'`;
}

/** A place for each plot, in the order of the data. */
function plotsOf(classes: string, plots: readonly Plot[]): string {
  const figures = plots.map((plot) => {
    const label = escaped(described(plot));
    return `<figure><figcaption><h2>${escaped(plot.title)}</h2></figcaption><div class="plot" role="img" aria-label="${label}"></div></figure>`;
  });
  return figures.length > 0 ? `<div class="${classes}">\n${figures.join("\n")}\n</div>` : "";
}
