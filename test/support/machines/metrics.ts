/** Reads what /metrics says: the value of each row, by its name and labels as they are written. */
import type { RunningRelay } from "../relays/relay.ts";

export type Samples = ReadonlyMap<string, number>;

/** The rows of a scrape; `whisper_peers{state="paired"}` → 2. Throws for a line that is no row. */
export function parseMetrics(text: string): Samples {
  const rows = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    rows.map((row): [string, number] => {
      const [, name, value] = /^([a-z_]+(?:\{[^{}]*\})?) (-?[\d.e+-]+)$/.exec(row) ?? [];
      if (name === undefined || value === undefined) throw new Error(`not a row: ${row}`);
      return [name, Number(value)];
    }),
  );
}

export async function scrape(relay: RunningRelay): Promise<Samples> {
  return parseMetrics(await (await relay.admin("/metrics")).text());
}

/** The rows of one family that are not 0, by their label. */
export async function counted(relay: RunningRelay, family: string): Promise<Record<string, number>> {
  const rows = [...(await scrape(relay))].filter(([name, value]) => name.startsWith(`${family}{`) && value !== 0);
  return Object.fromEntries(rows.map(([name, value]) => [/"(.*)"/.exec(name)?.[1] ?? "", value]));
}
