/** The one error that the library makes. It never holds a code, an address or a message. */
import type { Reason, SignalingFailure } from "./types.ts";

/** An Error that says in one word why, and whether the same may be tried again. Without a message it is that word. */
export function failure(reason: Reason, retry = false, message = reason): SignalingFailure {
  return Object.assign(new Error(message), { reason, retry });
}
