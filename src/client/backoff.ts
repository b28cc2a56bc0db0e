/** When a socket that ended is opened again. Pure: time and chance are passed in. */

const FIRST_MS = 500;
const MOST_MS = 30_000;

/**
 * Whether a socket that closed with `code` may come back with the same words (docs/PROTOCOL.md, "When to try again").
 * `retry`: what the relay itself said of it, where it did.
 */
export function mayRetry(code: number, retry: boolean | undefined): boolean {
  // Expired, or too late to join: whoever still wants to meet joins anew.
  return retry ?? (code < 4500 ? code !== 1009 : code === 4502 || code === 4503);
}

/**
 * How long to wait, in ms: full jitter under a ceiling that doubles, and never before the relay said, if it said a time.
 * @param tries how many failed in a row before this one
 * @param chance uniform in [0, 1)
 */
export function pause(tries: number, retryAfterMs: number, chance: number): number {
  // biome-ignore lint/complexity/useMathMinMax: what is no number would stay none
  return (retryAfterMs > 0 ? retryAfterMs : 0) + chance * Math.min(MOST_MS, FIRST_MS * 2 ** tries);
}
