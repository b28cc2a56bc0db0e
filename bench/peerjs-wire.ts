/**
 * The wire of PeerJS's server, for the load tester: a peer names itself in the query of its upgrade, hears `OPEN`, and
 * sends messages with the other one's name in `dst`. There is no join, and none waits for the other: that both are
 * there, which PeerJS's users tell each other by other means, the load tester knows of itself. Pure.
 */
import { CODE, type Kind, padding, type Role, TYPE_AT, type Wire } from "../src/load/wire.ts";

/** The version that PeerJS's client says it has; the server doesn't look at it. */
const CLIENT_VERSION = "1.5.5";

const NAMES: Readonly<Record<Role, string>> = { initiator: `${CODE}-initiator`, joiner: `${CODE}-joiner` };
const OTHER: Readonly<Record<Role, Role>> = { initiator: "joiner", joiner: "initiator" };

/** The first two letters of a type, which tell all of them apart. */
const KINDS: Readonly<Record<string, Kind>> = {
  OP: "ready",
  OF: "offer",
  AN: "answer",
  CA: "candidate",
  ER: "error",
  ID: "error", // ID-TAKEN
};
const KIND_OF_LETTERS = new Map(
  Object.entries(KINDS).map(([letters, kind]) => [pair(letters.charCodeAt(0), letters.charCodeAt(1)), kind]),
);

export const peerjs: Wire = {
  path: (role) => `/peerjs?key=peerjs&id=${NAMES[role]}&token=${CODE}&version=${CLIENT_VERSION}`,
  join: () => null,
  message(kind, from, sizeBytes) {
    const text = (filling: string) => {
      const body =
        kind === "candidate"
          ? { candidate: { candidate: filling, sdpMid: "0", sdpMLineIndex: 0 } }
          : { sdp: { type: kind, sdp: filling } };
      const payload = { ...body, type: "data", connectionId: `dc_${CODE}` };
      return JSON.stringify({ type: kind.toUpperCase(), payload, dst: NAMES[OTHER[from]] });
    };
    return text(padding(sizeBytes - text("").length));
  },
  kindOf: (bytes, start) =>
    KIND_OF_LETTERS.get(pair(bytes[start + TYPE_AT] ?? 0, bytes[start + TYPE_AT + 1] ?? 0)) ?? "other",
  errorIn: (text) => /"msg":"([^"]{1,80})"/.exec(text)?.[1] ?? "error",
};

function pair(first: number, second: number): number {
  return (first << 8) | second;
}
