/** What the fake relay does to single messages, so that what it planted can be held against what is reported. */
import type { MessageFault } from "./fake-relay.ts";

/** A kept one that no other follows leaves so late, in ms: it is in order after all. */
const KEPT_MS = 150;

/** One direction of a session. */
export interface Direction {
  /** Passes a text on. */
  readonly pass: (text: string) => void;
  kept: { readonly text: string; readonly timer: NodeJS.Timeout } | null;
}

/** Passes on what of a session was kept for the sake of order, before something of it follows. */
export function passKept(direction: Direction): boolean {
  const { kept } = direction;
  if (!kept) return false;
  clearTimeout(kept.timer);
  direction.kept = null;
  direction.pass(kept.text);
  return true;
}

/**
 * Does harm to one message.
 * @param elsewhere passes a text to a peer of another session; null where there is none
 * @param planted is told of it, where it is done at once
 */
export function harm(
  fault: MessageFault,
  text: string,
  direction: Direction,
  elsewhere: ((text: string) => void) | null,
  planted: (fault: MessageFault) => void,
): void {
  if (fault === "misdeliver" && !elsewhere) {
    direction.pass(text);
    return;
  }
  if (fault === "reorder") {
    if (direction.kept) passKept(direction);
    const timer = setTimeout(() => passKept(direction), KEPT_MS);
    direction.kept = { text, timer };
    return;
  }
  planted(fault);
  if (fault === "duplicate") {
    direction.pass(text);
    direction.pass(text);
  } else if (fault === "corrupt") direction.pass(corrupted(text));
  else if (fault === "misdeliver") elsewhere?.(text);
}

let corruptions = 0;

/** The text with one letter changed: in turns in its payload, its session code, its type and its JSON. */
function corrupted(text: string): string {
  const places = [text.length - 20, text.indexOf('Code":"') + 9, 9, 0, 60, text.indexOf("seal=") + 2];
  const at = places[corruptions++ % places.length] ?? 0;
  return `${text.slice(0, at)}${text.charAt(at) === "x" ? "y" : "x"}${text.slice(at + 1)}`;
}
