/** Timers and chance in a test's hand: what is set goes off when the test says, and in order. */

/** The longest that a timer can hold, in ms; what is longer goes off at once, in browsers and everywhere. */
const LONGEST_MS = 2 ** 31 - 1;

export interface HandTimers extends Disposable {
  /** Goes on by `ms`; what is due goes off, and what that sets for the same time too. */
  pass(ms: number): Promise<void>;
  /** What Math.random() gives. */
  chance: number;
}

let held: HandTimers | undefined;

/** Lets all be done that is due at once. */
export async function atOnce(): Promise<void> {
  await held?.pass(0);
}

export function holdTimers(): HandTimers {
  const kept = [globalThis.setTimeout, globalThis.clearTimeout, Date.now, Math.random] as const;
  let now = 1_000_000;
  let count = 0;
  const set = new Map<number, { at: number; act: () => void }>();
  const timers: HandTimers = {
    chance: 0,
    async pass(ms) {
      const end = now + ms;
      for (;;) {
        const [first] = [...set].filter(([, { at }]) => at <= end).sort(([a, x], [b, y]) => x.at - y.at || a - b);
        if (!first) break;
        const [id, { at, act }] = first;
        set.delete(id);
        now = Math.max(now, at);
        act();
        await settled();
      }
      now = end;
      await settled();
    },
    [Symbol.dispose]() {
      [globalThis.setTimeout, globalThis.clearTimeout, Date.now, Math.random] = kept;
    },
  };
  const hold = (act: () => void, ms = 0) => {
    set.set(++count, { at: now + (ms > LONGEST_MS ? 1 : ms), act });
    return count;
  };
  held = timers;
  globalThis.setTimeout = hold as unknown as typeof setTimeout;
  globalThis.clearTimeout = ((id: number) => set.delete(id)) as unknown as typeof clearTimeout;
  Date.now = () => now;
  Math.random = () => timers.chance;
  return timers;
}

/** All that promises do by themselves has been done: none of them here waits for the outside. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}
