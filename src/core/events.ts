/**
 * What the relay reports of itself while it works: kinds, counts and times, never who, so that whoever listens can't
 * learn more. Owns the names of these kinds; metrics, log and documents take them from here.
 */
import type { ErrorName, RelayedType } from "./protocol.ts";

/** How an upgrade can be refused, and the HTTP status that says so (docs/PROTOCOL.md, "HTTP"). */
export const REFUSALS = { origin: 403, address: 429, "at-capacity": 503, memory: 503, draining: 503 } as const;
export type UpgradeResult = "taken" | "malformed" | keyof typeof REFUSALS;

/** How a session ended. `paired`: an answer was relayed; the others are the reasons why none was. */
export const OUTCOMES = ["paired", "lonely", "crowded", "expired", "lost"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** How the relay is: well; well, but with a difference in its own books; or on its way out. */
export type Status = "ok" | "degraded" | "draining";
/** What the operator has to know; program/warnings.ts says it in words. */
export type Warning = "exempt-proxy" | "unknown-proxy" | "silent-proxy" | "exempt-crowd" | "books-differ";

export interface Events {
  upgraded(result: UpgradeResult): void;
  refused(name: ErrorName): void; // a peer was told no
  // A socket has closed: by a refusal, or as `code` says (RFC 6455, section 7.4). 1006 is no close frame at all, and what
  // Bun gives where it ended a socket itself: a frame that breaks RFC 6455, a message it would not even read.
  closed(refusal: ErrorName | "silent" | null, code: number): void;
  ready(afterMs: number): void; // both seats of a session are held for the first time, so long after its first join
  relayed(type: RelayedType, bytes: number): void;
  answered(afterMs: number): void; // a session's first answer was relayed, so long after both seats were held
  ended(outcome: Outcome): void;
  swept(lateMs: number): void; // the sweep of each second came so late
  differed(differences: number): void; // a look at the relay's books found so many; 0, unless there is a bug
}
