/** Every world that can be reached, breadth first. Worlds that differ in nothing that a rule asks for are tried once. */
import { type Move, World } from "./world.ts";

interface Explored {
  readonly states: number;
  readonly steps: number;
  readonly faults: { readonly wrong: string[]; readonly after: readonly Move[] }[];
}

/** Makes every move in every world, so many moves deep. The first fault that is found has the shortest story. */
export function explore(asks: boolean, depth: number): Explored {
  let frontier: { world: World; after: Move[] }[] = [{ world: new World(asks), after: [] }];
  const seen = new Set<string>();
  const faults: Explored["faults"] = [];
  let steps = 0;
  for (let level = 0; level < depth && faults.length === 0; level++) {
    const next: typeof frontier = [];
    for (const { world, after } of frontier) {
      for (const move of world.moves()) {
        const copy = world.copy();
        const wrong = copy.make(move);
        steps++;
        const key = copy.key();
        const isNew = !seen.has(key);
        if (isNew && copy.leftAfterSilence() > 0) wrong.push("somebody is forgotten");
        if (wrong.length > 0) faults.push({ wrong, after: [...after, move] });
        if (isNew) next.push({ world: copy, after: [...after, move] });
        seen.add(key);
      }
    }
    frontier = next;
  }
  return { states: seen.size, steps, faults: faults.slice(0, 3) };
}
