/**
 * What the relay reports of itself while it works: kinds, counts and times, never who, so that whoever listens can't
 * learn more. Owns the names of these kinds; metrics, log and documents take them from here.
 */
import type { ErrorName, RelayedType } from "./protocol.ts";

/** How an upgrade can be refused (docs/PROTOCOL.md, "HTTP"). */
export const REFUSALS = ["origin", "address", "at-capacity", "memory", "draining"] as const;
export type Refusal = (typeof REFUSALS)[number];

/** How a session ended. `paired`: an answer was relayed; the others are the reasons why none was. */
export const OUTCOMES = ["paired", "lonely", "crowded", "expired", "lost"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** What the operator has to know; program/warnings.ts says it in words. */
export type Warning = "exempt-proxy" | "unknown-proxy" | "silent-proxy" | "exempt-crowd";

export interface Events {
  upgraded(result: Refusal | "taken" | "malformed"): void;
  refused(name: ErrorName): void; // a peer was told no
  // By a refusal, or as `code` says (RFC 6455, section 7.4); 1006: by no close frame, or by Bun for what it would not read.
  closed(refusal: ErrorName | "silent" | null, code: number): void;
  ready(afterMs: number): void; // both seats of a session are held for the first time, so long after its first join
  relayed(type: RelayedType, bytes: number): void;
  answered(afterMs: number): void; // a session's first answer was relayed, so long after both seats were held
  ended(outcome: Outcome): void;
  swept(lateMs: number): void; // the sweep of each second came so late
  warn(warning: Warning): void;
}
