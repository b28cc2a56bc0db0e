/**
 * Lifecycle lines for the operator: that the relay started, where, and that it ended. Never a session code, a
 * peer's address or any part of a message: nothing that comes from a socket may be passed to it.
 */

/** What this program is called, in its log, its help and its errors. */
export const NAME = "whisper-signaling";

/** One line on standard output. */
export function say(line: string): void {
  console.log(`${NAME}: ${line}`);
}

const warned = new Set<string>();

/** One line on standard error, the first time that there is reason for it. */
export function warn(line: string): void {
  if (!warned.has(line)) complain(`warning: ${line}`);
  warned.add(line);
}

/** One line on standard error: why the relay can't go on. */
export function complain(line: string): void {
  console.error(`${NAME}: ${line}`);
}
