/**
 * What is said to a relay, and how its answers are told apart: all that a scenario needs to know of a protocol. Texts
 * are made once; the session code is filled in where `CODE` stands. Pure.
 */

/** Stands in every text for the session code, which is as long. */
export const CODE = "SESSION-CODE";
/** Before what tells a message from all others: so it is found in a text that a relay has written anew. */
export const SEAL_MARK = "seal=";
/** Stand in every message for its checksum and its number. */
export const SUM = "CHECKSUM";
export const NUMBER = "NUMBERED";
/** The smallest message that has room for its seal, in any wire's words. */
export const LEAST_MESSAGE = "150B";
export type Role = "initiator" | "joiner";
/**
 * What came in. `ready`: this peer may begin; a session begins when both may. `own`: a word of the relay that means
 * nothing here; `other`: what has to be looked at, to tell such a word from what is left of a message.
 */
export type Kind = "ready" | SealedKind | "error" | "own" | "other";
/** What a peer sends to the other one. */
export type SealedKind = "offer" | "answer" | "candidate";

/** A protocol of signaling between two peers. */
export interface Wire {
  /** Whether relays pass a message on byte for byte, rather than write its text anew. */
  readonly isVerbatim: boolean;
  /** What follows the path of the target's URL in a peer's upgrade, such as a query that names it. */
  path(role: Role): string;
  /** What a peer says first, or null where connecting says it all. */
  join(role: Role): string | null;
  /** What `from` sends to the other peer: about `sizeBytes` of text, with what `filling` gives in it. */
  message(kind: SealedKind, from: Role, sizeBytes: number): string;
  /** What the text of a frame is, `bytes` from `start` to `end`. It is asked for every frame, so a look has to do. */
  kindOf(bytes: Uint8Array, start: number, end: number): Kind;
  /** The name of the error in such a text, for counting. */
  errorIn(text: string): string;
}

/** How every text begins; the first two letters of the type behind it tell all types apart. */
const TYPE = Buffer.from('{"type":"');

/** Tells what a text is by the first two letters of its type, as `kinds` names them. */
export function kindsByLetters(kinds: Readonly<Record<string, Kind>>): Wire["kindOf"] {
  const known = new Map(
    Object.entries(kinds).map(([letters, kind]) => [(letters.charCodeAt(0) << 8) | letters.charCodeAt(1), kind]),
  );
  return (bytes, start) => {
    for (let i = 0; i < TYPE.length; i++) if (bytes[start + i] !== TYPE[i]) return "other";
    const at = start + TYPE.length;
    return known.get(((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)) ?? "other";
  };
}

/** The wire of docs/PROTOCOL.md, and of every relay that speaks what its clients in use expect. */
export const whisper: Wire = {
  isVerbatim: true,
  path: () => "",
  join: (role) => JSON.stringify({ type: "join", sessionCode: CODE, isInitiator: role === "initiator" }),
  message(kind, from, sizeBytes) {
    const type = kind === "candidate" ? "ice-candidate" : kind;
    const text = (inside: string) => {
      const payload =
        kind === "candidate" ? { candidate: inside, sdpMid: "0", sdpMLineIndex: 0 } : { type: kind, sdp: inside };
      return JSON.stringify({ type, sessionCode: CODE, [kind]: payload });
    };
    return text(filling(from, sizeBytes - text("").length));
  },
  kindOf: kindsByLetters({
    ...{ re: "ready", of: "offer", an: "answer", ic: "candidate", er: "error" },
    ...{ jo: "own", pe: "own", po: "own", pr: "own" }, // joined, peer-left, pong, probe: each for each peer or session
  }),
  errorIn(text) {
    return /"code":"([a-z-]{1,40})"/.exec(text)?.[1] ?? "error";
  },
};

/** Text of `length` such as session descriptions are made of, with nothing in it that JSON would escape, and its seal. */
export function filling(from: Role, length: number): string {
  const seal = `${SEAL_MARK}${SUM}${NUMBER}${from.charAt(0)}${CODE}`;
  const rest = Math.max(0, length - seal.length);
  const padding = "a=candidate:1 1 udp 2122260223 192.0.2.7 54321 typ host "
    .repeat(Math.ceil(rest / 56))
    .slice(0, rest);
  return `${seal}${padding}`;
}

/** Whether a text that is no message is one of the relay's own words, and not what is left of a message. */
export function isOwnWord(text: string): boolean {
  if (text.includes(SEAL_MARK)) return false;
  try {
    return typeof JSON.parse(text) === "object";
  } catch {
    return false;
  }
}
