/** How figures of several rounds lie: their median, and those of single rounds. Pure. */

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** @returns null where nothing was measured */
export function spreadOf(values: readonly (number | null)[]): Spread | null {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  const middle = sorted.slice(Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2) + 1);
  const [least, most] = [sorted[0], sorted.at(-1)];
  if (least === undefined || most === undefined) return null;
  return { median: middle.reduce((sum, value) => sum + value) / middle.length, least, most };
}

/** The median, and in brackets the least and the most where they differ. */
export function shownSpread(spread: Spread | null, write: (value: number) => string, nothing: string): string {
  if (spread === null) return nothing;
  const { median, least, most } = spread;
  return least === most ? write(median) : `${write(median)} (${write(least)} to ${write(most)})`;
}

/** How many times `part` is `whole`; null where either was not measured, or is nothing. */
export function timesOf(part: number | null, whole: number | null): number | null {
  return part === null || whole === null || whole <= 0 || part <= 0 ? null : part / whole;
}
