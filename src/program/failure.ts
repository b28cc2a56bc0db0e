/**
 * How an error that nobody expected is told: by its class and by the places in this program that it passed, never by
 * its message, which may quote what a peer sent. Pure.
 */

/** As many places as tell two errors apart. */
const PLACES = 3;

/**
 * @param failure whatever was thrown
 * @returns such as "TypeError at relay.ts:120, relay.ts:98"
 */
export function describeFailure(failure: unknown): string {
  if (!(failure instanceof Error)) return `a thrown ${typeof failure}`;
  const { message, stack = "" } = failure;
  const trace = stack.startsWith(`${failure.name}: ${message}`)
    ? stack.slice(failure.name.length + message.length)
    : "";
  const places = [...trace.matchAll(/([\w.-]+\.ts:\d+):\d+\)?$/gm)].slice(0, PLACES).map(([, place]) => place);
  return `${failure.constructor.name} at ${places.join(", ") || "an unknown place"}`;
}
