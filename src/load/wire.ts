/**
 * What is said to a relay, and how its answers are told apart: all that a scenario needs to know of a protocol. Texts
 * are made once; the session code is filled in where `CODE` stands. Pure.
 */

/** Stands in every text for the session code, which is as long. */
export const CODE = "SESSION-CODE";
export type Role = "initiator" | "joiner";
/** What came in. `ready`: this peer may begin; a session begins when both may. */
export type Kind = "ready" | "offer" | "answer" | "candidate" | "error" | "other";

/** A protocol of signaling between two peers. */
export interface Wire {
  /** What follows the path of the target's URL in a peer's upgrade, such as a query that names it. */
  path(role: Role): string;
  /** What a peer says first, or null where connecting says it all. */
  join(role: Role): string | null;
  /** What `from` sends to the other peer: about `sizeBytes` of text. */
  message(kind: "offer" | "answer" | "candidate", from: Role, sizeBytes: number): string;
  /** What the text of a frame is, `bytes` from `start` to `end`. It is asked for every frame, so a look has to do. */
  kindOf(bytes: Uint8Array, start: number, end: number): Kind;
  /** The name of the error in such a text, for counting. */
  errorIn(text: string): string;
}

/** Where the first letter of the type stands in `{"type":"offer",…`. */
export const TYPE_AT = 9;
const KINDS = new Map<number | undefined, Kind>(
  (["ready", "offer", "answer", "error"] as const).map((kind) => [kind.charCodeAt(0), kind]),
).set("i".charCodeAt(0), "candidate");

/** The wire of docs/PROTOCOL.md, and of every relay that speaks what its clients in use expect. */
export const whisper: Wire = {
  path: () => "",
  join: (role) => JSON.stringify({ type: "join", sessionCode: CODE, isInitiator: role === "initiator" }),
  message(kind, _from, sizeBytes) {
    const type = kind === "candidate" ? "ice-candidate" : kind;
    const text = (filling: string) => {
      const payload =
        kind === "candidate" ? { candidate: filling, sdpMid: "0", sdpMLineIndex: 0 } : { type: kind, sdp: filling };
      return JSON.stringify({ type, sessionCode: CODE, [kind]: payload });
    };
    return text(padding(sizeBytes - text("").length));
  },
  kindOf: (bytes, start) => KINDS.get(bytes[start + TYPE_AT]) ?? "other",
  errorIn(text) {
    return /"code":"([a-z-]{1,40})"/.exec(text)?.[1] ?? "error";
  },
};

/** Text such as session descriptions are made of, with nothing in it that JSON would escape. */
export function padding(length: number): string {
  return "a=candidate:1 1 udp 2122260223 192.0.2.7 54321 typ host "
    .repeat(Math.ceil(Math.max(0, length) / 56))
    .slice(0, Math.max(0, length));
}
