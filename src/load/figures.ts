/**
 * How figures are written for people, wherever the load tester shows them: times, sizes, rates and counts with a unit
 * that fits, and foreign text without what could move a terminal's cursor. Pure.
 */

const THREE_DIGITS = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const PERCENT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

/** What is shown where nothing was measured. */
export const NOTHING = "–";

type Units = readonly (readonly [name: string, factor: number])[];
export const TIME_UNITS: Units = [
  ["µs", 1],
  ["ms", 1_000],
  ["s", 1_000_000],
];
export const SIZE_UNITS: Units = [
  ["B", 1],
  ["KiB", 1_024],
  ["MiB", 1_048_576],
  ["GiB", 1_073_741_824],
];
/** From here on three digits are rounded up to a fourth, so the next unit is taken. */
const FOUR_DIGITS = 999.5;

/** Text as it may stand in HTML, between tags and in attributes. */
export function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/** A time given in microseconds, to three digits: "850 µs", "1.25 ms", "12 s". */
export function duration(micros: number | null | undefined): string {
  return written(micros, TIME_UNITS);
}

/** A size given in bytes, to three digits: "512 B", "3.5 KiB". */
export function size(bytes: number | null | undefined): string {
  return written(bytes, SIZE_UNITS);
}

function written(value: number | null | undefined, units: Units): string {
  if (value === null || value === undefined) return NOTHING;
  const fitting = units.find(([, factor]) => Math.abs(value) / factor < FOUR_DIGITS) ?? units.at(-1);
  const [name, factor] = fitting ?? ["", 1];
  return `${THREE_DIGITS.format(value / factor)} ${name}`;
}

/** A number of things: whole from 1,000 on, to three digits below. */
export function amount(value: number | null | undefined): string {
  if (value === null || value === undefined) return NOTHING;
  return (Number.isInteger(value) || Math.abs(value) >= FOUR_DIGITS ? WHOLE : THREE_DIGITS).format(value);
}

/** So many things a second. */
export function rate(perSecond: number | null | undefined): string {
  return perSecond === null || perSecond === undefined ? NOTHING : `${amount(perSecond)}/s`;
}

/** A share, of which 1 is the whole: "99.8 %". */
export function percent(share: number | null | undefined): string {
  return share === null || share === undefined ? NOTHING : `${PERCENT.format(share * 100)} %`;
}

/** `part` of each of `whole`: a share, or a number a second; null where there is no whole. */
export function ratioOf(part: number, whole: number | null): number | null {
  return whole === null || whole === 0 ? null : part / whole;
}

/**
 * Text that others may have written, such as a relay's error, as a terminal may be given it: Latin letters and what is
 * written here, each one column wide; no control characters, nothing that turns the direction of writing.
 */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\u00a1-\u00ac\u00ae-\u024f–…]/gu, "?");
}

/** An option as it was given, on one line: one that was repeated has its values in lines of their own. */
export function optionText(given: string): string {
  return given.replaceAll("\n", ", ");
}

/** `text` in no more than `width` columns; what is cut off is marked. */
export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`.slice(0, Math.max(0, width));
}
