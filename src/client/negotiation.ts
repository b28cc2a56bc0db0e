/**
 * The peer connection: perfect negotiation, restarts, candidates held until their description is there. Owns the
 * RTCPeerConnection and the first data channel. Knows no relay: it sends and takes descriptions and candidates.
 *
 * A new connection of the other peer's is known by the fingerprint of its certificate, and needs a new one here.
 * Descriptions carry, beside `type` and `sdp`, what SDP can't say for certain: `n` is an offer's number, and that of the
 * offer that an answer is for.
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
  readonly n?: number | undefined;
}

export interface Said {
  readonly description?: Description;
  readonly candidate?: RTCIceCandidateInit | null;
}

export interface Negotiation {
  /** The other peer is there, and new. */
  _begin(): void;
  /** The other peer is there again: what was under way may be lost. */
  _resume(): void;
  _take(said: Said): Promise<void>;
  _close(): void;
}

/**
 * @param session where connection and channel are kept, and whose state says whether they can be used
 * @param queue does one after the other what may make or close a connection: what is asked of one that is closed meanwhile is
 *   never answered, and all that waits for it would wait for ever
 * @param tell sends to the other peer
 * @param reach whether the other peer can be told anything now; where not, that is seen to
 */
export function newNegotiation(
  session: Mutable<Session>,
  options: ConnectOptions,
  Connection: NonNullable<ConnectOptions["RTCPeerConnection"]>,
  configuration: () => RTCConfiguration,
  queue: (act: () => unknown) => void,
  tell: (signal: { description: Description } | { candidate: RTCIceCandidateInit }) => void,
  reach: () => unknown,
  up: (connected: Connected) => void,
  down: () => void,
): Negotiation {
  let pc: RTCPeerConnection | undefined;
  let channel: RTCDataChannel | undefined;
  let making: boolean;
  /** Whether a path is to be looked for as soon as the other peer can be told. */
  let isWanted = false;
  let attempts = 0;
  /** The number of the last offer. */
  let pending = 0;
  let theirs: string | undefined;
  let held: RTCIceCandidateInit[] = [];
  const later = newTimer();

  session.restart = mend;
  return { _begin: begin, _resume: resume, _take: take, _close: close };

  function begin(): void {
    attempts = 0;
    held = [];
    drop();
    if (session.isInitiator) fresh();
  }

  function resume(): void {
    attempts = 0;
    if (isWanted || pc?.signalingState === "have-local-offer" || (!isUp() && session.isInitiator)) mend();
  }

  function isUp(): boolean {
    return session.state === "connected";
  }

  function drop(): void {
    again();
    pc?.close();
    session.connection = session.channel = pc = channel = theirs = undefined;
    making = isWanted = false;
  }

  function close(): void {
    drop();
    session.restart = later;
    later();
  }

  function fresh(): void {
    drop();
    const made = configured((all) => new Connection(all));
    session.connection = pc = made;
    const on = (type: string, act: (event: never) => void) => made.addEventListener(type, act as EventListener);
    on("negotiationneeded", () => offer(made));
    on("connectionstatechange", changed);
    on("icecandidate", ({ candidate }: RTCPeerConnectionIceEvent) => {
      if (candidate?.candidate) tell({ candidate });
    });
    on("datachannel", (event: RTCDataChannelEvent) => channel ?? adopt(event.channel));
    if (session.isInitiator) adopt(made.createDataChannel("whisper", options.channel));
    options.setup?.(made, session.isInitiator);
  }

  function adopt(opened: RTCDataChannel): void {
    session.channel = channel = opened;
    opened.addEventListener("open", changed);
    opened.addEventListener("close", changed);
    changed();
  }

  /** When the channel opens, the state may lag behind, and the other's first message comes at once: it must be heard. */
  function changed(event?: Event): void {
    const state = pc?.connectionState;
    const isOpen = channel?.readyState === "open";
    if (isOpen && (state === "connected" || event?.type === "open")) {
      later();
      if (!isUp()) up({ connection: pc, channel } as Connected);
    } else if (state === "failed" || (isUp() && !isOpen)) trouble(isOpen ? 0 : CLOSED_MS);
    else if (state === "disconnected") {
      reach();
      later(DISCONNECTED_MS, trouble);
    }
  }

  function trouble(ms = 0): void {
    later(ms, mend);
    if (!isUp()) return;
    attempts = 0;
    down();
  }

  /** The next attempt, should this one come to nothing. */
  function again(): void {
    later(Math.min(MOST_MS, ATTEMPT_MS * 2 ** attempts), mend);
  }

  function mend(): void {
    queue(attempt);
  }

  /** A restart of ICE first, then a new connection; the joiner waits for the initiator's. */
  function attempt(): void {
    if (!isUp()) again();
    isWanted = !reach();
    if (isWanted) return;
    if (session.isInitiator && !isUp() && (attempts || !pc?.remoteDescription || channel?.readyState === "closed")) {
      fresh();
    } else if (pc) {
      configured((all) => pc?.setConfiguration?.(all));
      // Makes an offer as soon as none is under way. One that is may be lost, and is told again: where it was not, the
      // path is looked for twice, which both sides bear.
      pc.restartIce();
      if (pc.signalingState === "have-local-offer") describe(pc);
    }
    attempts++;
  }

  /** Goes without the relay's servers where they are none that a browser takes. */
  function configured<T>(act: (all: RTCConfiguration | undefined) => T): T {
    try {
      return act(configuration());
    } catch {
      return act(options.rtc);
    }
  }

  async function offer(offering: RTCPeerConnection): Promise<void> {
    making = true;
    const told = offering.setLocalDescription().then((): unknown => offering === pc && describe(offering));
    await told.catch(() => {}); // closed, or a turn of the state in between: the next attempt comes
    making = false;
  }

  async function describe(telling: RTCPeerConnection, n?: number): Promise<void> {
    let { type, sdp } = telling.localDescription as RTCSessionDescription;
    // The first offer made the initiator DTLS's server, and the roles stay: Firefox answers later offers as if they did not.
    if (session.isInitiator) sdp = sdp.replace(/:active/g, ":passive");
    const description: Description = { type, sdp, n: n ?? ++pending };
    tell({ description: { ...(await options.sending?.(description)), ...description } });
  }

  async function take({ description, candidate }: Said): Promise<void> {
    if (candidate?.candidate) held.push(candidate);
    if (description) await apply(description);
    else release();
  }

  async function apply(description: Description): Promise<void> {
    const { type, sdp, n } = description;
    const isOffer = type === "offer";
    const from = /fingerprint:.*/.exec(sdp as string)?.[0];
    if (isOffer && (!pc || (!session.isInitiator && theirs && theirs !== from))) fresh();
    const taking = pc;
    if (!taking) return;
    const isFree = taking.signalingState === "stable";
    // Both offered at once: the initiator's stands, the joiner's is rolled back by the browser.
    if (isOffer ? session.isInitiator && (making || !isFree) : isFree || (n ?? pending) !== pending) return;
    options.received?.(description);
    configured((all) => pc?.setConfiguration?.(all)); // it may gather anew, and credentials end
    await taking.setRemoteDescription(description);
    theirs = from;
    release();
    if (!isOffer || taking !== pc) return;
    await taking.setLocalDescription();
    if (taking === pc) await describe(taking, n ?? 0);
  }

  /** Adds the candidates whose description is there. */
  function release(): void {
    const sdp = pc?.remoteDescription?.sdp;
    if (!sdp) return;
    held = held.filter((candidate) => {
      const ufrag = candidate.usernameFragment;
      const isEarly = ufrag && !sdp.split(/ufrag:|\r\n/).includes(ufrag);
      if (!isEarly) pc?.addIceCandidate(candidate).catch(() => {}); // one that this browser can't use is no harm
      return isEarly;
    });
  }
}
