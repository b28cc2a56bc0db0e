/** When the scrubber works; that it does what it is for is shown by lockdown/forgetting and long/forgetting. */
import { afterEach, expect, spyOn, test } from "bun:test";
import { Scrubber } from "../../src/lockdown/scrubber.ts";

const collect = spyOn(Bun, "gc");
afterEach(() => collect.mockClear());

test("it works amid traffic, twice once all is quiet, and never while nobody is there; amid traffic nobody waits", async () => {
  const warnings: string[] = [];
  const scrubber = await Scrubber.open(null, (line) => warnings.push(line));
  /** Whether a turn did anything, for each of these activities. */
  async function worked(...activities: number[]): Promise<boolean[]> {
    const results: boolean[] = [];
    for (const activity of activities) {
      const before = collect.mock.calls.length;
      await scrubber.turn(activity);
      results.push(collect.mock.calls.length > before);
    }
    return results;
  }
  expect(await worked(0, 0)).toEqual([false, false]);
  expect(await worked(1, 1, 1, 1)).toEqual([true, true, true, false]);
  expect(await worked(2, 3, 3, 3, 3)).toEqual([true, true, true, true, false]);
  expect(collect.mock.calls.flat()).toEqual([false, true, true, false, false, true, true]); // whether all waits for it
  expect(warnings).toEqual([]);
});
