/**
 * What the relay reports of itself while it works: kinds, counts and times, never who, so that whoever listens can't
 * learn more. Owns the names of these kinds; metrics, log and documents take them from here.
 */
import type { ErrorName, RelayedMessage } from "./protocol.ts";

/** How an upgrade went; the refusals are those of docs/PROTOCOL.md, "HTTP". */
export const UPGRADES = ["taken", "malformed", "origin", "address", "at-capacity", "memory", "draining"] as const;
export type UpgradeResult = (typeof UPGRADES)[number];

/** How a session ended. `paired`: an answer was relayed; the others are the reasons why none was. */
export const OUTCOMES = ["paired", "lonely", "crowded", "expired", "lost"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** How the relay is: well; well, but with a difference in its own books; or on its way out. */
export type Status = "ok" | "degraded" | "draining";

export interface Events {
  upgraded(result: UpgradeResult): void;
  /** A peer was told no. */
  refused(name: ErrorName): void;
  /**
   * A socket has closed: by a refusal, or as `code` says (RFC 6455, section 7.4). 1006 is no close frame at all, and
   * what Bun gives where it ended a socket itself: a frame that breaks RFC 6455, a message it would not even read.
   */
  closed(refusal: ErrorName | "silent" | null, code: number): void;
  /** Both seats of a session are held for the first time, so many ms after its first join. */
  ready(afterMs: number): void;
  /** A message of so many bytes was passed on. */
  relayed(type: RelayedMessage["type"], bytes: number): void;
  /** The first answer of a session was passed on, so many ms after both seats were held. */
  answered(afterMs: number): void;
  /** A session is over. */
  ended(outcome: Outcome): void;
  /** A sweep came so many ms late. */
  swept(lagMs: number): void;
  /** A look at the relay's books found so many differences; 0, unless there is a bug. */
  differed(differences: number): void;
}
