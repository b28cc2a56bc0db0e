/**
 * The peer connection: perfect negotiation, restarts, candidates held until their description is there. Owns the
 * RTCPeerConnection and the first data channel. Knows no relay: it sends and takes descriptions and candidates.
 *
 * Descriptions carry, beside `type` and `sdp`, what SDP can't say for certain: `pc` numbers the sender's connection, so
 * that the other peer knows when a new one needs a new one; `n` numbers the description, and an answer has `re`, the
 * number of its offer. Peers that don't know these are told apart by the fingerprint of their certificate.
 */
import type { Connected, Extension } from "./types.ts";

/** How long a connection may be `disconnected` before it is mended, in ms: most come back by themselves. */
const DISCONNECTED_MS = 5_000;
/** After a channel closed, in ms: the other page may be going, and then there is nothing to mend yet. */
const CLOSED_MS = 500;
/** From one attempt to connect to the next, in ms; twice as long each time, up to the second. */
const ATTEMPT_MS = 10_000;
const MOST_MS = 60_000;
/** So many candidates are held for a description that has not come. */
const HELD = 200;

export interface Description extends RTCSessionDescriptionInit {
  readonly pc?: number;
  readonly n?: number;
  readonly re?: number | undefined;
}

export interface NegotiationOptions {
  readonly RTCPeerConnection: new (configuration?: RTCConfiguration) => RTCPeerConnection;
  configuration(): RTCConfiguration;
  readonly channel: RTCDataChannelInit | undefined;
  setup(connection: RTCPeerConnection, isInitiator: boolean): void;
  readonly extension: Extension | undefined;
  send(signal: { description: Description } | { candidate: RTCIceCandidateInit }): void;
  /** Whether the other peer can be told anything now; where not, that is seen to. */
  reach(): boolean;
  up(connected: Connected): void;
  down(): void;
}

export interface Negotiation {
  readonly connection: RTCPeerConnection | undefined;
  readonly channel: RTCDataChannel | undefined;
  /** Whether the channel can be used. */
  readonly isUp: boolean;
  /** The other peer is there, and new. */
  begin(isInitiator: boolean): void;
  /** The other peer is there again: what was under way may be lost. */
  resume(): void;
  take(description: Description | undefined, candidate: RTCIceCandidateInit | null | undefined): Promise<void>;
  /** Looks for a new path now, where the present one is bad; with `always` in any case. */
  mend(always?: boolean): void;
  close(): void;
}

export function newNegotiation(o: NegotiationOptions): Negotiation {
  let pc: RTCPeerConnection | undefined;
  let channel: RTCDataChannel | undefined;
  let isInitiator = false;
  let isUp = false;
  let making = false;
  /** Whether a path is to be looked for as soon as the other peer can be told. */
  let isWanted = false;
  let attempts = 0;
  let count = 0;
  let mine = 0;
  let pending = 0;
  let theirs: number | string | undefined;
  let held: RTCIceCandidateInit[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  return {
    get connection() {
      return pc;
    },
    get channel() {
      return channel;
    },
    get isUp() {
      return isUp;
    },
    begin(initiates) {
      drop();
      isInitiator = initiates;
      attempts = 0;
      held = [];
      if (isInitiator) fresh();
      again();
    },
    resume() {
      if (isWanted) mend();
      else if (isUp) return;
      else if (pc?.signalingState === "have-local-offer") tell(pc);
      else if (isInitiator) mend();
    },
    take,
    mend(always) {
      if (always || !isUp) mend();
    },
    close: drop,
  };

  function drop(): void {
    clearTimeout(timer);
    const old = pc;
    pc = channel = theirs = undefined;
    isUp = making = isWanted = false;
    old?.close();
  }

  function fresh(): void {
    drop();
    const made = new o.RTCPeerConnection(o.configuration());
    pc = made;
    mine = ++count;
    const on = (type: string, act: (event: never) => void) =>
      made.addEventListener(type, (event) => made === pc && act(event as never));
    on("negotiationneeded", () => offer(false));
    on("connectionstatechange", changed);
    on("icecandidate", ({ candidate }: RTCPeerConnectionIceEvent) => {
      if (candidate?.candidate) o.send({ candidate });
    });
    on("datachannel", (event: RTCDataChannelEvent) => channel ?? adopt(event.channel));
    if (isInitiator) adopt(made.createDataChannel("whisper", o.channel));
    o.extension?.setup(made, isInitiator);
    o.setup(made, isInitiator);
  }

  function adopt(opened: RTCDataChannel): void {
    channel = opened;
    const heed = () => opened === channel && changed();
    opened.addEventListener("open", heed);
    opened.addEventListener("close", heed);
    heed();
  }

  function changed(): void {
    const state = pc?.connectionState;
    const isOpen = channel?.readyState === "open";
    if (pc && channel && isOpen && state === "connected") {
      clearTimeout(timer);
      attempts = 0;
      if (isUp) return;
      isUp = true;
      o.up({ connection: pc, channel });
    } else if (state === "failed" || (isUp && !isOpen)) trouble(isOpen ? 0 : CLOSED_MS);
    else if (state === "disconnected") after(DISCONNECTED_MS, () => trouble(0));
  }

  function trouble(ms: number): void {
    after(ms, attempt);
    if (!isUp) return;
    isUp = false;
    o.down();
  }

  function after(ms: number, act: () => void): void {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  }

  /** The next attempt, should this one come to nothing. */
  function again(): void {
    after(Math.min(MOST_MS, ATTEMPT_MS * 2 ** attempts), attempt);
  }

  function attempt(): void {
    if (!isUp) mend();
  }

  /** A restart of ICE first, then a new connection; the joiner waits for the initiator's. */
  function mend(): void {
    again();
    isWanted = !o.reach();
    if (isWanted) return;
    if (isInitiator && (attempts > 0 || !pc?.remoteDescription || channel?.readyState === "closed")) {
      fresh();
      again();
    } else if (pc) {
      try {
        pc.setConfiguration?.(o.configuration());
      } catch {} // an engine may refuse to change it: then it is the old servers once more
      offer(true);
    }
    attempts++;
  }

  async function offer(isRestart: boolean): Promise<void> {
    const offering = pc;
    if (!offering) return;
    making = true;
    try {
      if (isRestart) {
        // What is under way has failed, or nobody heard of it: it must not block this.
        if (offering.signalingState === "have-local-offer") await offering.setLocalDescription({ type: "rollback" });
        await offering.setLocalDescription(await offering.createOffer({ iceRestart: true }));
      } else await offering.setLocalDescription();
      if (offering === pc) await tell(offering);
    } catch {
      // closed, or a turn of the state in between: the next attempt comes
    } finally {
      making = false;
    }
  }

  async function tell(telling: RTCPeerConnection, re?: number): Promise<void> {
    const local = telling.localDescription;
    if (!local) return;
    const n = ++count;
    if (local.type === "offer") pending = n;
    const description: Description = { type: local.type, sdp: local.sdp, pc: mine, n, re };
    o.send({ description: { ...(await o.extension?.sending(description)), ...description } });
  }

  async function take(description: Description | undefined, candidate: RTCIceCandidateInit | null | undefined) {
    if (candidate?.candidate) {
      held.push(candidate);
      if (held.length > HELD) held.shift();
    }
    if (description) await apply(description);
    release();
  }

  async function apply(description: Description): Promise<void> {
    const { type, sdp = "", n, re } = description;
    const isOffer = type === "offer";
    const from = description.pc ?? /fingerprint:(.*)/.exec(sdp)?.[1];
    if (isOffer && (!pc || (!isInitiator && theirs !== undefined && theirs !== from))) {
      fresh();
      again();
    }
    const taking = pc;
    if (!taking) return;
    const isFree = taking.signalingState === "stable";
    // Both offered at once: the initiator's stands, the joiner's is rolled back by the browser.
    if (isOffer ? isInitiator && (making || !isFree) : isFree || (re !== undefined && re !== pending)) return;
    o.extension?.received(description);
    await taking.setRemoteDescription({ type, sdp });
    theirs = from;
    release();
    if (!isOffer || taking !== pc) return;
    await taking.setLocalDescription();
    if (taking === pc) await tell(taking, n);
  }

  /** Adds the candidates whose description is there. */
  function release(): void {
    const sdp = pc?.remoteDescription?.sdp;
    if (!sdp) return;
    held = held.filter((candidate) => {
      const ufrag = candidate.usernameFragment ?? / ufrag (\S+)/.exec(candidate.candidate ?? "")?.[1];
      if (ufrag && !sdp.includes(`ice-ufrag:${ufrag}\r\n`)) return true;
      pc?.addIceCandidate(candidate).catch(() => {}); // one that this browser can't use is no harm
      return false;
    });
  }
}
