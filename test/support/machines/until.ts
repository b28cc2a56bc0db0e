/** Waiting for what others do: for a condition with a name, and never for a time. */

/** Below the time limit of a test, 30 s or the 300 s of the long ones, so that what is reported is what was waited for. */
const PATIENCE_MS = Bun.main.endsWith(".long.ts") ? 240_000 : 25_000;
/** Looks come quickly at first, since most waits are short, and at last so seldom that a long one costs nothing. */
const MOST_PAUSE_MS = 50;

const isTrue = (seen: unknown): boolean => seen === true;

/**
 * Waits until a look at something finds it as it should be.
 * @param what names it, as "the last session to end" does
 * @param look is done again and again; what it throws ends the wait
 * @param isIt whether what was seen is what is waited for; without it, only `true` is
 * @returns what was seen at last
 * @throws Error that says what was waited for and what was seen last, where that took too long
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  isIt: (seen: T) => boolean = isTrue,
): Promise<T> {
  const since = performance.now();
  for (let pauseMs = 0; ; pauseMs = Math.min(2 * pauseMs + 1, MOST_PAUSE_MS)) {
    const seen = await look();
    if (isIt(seen)) return seen;
    const waitedMs = Math.round(performance.now() - since);
    if (waitedMs > PATIENCE_MS)
      throw new Error(`waited ${waitedMs} ms in vain for ${what}; seen last: ${Bun.inspect(seen)}`);
    if (pauseMs === 0) await new Promise((resolve) => setImmediate(resolve));
    else await Bun.sleep(pauseMs);
  }
}

/** The same of a number: that it is at most, or at least, so much. */
export const atMost = (bound: number) => (seen: number) => seen <= bound;
export const atLeast = (bound: number) => (seen: number) => seen >= bound;
export const equals = (expected: unknown) => (seen: unknown) => seen === expected;
