/**
 * Draws a plot as inline SVG that stretches to any width while its text keeps its size: what is drawn stands in percent
 * of the plot, and the lines in a square that is stretched to it. Colours are classes, which the page's style gives.
 * Values in, text out; all text is escaped.
 */
import type { Axis } from "./axis.ts";

export interface Series {
  readonly name: string;
  /** The class that colours it. */
  readonly colour: string;
  /** A guide is a broad line for others to run on; an area has no gaps. */
  readonly shape: "line" | "guide" | "area";
  /** In the units of the axes; where the value is null, the line has a gap. */
  readonly points: readonly (readonly [x: number, y: number | null])[];
}

export interface Plot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

/** The side of the square that the lines are drawn in. */
const SIDE = 1_000;
/** A line so short that its round ends make it a dot. */
const DOT = "h8";

/** A figure with its title, its legend and its plot. */
export function figureOf({ title, x, y, series }: Plot): string {
  return `<figure>
<figcaption><h2>${escaped(title)}</h2>${series.length > 1 ? legendOf(series) : ""}</figcaption>
<svg class="plot" role="img" aria-label="${escaped(descriptionOf(title, y, series))}">
${gridOf(x, y)}
<svg viewBox="0 0 ${SIDE} ${SIDE}" preserveAspectRatio="none" width="100%" height="100%">
${series.map((one) => pathOf(one, x, y)).join("\n")}
</svg></svg>
</figure>`;
}

/** Text as it may stand in HTML, between tags or in a quoted attribute, and nothing but text there. */
export function escaped(text: string): string {
  return Bun.escapeHTML(text);
}

function legendOf(series: readonly Series[]): string {
  const names = series.map(({ name, colour }) => `<li class="${colour}">${escaped(name)}</li>`);
  return `<ul class="legend">${names.join("")}</ul>`;
}

/** For those who can't see it: each series with its least and its largest value. */
function descriptionOf(title: string, y: Axis, series: readonly Series[]): string {
  const ranges = series.map(({ name, points }) => {
    const values = points.flatMap(([, value]) => (value === null ? [] : [value]));
    if (values.length === 0) return `${name}: nothing measured`;
    const [least, most] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
    return `${name}: ${y.format(least)} to ${y.format(most)}`;
  });
  return `${title}. ${ranges.join("; ")}.`;
}

function gridOf(x: Axis, y: Axis): string {
  const across = y.ticks.map((tick) => {
    const at = percentage(1 - y.place(tick));
    return `<line x2="100%" y1="${at}" y2="${at}"/><text y="${at}">${escaped(y.format(tick))}</text>`;
  });
  const along = x.ticks.map((tick) => {
    const at = percentage(x.place(tick));
    return `<line x1="${at}" x2="${at}" y2="100%"/><text x="${at}" y="100%">${escaped(x.format(tick))}</text>`;
  });
  return `<g class="y">${across.join("")}</g>\n<g class="x">${along.join("")}</g>`;
}

/** One path for a series, with a point for each value; a value between two gaps is a dot. */
function pathOf({ name, colour, shape, points }: Series, x: Axis, y: Axis): string {
  const runs: string[][] = [[]];
  for (const [at, value] of points)
    if (value === null) runs.push([]);
    else runs.at(-1)?.push(`${coordinate(x.place(at))} ${coordinate(1 - y.place(value))}`);
  const lines = runs.filter((run) => run.length > 0).map((run) => `M${run.join("L")}${run.length === 1 ? DOT : ""}`);
  const start = coordinate(x.place(points[0]?.[0] ?? 0));
  const down = shape === "area" && points.length > 1 ? `V${SIDE}H${start}Z` : "";
  return `<path class="${shape} ${colour}" d="${lines.join("")}${down}"><title>${escaped(name)}</title></path>`;
}

function coordinate(place: number): string {
  return String(Math.round(place * SIDE * 10) / 10);
}

function percentage(place: number): string {
  return `${Math.round(place * 10_000) / 100}%`;
}
