/** How long everything lasts between nodes and engine: each time once, in ms, with its reason. Owns nothing else. */

/** A node holds its sessions for so long after its last word to the engine: none is kept from others for longer. */
export const LEASE_MS = 7_000;
/** So much earlier a node believes it: its clock and the engine's may go at different speeds. */
const MARGIN_MS = 500;
export const SAFE_MS = LEASE_MS - MARGIN_MS;
/** How often a node speaks to the engine, and to each node that it shares a session with. */
export const RENEW_MS = 2_000;
/** What is older than this is not delivered: a stale description is worse than none. So long a lost message may be sent again. */
export const FRESH_MS = 2_000;
/** So long a join waits for the engine and for the node that it names; less than the core waits for the directory. */
export const ASK_MS = 3_000;
/** The node that it names has so long to take it, and longer where the engine is slow; then the engine is asked again, since that node may be gone. */
export const OPEN_MS = 1_000;
/** A node that has said nothing for so long is gone: two of its words may be lost. */
export const DEAD_MS = 3 * RENEW_MS;
/** A claim in the engine ends by itself after so long, and is renewed so often. */
export const RECORD_MS = 60_000;
export const KEEP_MS = 20_000;
/** What the engine itself is known by; it outlives a night without a node. */
export const EPOCH_MS = 86_400_000;
/** The ids of links that have ended are remembered for so long, so that none is opened twice. */
export const ENDED_MS = 10_000;
