/**
 * What is happening, step by step, as a list that people can read. Owns the list and what of each step is known; it
 * shows kinds and numbers, never an address, a code or a description.
 */
import { path } from "../client/channel.ts";
import { element, made } from "./dom.ts";

const STEPS = {
  server: "Reach this server",
  other: "Find the other person",
  sealed: "Seal what goes through the server",
  offer: "Propose a connection",
  answer: "Agree to it",
  ways: "Look for ways between the two devices",
  connected: "Connect",
  keys: "Agree on keys",
} as const;
export type Step = keyof typeof STEPS;
type State = "later" | "now" | "done" | "failed";

const ORDER = Object.keys(STEPS) as Step[];
const MARKS: Record<State, [mark: string, spoken: string]> = {
  later: ["·", "not yet"],
  now: ["…", "now"],
  done: ["✓", "done"],
  failed: ["✕", "failed"],
};
/** What kinds of candidates are called here. */
const KINDS: Record<string, string> = { host: "own", srflx: "public", prflx: "public", relay: "by TURN" };
const DTLS_VERSIONS: Record<string, string> = { FEFF: "DTLS 1.0", FEFD: "DTLS 1.2", FEFC: "DTLS 1.3" };

export interface Steps {
  /** All of them are to come; the first is under way where `isBegun`. */
  reset(isBegun: boolean): void;
  done(step: Step, detail?: string): void;
  /** The first that is not done is where it failed. Returns what it is called. */
  failed(): string;
  /** Looks on while a connection is made. */
  watch(connection: RTCPeerConnection): void;
  /** The connection is there: says what way it takes. Returns that for people. */
  arrived(connection: RTCPeerConnection): Promise<string>;
}

export function newSteps(): Steps {
  const states = new Map<Step, [state: State, detail: string]>();
  let isBegun = false;
  const candidates = { here: new Map<string, number>(), there: new Map<string, number>() };

  function reset(isNow: boolean): void {
    isBegun = isNow;
    for (const step of ORDER) states.set(step, ["later", ""]);
    for (const side of Object.values(candidates)) side.clear();
    draw();
  }

  function set(step: Step, state: State, detail: string | undefined): void {
    states.set(step, [state, detail ?? states.get(step)?.[1] ?? ""]);
    draw();
  }

  function firstOpen(): Step | undefined {
    return ORDER.find((step) => states.get(step)?.[0] !== "done");
  }

  function draw(): void {
    const now = firstOpen();
    element("steps").replaceChildren(
      ...ORDER.map((step) => {
        const [state, detail] = states.get(step) ?? ["later", ""];
        const shown = isBegun && state === "later" && step === now ? "now" : state;
        const item = made("li", "");
        item.dataset["step"] = step;
        item.dataset["state"] = shown;
        const [mark, spoken] = MARKS[shown];
        const sign = made("span", mark, "mark");
        sign.ariaHidden = "true";
        item.append(sign, STEPS[step], made("span", ` (${spoken})`, "spoken"));
        if (detail) item.append(made("span", detail, "detail"));
        return item;
      }),
    );
  }

  function count(side: keyof typeof candidates, type: string): void {
    const kind = KINDS[type] ?? type;
    candidates[side].set(kind, (candidates[side].get(kind) ?? 0) + 1);
    const said = (of: Map<string, number>) =>
      [...of].map(([name, number]) => `${number} ${name}`).join(", ") || "none yet";
    const state = states.get("ways")?.[0] === "done" ? "done" : "now";
    set("ways", state, `addresses from here: ${said(candidates.here)}; from there: ${said(candidates.there)}`);
  }

  return {
    reset,
    done: (step, detail) => set(step, "done", detail),
    failed() {
      const step = firstOpen() ?? "connected";
      set(step, "failed", undefined);
      return STEPS[step];
    },
    watch(connection) {
      connection.addEventListener("icecandidate", ({ candidate }) => {
        if (candidate?.type) count("here", candidate.type);
      });
      const add = connection.addIceCandidate.bind(connection);
      connection.addIceCandidate = (candidate?: RTCIceCandidateInit | null) => {
        const [, type] = / typ (\w+)/.exec(candidate?.candidate ?? "") ?? [];
        if (type) count("there", type);
        return add(candidate);
      };
      connection.addEventListener("signalingstatechange", () => {
        const state = connection.signalingState;
        if (state === "have-local-offer") set("offer", "done", "from here (an offer)");
        if (state === "have-remote-offer") set("offer", "done", "from there (an offer)");
        if (state === "stable" && connection.remoteDescription)
          set(
            "answer",
            "done",
            connection.remoteDescription.type === "answer" ? "from there (an answer)" : "from here (an answer)",
          );
      });
    },
    async arrived(connection) {
      const way = await path(connection);
      let said = "directly, from device to device";
      if (way?.relayed) said = `through a TURN server, which passes on what it can’t read`;
      const roundTrip = way?.roundTripMs === undefined ? "" : `, there and back in ${Math.round(way.roundTripMs)} ms`;
      set("ways", "done", undefined);
      set("connected", "done", `${said}, over ${(way?.protocol ?? "udp").toUpperCase()}${roundTrip}`);
      set("keys", "done", await keysOf(connection));
      return said;
    },
  };
}

/** What the browser tells of DTLS; not each tells all of it, and none the group of the key exchange. */
async function keysOf(connection: RTCPeerConnection): Promise<string> {
  const facts: string[] = [];
  (await connection.getStats()).forEach((one: RTCStats & { tlsVersion?: string; dtlsCipher?: string }) => {
    if (one.type !== "transport") return;
    facts.push(DTLS_VERSIONS[one.tlsVersion ?? ""] ?? "DTLS", ...(one.dtlsCipher ? [one.dtlsCipher] : []));
  });
  return `by ${facts.join(", ") || "DTLS"}`;
}
