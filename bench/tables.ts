/**
 * The tables of docs/BENCHMARKS.md: how many times better one column is than another, and what was measured, each as
 * the median of all rounds with the least and the most. Knows nothing of what the figures mean. Pure.
 */
import { amount, NOTHING } from "../src/load/figures.ts";
import { shownSpread, spreadOf, timesOf } from "../src/load/spread.ts";

/** Names of what is compared, with the titles of their columns. The first is the one that the others are held against. */
export type Columns = Readonly<Record<string, string>>;

/** One figure of all columns. */
export interface Row {
  readonly label: string;
  readonly better: "more" | "less";
  readonly write: (value: number) => string;
  /** By column, one value for each round, in the same order for all; null where nothing was measured. */
  readonly values: Readonly<Record<string, readonly (number | null)[]>>;
}

/** The figures as they were measured, a row each. */
export function figureTable(columns: Columns, rows: readonly Row[]): string {
  return markdownTable(
    ["", ...Object.values(columns)],
    rows.map(({ label, write, values }) => [
      label,
      ...Object.keys(columns).map((column) => shownSpread(spreadOf(values[column] ?? []), write, NOTHING)),
    ]),
  );
}

/** How many times better the first column is than each other one, round by round; below 1 it is worse. */
export function ratioTable(columns: Columns, rows: readonly Row[]): string {
  const others = Object.keys(columns).slice(1);
  return markdownTable(
    ["", ...others.map((other) => `than ${columns[other]}`)],
    rows.map((row) => [
      row.label,
      ...others.map((other) => shownSpread(spreadOf(ratios(columns, row, other)), amount, NOTHING)),
    ]),
  );
}

/** In which rows the first column is not ahead of another one in every round, as lines of a list. */
export function notAhead(columns: Columns, rows: readonly Row[]): string {
  const others = Object.keys(columns).slice(1);
  const lines = rows.flatMap((row) => {
    const verdicts = others.flatMap((other) => {
      const spread = spreadOf(ratios(columns, row, other));
      if (spread === null || spread.least > 1) return [];
      return [
        `${spread.most < 1 ? "worse than" : "not told apart from"} ${columns[other]}, ${shownSpread(spread, amount, NOTHING)}`,
      ];
    });
    return verdicts.length > 0 ? [`- ${row.label}: ${verdicts.join("; ")}`] : [];
  });
  return lines.join("\n") || "None: it was ahead in every row and round.";
}

/** For each other column, in which rows the first is ahead in every round, and in which it is not, as a list. */
export function inShort(columns: Columns, rows: readonly Row[]): string {
  const others = Object.keys(columns).slice(1);
  return others
    .map((other) => {
      const spreads = rows.flatMap((row) => {
        const spread = spreadOf(ratios(columns, row, other));
        return spread === null ? [] : [{ said: `${row.label} (${amount(spread.median)})`, isAhead: spread.least > 1 }];
      });
      const listed = (isAhead: boolean) =>
        spreads.flatMap((row) => (row.isAhead === isAhead ? [row.said] : [])).join(", ") || "nothing";
      return `- **${columns[other]}**: ahead in ${listed(true)}; not ahead in ${listed(false)}.`;
    })
    .join("\n");
}

/**
 * `text` with what stands between `<!-- name: … -->` and `<!-- /name -->` replaced.
 * @throws Error where the two comments are not in it
 */
export function withBlock(text: string, name: string, block: string): string {
  const pattern = new RegExp(`(<!-- ${name}:[^\\n]*\\n).*?(<!-- /${name} -->)`, "s");
  if (!pattern.test(text)) throw new Error(`there is no place for ${name}`);
  return text.replace(pattern, (_, start: string, end: string) => `${start}${block}\n${end}`);
}

function ratios(columns: Columns, { better, values }: Row, other: string): (number | null)[] {
  const own = values[Object.keys(columns)[0] ?? ""] ?? [];
  return own.map((value, round) => {
    const theirs = values[other]?.[round] ?? null;
    return better === "more" ? timesOf(value, theirs) : timesOf(theirs, value);
  });
}

/** A table in Markdown. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
