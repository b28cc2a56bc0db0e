/**
 * The report of a run: one HTML page that needs nothing else, to be sent, kept or shown in a talk. No script and nothing
 * loaded from anywhere, which its policy also forbids; whatever others wrote stands in it as text. Values in, text out.
 */
import { coursePlots, latencyPlot, percentilePlot } from "./curves.ts";
import { headlineOf, measuredTimes, type Table, tablesOf, timesTable, warningsOf } from "./facts.ts";
import { duration, rate } from "./figures.ts";
import { escaped, figureOf, type Plot } from "./plot.ts";
import { type Result, TIME_MEANINGS } from "./result.ts";
import { STYLE } from "./style.ts";

const STYLE_SUM = new Bun.CryptoHasher("sha256").update(STYLE).digest("base64");
const POLICY = `default-src 'none'; style-src 'sha256-${STYLE_SUM}'; base-uri 'none'; form-action 'none'`;

/** The whole page. */
export function reportOf(result: Result): string {
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
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width">
<title>${escaped(titleOf(result))}</title>
<style>${STYLE}</style>
<header>
<h1>${isolated(scenario)} <span>${targets.map(isolated).join(", ")}</span></h1>
<p class="about">${about.map(isolated).join(" · ")}</p>
</header>
${warnings(result)}<main>
<dl class="headline">
${headline(result)}
</dl>
${plotsOf("plots", [percentilePlot(result), latencyPlot(result)])}
${plotsOf("plots small", coursePlots(result))}
${tableOf(timesWithMeanings(result))}
<div class="tables">
${tablesOf(result).map(tableOf).join("\n")}
</div>
</main>
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
    return `<${tag}${isFigure ? ' class="figure"' : ""}>${isolated(text)}</${tag}>`;
  };
  const headRow = head.length > 0 ? `<thead><tr>${head.map(cellOf("th")).join("")}</tr></thead>` : "";
  const body = rows.map((row) => `<tr>${row.map(cellOf("td")).join("")}</tr>`).join("\n");
  return `<section><h2>${escaped(title)}</h2><table>${headRow}<tbody>\n${body}\n</tbody></table></section>`;
}

/** The times with what they mean, for which a page has room. */
function timesWithMeanings(result: Result): Table {
  const { title, head, rows, figures } = timesTable(result);
  const meanings = measuredTimes(result).map(({ name }) => TIME_MEANINGS[name]);
  return { title, head: [...head, "from … to"], rows: rows.map((row, i) => [...row, meanings[i] ?? ""]), figures };
}

/** Those plots in which there is something to see. */
function plotsOf(classes: string, plots: readonly Plot[]): string {
  const figures = plots
    .filter(({ series }) => series.some(({ points }) => points.some(([, value]) => value !== null)))
    .map(figureOf);
  return figures.length > 0 ? `<div class="${classes}">\n${figures.join("\n")}\n</div>` : "";
}
