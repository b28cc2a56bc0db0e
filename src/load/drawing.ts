/**
 * What the report's page does: it gives its data to the plotting library, which draws it and shows the values under the
 * pointer; dragging zooms, a double click shows all again. It is text for the page, and reads nothing but the data there.
 */
import { SIZE_UNITS, TIME_UNITS } from "./figures.ts";

/** The units that figures are written in, as the page is told them. */
export const PAGE_UNITS = { duration: TIME_UNITS, size: SIZE_UNITS } as const;

export const SCRIPT = `
"use strict";
const { plots, units } = JSON.parse(document.getElementById("data").textContent);
const three = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const written = {
  amount: (value) => (Number.isInteger(value) || value >= 1000 ? whole : three).format(value),
  share: (value) => three.format(value * 100) + " %",
  duration(value) {
    const [name, factor] = units.duration.find(([, factor]) => value / factor < 999.5) ?? units.duration.at(-1);
    return three.format(value / factor) + " " + name;
  },
};
const across = {
  seconds: (at) => at < 120 ? three.format(at) + " s" : at < 7200 ? three.format(at / 60) + " min" : three.format(at / 3600) + " h",
  nines: (at) => Number((100 - 100 * 10 ** -at).toFixed(Math.max(0, Math.ceil(at) - 1))) + " %",
};
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const drawn = [];

function optionsOf(plot, width, height) {
  const write = written[plot.unit];
  const shown = (value) => (value == null ? "–" : write(value));
  const axis = { stroke: colour("faint"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "13px system-ui, sans-serif" };
  const isNines = plot.across === "nines";
  return {
    width,
    height,
    cursor: { drag: { x: true, y: false } },
    scales: {
      x: { time: false },
      y: plot.isLogarithmic ? { distr: 3, log: 10 } : { range: (_, least, most) => [0, most > 0 ? most * 1.05 : 1] },
    },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((at) => at === null ? "" : across[plot.across](at)), ...(isNines && { incrs: [1, 2, 3], space: 60 }) },
      { ...axis, size: 76, values: (_, ticks) => ticks.map((value) => value === null ? "" : write(value)) },
    ],
    series: [
      { label: isNines ? "percentile" : "at", value: (_, at) => (at == null ? "–" : across[plot.across](at)) },
      ...plot.series.map(({ name, colour: hue, shape }) => ({
        label: name,
        stroke: colour(hue) + (shape === "guide" ? "59" : ""),
        width: shape === "guide" ? 7 : shape === "area" ? 1.5 : 2.5,
        ...(shape === "area" && { fill: colour(hue) + "40" }),
        spanGaps: isNines,
        points: { show: plot.x.length < 3 },
        value: (_, value) => shown(value),
      })),
    ],
  };
}

function draw() {
  for (const plot of drawn.splice(0)) plot.destroy();
  document.querySelectorAll(".plot").forEach((place, i) => {
    const plot = plots[i];
    const options = optionsOf(plot, place.clientWidth, place.closest(".small") ? 220 : 320);
    drawn.push(new uPlot(options, [plot.x, ...plot.series.map(({ values }) => values)], place));
  });
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  drawn.forEach((plot) => plot.setSize({ width: plot.root.parentElement.clientWidth, height: plot.height }));
});
document.documentElement.dataset.drawn = String(drawn.length);
`;
