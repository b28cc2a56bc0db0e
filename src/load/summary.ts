/**
 * What is printed when a run is over, for people: what was asked, what came of it, what it cost, and last, where it is
 * seen, what casts doubt on it. Values in, text out; no colours, so that it reads the same in a file.
 */
import { type Figure, headlineOf, type Table, tablesOf, timesTable, warningsOf } from "./facts.ts";
import { cut, duration, printable } from "./figures.ts";
import type { Result } from "./result.ts";

/** Between two columns. */
const GAP = "   ";
/** A relay's words may be long; --json has all of them. */
const LONGEST_CELL = 100;

/** The summary, lines with a line feed each. */
export function summaryOf(result: Result): string {
  const warnings = warningsOf(result).map((warning) => `WARNING: ${printable(warning)}\n`);
  const tables = [timesTable(result), ...tablesOf(result)].filter(({ rows }) => rows.length > 0);
  const parts = [titleOf(result), headlineText(headlineOf(result)), ...tables.map(tableText), warnings.join("")];
  return parts.filter((part) => part !== "").join("\n");
}

function titleOf({ version, scenario, targets, seconds }: Result): string {
  const against = targets.length > 0 ? ` against ${targets.join(", ")}` : "";
  return `${printable(`${scenario}${against}, ${duration(seconds * 1e6)}, whisper-signaling ${version}`)}\n`;
}

function headlineText(figures: readonly Figure[]): string {
  return alignedText(
    figures.map(({ label, value, note }) => [label, value, note]),
    1,
  );
}

function tableText({ title, head, rows, figures }: Table): string {
  return `${title}\n${alignedText(head.length > 0 ? [head, ...rows] : rows, figures)}`;
}

/** Columns as wide as their widest cell; those of figures stand flush right. */
export function alignedText(rows: readonly (readonly string[])[], figures: number): string {
  const cells = rows.map((row) => row.map((cell) => cut(printable(cell), LONGEST_CELL)));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) => {
      const padded = row.map((cell, column) => {
        const width = widths[column] ?? 0;
        return column >= 1 && column <= figures ? cell.padStart(width) : cell.padEnd(width);
      });
      return `  ${padded.join(GAP).trimEnd()}\n`;
    })
    .join("");
}
