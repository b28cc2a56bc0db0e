/**
 * The peer connection: perfect negotiation, restarts, candidates held until their description is there. Owns the
 * RTCPeerConnection and the first data channel. Knows no relay: it sends and takes descriptions and candidates.
 *
 * A new connection of the other peer's is known by the fingerprint of its certificate, and needs a new one here.
 * Descriptions carry, beside `type` and `sdp`, what SDP can't say for certain: `n` numbers the description, and an
 * answer has `re`, the number of its offer.
 */
import { newTimer } from "./tools.ts";
import type { Connected, ConnectOptions, Mutable, Session } from "./types.ts";

/** How long a connection may be `disconnected` before it is mended, in ms: most come back by themselves. */
const DISCONNECTED_MS = 5_000;
/** After a channel closed, in ms: the other page may be going, and then there is nothing to mend yet. */
const CLOSED_MS = 500;
/** From one attempt to connect to the next, in ms; twice as long each time, up to the second. */
const ATTEMPT_MS = 10_000;
const MOST_MS = 60_000;

export interface Description extends RTCSessionDescriptionInit {
  readonly n?: number;
  readonly re?: number | undefined;
}

export interface Negotiation {
  /** The other peer is there, and new. */
  begin(): void;
  /** The other peer is there again: what was under way may be lost. */
  resume(): void;
  take(description: Description | undefined, candidate: RTCIceCandidateInit | null | undefined): Promise<void>;
  /** Looks for a new path. */
  mend(): void;
  close(): void;
}

/**
 * @param session where connection and channel are kept, and whose state says whether they can be used
 * @param tell sends to the other peer
 * @param reach whether the other peer can be told anything now; where not, that is seen to
 */
export function newNegotiation(
  session: Mutable<Session>,
  options: ConnectOptions,
  configuration: () => RTCConfiguration,
  tell: (signal: { description: Description } | { candidate: RTCIceCandidateInit }) => void,
  reach: () => boolean,
  up: (connected: Connected) => void,
  down: () => void,
): Negotiation {
  let pc: RTCPeerConnection | undefined;
  let channel: RTCDataChannel | undefined;
  let making = false;
  /** Whether a path is to be looked for as soon as the other peer can be told. */
  let isWanted = false;
  let attempts = 0;
  let count = 0;
  let pending = 0;
  let theirs: string | undefined;
  let held: RTCIceCandidateInit[] = [];
  const later = newTimer();

  return { begin, resume, take, mend, close: drop };

  function begin(): void {
    attempts = 0;
    held = [];
    drop();
    again();
    if (session.isInitiator) fresh();
  }

  function resume(): void {
    if (isWanted) mend();
    else if (isUp()) return;
    else if (pc?.signalingState === "have-local-offer") describe(pc);
    else if (session.isInitiator) mend();
  }

  function isUp(): boolean {
    return session.state === "connected";
  }

  function drop(): void {
    later();
    pc?.close();
    session.connection = pc = theirs = undefined;
    adopt(undefined);
    making = isWanted = false;
  }

  function fresh(): void {
    drop();
    again();
    const made = new (options.RTCPeerConnection ?? RTCPeerConnection)(configuration());
    session.connection = pc = made;
    const on = (type: string, act: (event: never) => void) =>
      made.addEventListener(type, (event) => made === pc && act(event as never));
    on("negotiationneeded", () => offer(false));
    on("connectionstatechange", changed);
    on("icecandidate", ({ candidate }: RTCPeerConnectionIceEvent) => {
      if (candidate?.candidate) tell({ candidate });
    });
    on("datachannel", (event: RTCDataChannelEvent) => channel ?? adopt(event.channel));
    if (session.isInitiator) adopt(made.createDataChannel("whisper", options.channel));
    options.setup?.(made, session.isInitiator);
  }

  function adopt(opened: RTCDataChannel | undefined): void {
    session.channel = channel = opened;
    const heed = () => opened === channel && changed();
    opened?.addEventListener("open", heed);
    opened?.addEventListener("close", heed);
    if (opened) changed();
  }

  function changed(): void {
    const state = pc?.connectionState;
    const isOpen = channel?.readyState === "open";
    if (isOpen && state === "connected") {
      later();
      attempts = 0;
      if (!isUp()) up({ connection: pc, channel } as Connected);
    } else if (state === "failed" || (isUp() && !isOpen)) trouble(isOpen ? 0 : CLOSED_MS);
    else if (state === "disconnected") later(DISCONNECTED_MS, () => trouble(0));
  }

  function trouble(ms: number): void {
    later(ms, attempt);
    if (isUp()) down();
  }

  /** The next attempt, should this one come to nothing. */
  function again(): void {
    later(Math.min(MOST_MS, ATTEMPT_MS * 2 ** attempts), attempt);
  }

  function attempt(): void {
    if (!isUp()) mend();
  }

  /** A restart of ICE first, then a new connection; the joiner waits for the initiator's. */
  function mend(): void {
    again();
    isWanted = !reach();
    if (isWanted) return;
    if (
      session.isInitiator &&
      !isUp() &&
      (attempts > 0 || !pc?.remoteDescription || channel?.readyState === "closed")
    ) {
      fresh();
    } else offer(true);
    attempts++;
  }

  async function offer(isRestart: boolean): Promise<void> {
    const offering = pc;
    if (!offering) return;
    making = true;
    try {
      if (isRestart) {
        offering.setConfiguration?.(configuration());
        // What is under way has failed, or nobody heard of it: it must not block this.
        if (offering.signalingState === "have-local-offer") await offering.setLocalDescription({ type: "rollback" });
        await offering.setLocalDescription(await offering.createOffer({ iceRestart: true }));
      } else await offering.setLocalDescription();
      if (offering === pc) await describe(offering);
    } catch {
      // closed, or a turn of the state in between: the next attempt comes
    } finally {
      making = false;
    }
  }

  async function describe(telling: RTCPeerConnection, re?: number): Promise<void> {
    const local = telling.localDescription;
    if (!local) return;
    const n = ++count;
    if (local.type === "offer") pending = n;
    const description: Description = { type: local.type, sdp: local.sdp, n, re };
    tell({ description: { ...(await options.sending?.(description)), ...description } });
  }

  async function take(description: Description | undefined, candidate: RTCIceCandidateInit | null | undefined) {
    if (candidate?.candidate) held.push(candidate);
    if (description) await apply(description);
    release();
  }

  async function apply(description: Description): Promise<void> {
    const { type, sdp = "", n, re } = description;
    const isOffer = type === "offer";
    const from = /fingerprint:(.*)/.exec(sdp)?.[1];
    if (isOffer && (!pc || (!session.isInitiator && theirs !== undefined && theirs !== from))) fresh();
    const taking = pc;
    if (!taking) return;
    const isFree = taking.signalingState === "stable";
    // Both offered at once: the initiator's stands, the joiner's is rolled back by the browser.
    if (isOffer ? session.isInitiator && (making || !isFree) : isFree || (re !== undefined && re !== pending)) return;
    options.received?.(description);
    if (isOffer) taking.setConfiguration?.(configuration()); // it may gather anew, and the credentials have an end
    await taking.setRemoteDescription({ type, sdp });
    theirs = from;
    release();
    if (!isOffer || taking !== pc) return;
    await taking.setLocalDescription();
    if (taking === pc) await describe(taking, n);
  }

  /** Adds the candidates whose description is there. */
  function release(): void {
    const sdp = pc?.remoteDescription?.sdp;
    if (!sdp) return;
    held = held.filter((candidate) => {
      const ufrag = candidate.usernameFragment;
      if (ufrag && !sdp.includes(`ice-ufrag:${ufrag}\r\n`)) return true;
      pc?.addIceCandidate(candidate).catch(() => {}); // one that this browser can't use is no harm
      return false;
    });
  }
}
