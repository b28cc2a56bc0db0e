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
h1 span, .about, .note, th { color: var(--faint); }
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
.plot { width: 100%; min-width: 0; }
.plot .u-legend { font-size: 0.85rem; text-align: left; color: var(--text); }
.plot .u-legend th { color: var(--faint); border: 0; padding: 0 0.3rem 0 0; font-size: inherit; }
.plot .u-legend td { border: 0; padding: 0; min-width: 4.5em; }
.plot .u-legend .u-marker { border-width: 2px; }
.tables { columns: 26rem; column-gap: 1rem; margin-top: 1rem; }
.tables section { break-inside: avoid; margin-bottom: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-top: 0.5rem; font-size: 0.95rem; }
th, td { padding: 0.28rem 0 0.28rem 1.2rem; text-align: left; vertical-align: baseline; border-top: 1px solid var(--line); }
th { font-weight: 400; border-top: 0; font-size: 0.9rem; }
th:first-child, td:first-child { padding-left: 0; }
td:last-child { overflow-wrap: anywhere; min-width: 4rem; }
td:nth-child(11) { min-width: 14rem; }
.figure { text-align: right; white-space: nowrap; }
@media (max-width: 40rem) {
  .headline { grid-template-columns: 1fr 1fr; }
  .headline dd { font-size: 1.6rem; }
  .wide table, .wide thead, .wide tbody, .wide tr, .wide td { display: block; }
  .wide thead { display: none; }
  .wide tr { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: 0.35rem 0; border-top: 1px solid var(--line); }
  .wide td { border: 0; padding: 0; min-width: 0; white-space: normal; text-align: left; overflow-wrap: anywhere; }
  .wide td:first-child { flex-basis: 100%; font-weight: 600; }
  .wide td[data-head]:not([data-head=""])::before { content: attr(data-head) " "; color: var(--faint); font-size: 0.85rem; }
}
@media print { figure, section { break-inside: avoid; } }
`;
