/**
 * The wire of PeerJS's server, for the load tester: a peer names itself in the query of its upgrade, hears `OPEN`, and
 * sends messages with the other one's name in `dst`. There is no join, and none waits for the other: that both are
 * there, which PeerJS's users tell each other by other means, the load tester knows of itself. Pure.
 */
import { CODE, filling, kindsByLetters, type Role, type Wire } from "../src/load/wire.ts";

/** The version that PeerJS's client says it has; the server doesn't look at it. */
const CLIENT_VERSION = "1.5.5";

const NAMES: Readonly<Record<Role, string>> = { initiator: `${CODE}-initiator`, joiner: `${CODE}-joiner` };
const OTHER: Readonly<Record<Role, Role>> = { initiator: "joiner", joiner: "initiator" };

export const peerjs: Wire = {
  isVerbatim: false,
  path: (role) => `/peerjs?key=peerjs&id=${NAMES[role]}&token=${CODE}&version=${CLIENT_VERSION}`,
  join: () => null,
  message(kind, from, sizeBytes) {
    const text = (inside: string) => {
      const body =
        kind === "candidate"
          ? { candidate: { candidate: inside, sdpMid: "0", sdpMLineIndex: 0 } }
          : { sdp: { type: kind, sdp: inside } };
      const payload = { ...body, type: "data", connectionId: `dc_${CODE}` };
      return JSON.stringify({ type: kind.toUpperCase(), payload, dst: NAMES[OTHER[from]] });
    };
    return text(filling(from, sizeBytes - text("").length));
  },
  kindOf: kindsByLetters({
    OP: "ready",
    OF: "offer",
    AN: "answer",
    CA: "candidate",
    ER: "error",
    ID: "error", // ID-TAKEN
  }),
  errorIn: (text) => /"msg":"([^"]{1,80})"/.exec(text)?.[1] ?? "error",
};
