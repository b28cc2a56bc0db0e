/**
 * How the report looks: one stylesheet, light or dark as the reader's system is, made for a projector as much as for a
 * telephone. The classes are those that the report and its plots write.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #fff; --text: #1c1d20; --faint: #62656d; --line: #e3e3e0; --bad: #c02b1d; --warm: #fdf0ee;
  --c1: #0b6bcb; --c2: #d9600c; --c3: #12805c; --c4: #a23b8f; --c5: #8a6d00; --c6: #55606e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #121316; --card: #1a1c20; --text: #eceef1; --faint: #9da2ac; --line: #31343a; --bad: #ff7b6b; --warm: #351d1b;
    --c1: #66b2ff; --c2: #ffa057; --c3: #4fd1a1; --c4: #e38fd2; --c5: #e5c454; --c6: #a9b4c2;
  }
}
* { box-sizing: border-box; margin: 0; }
html { font: clamp(16px, 0.9vw, 20px)/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
body {
  max-width: 110rem; margin: 0 auto; padding: 1.6rem clamp(1rem, 3vw, 3rem) 3rem; background: var(--page);
  color: var(--text); font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
h1 { font-size: 1.7rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.015em; }
main > section { margin-top: 1rem; }
h2 { font-size: 1rem; font-weight: 600; }
h1 span, .about, .note, th, .legend, svg text { color: var(--faint); fill: var(--faint); }
h1 span { font-weight: 400; }
.about { margin-top: 0.3rem; }
bdi { unicode-bidi: isolate; }
.warnings { list-style: none; margin-top: 1rem; padding: 0; display: grid; gap: 0.4rem; }
.warnings li {
  padding: 0.5rem 0.9rem; border-left: 4px solid var(--bad); border-radius: 3px; background: var(--warm);
  font-weight: 600;
}
.headline { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: 1rem; margin: 1.4rem 0; }
.headline dt { color: var(--faint); font-size: 0.9rem; }
.headline dd { font-size: 2rem; line-height: 1.15; font-weight: 650; letter-spacing: -0.02em; }
.headline .note { font-size: 0.85rem; line-height: 1.35; font-weight: 400; letter-spacing: 0; }
.plots { display: grid; gap: 1rem; margin-top: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); }
.plots.small { grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
figure, section { padding: 1rem 1.2rem; border: 1px solid var(--line); border-radius: 10px; background: var(--card); min-width: 0; }
figcaption { display: flex; flex-wrap: wrap; gap: 0.2rem 1.4rem; align-items: baseline; margin-bottom: 0.5rem; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0 1.1rem; font-size: 0.9rem; }
.legend li::before {
  content: ""; display: inline-block; width: 1.1em; height: 3px; margin-right: 0.4em; border-radius: 2px;
  vertical-align: middle; background: var(--hue);
}
.c1 { --hue: var(--c1); } .c2 { --hue: var(--c2); } .c3 { --hue: var(--c3); }
.c4 { --hue: var(--c4); } .c5 { --hue: var(--c5); } .c6 { --hue: var(--c6); } .bad { --hue: var(--bad); }
.plot { display: block; width: calc(100% - 6rem); height: 18rem; margin: 0.9rem 1.6rem 2rem 4.4rem; overflow: visible; }
.small .plot { height: 11rem; }
.plot svg { overflow: visible; }
.plot line { stroke: var(--line); stroke-width: 1px; }
.plot .x line { stroke-opacity: 0.6; }
.plot text { font-size: 0.85rem; }
.plot .y text { text-anchor: end; dominant-baseline: central; transform: translateX(-0.6rem); }
.plot .x text { text-anchor: middle; transform: translateY(1.4rem); }
path { vector-effect: non-scaling-stroke; stroke: var(--hue); stroke-linecap: round; stroke-linejoin: round; }
.line { fill: none; stroke-width: 2.5px; }
.guide { fill: none; stroke-width: 7px; stroke-opacity: 0.35; }
.area { fill: var(--hue); fill-opacity: 0.25; stroke-width: 1.5px; }
.tables { columns: 26rem; column-gap: 1rem; margin-top: 1rem; }
.tables section { break-inside: avoid; margin-bottom: 1rem; }
section { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-top: 0.5rem; font-size: 0.95rem; }
th, td { padding: 0.28rem 0 0.28rem 1.2rem; text-align: left; vertical-align: baseline; border-top: 1px solid var(--line); }
th { font-weight: 400; border-top: 0; font-size: 0.9rem; }
th:first-child, td:first-child { padding-left: 0; }
td:last-child { overflow-wrap: anywhere; min-width: 5rem; }
td:nth-child(9) { min-width: 16rem; }
.figure { text-align: right; white-space: nowrap; }
@media (max-width: 40rem) {
  .headline { grid-template-columns: 1fr 1fr; }
  .headline dd { font-size: 1.6rem; }
  .plot { height: 15rem; }
  .plot .x text:nth-of-type(even) { display: none; }
}
@media print { figure, section { break-inside: avoid; } }
`;
