/** What a caller of the library meets: options, session, events, the error. Types only; docs/CLIENT.md says it at length. */

export type Role = "initiator" | "joiner";

/** Something to be told to the other peer. In `connect({ connection: false })` the caller sends and takes these itself. */
export type Signal =
  | { readonly description: RTCSessionDescriptionInit }
  | { readonly candidate: RTCIceCandidateInit | null }
  | { readonly data: unknown };

export interface ConnectOptions {
  /** The relay, or several: the peers then meet on the one that their code ranks first. */
  readonly url: string | readonly string[];
  /** What the two share. Without one, a code for a link is made: see `session.code`. */
  readonly code?: string;
  /** Which seat to take; without it, whichever is free. */
  readonly role?: Role;
  /** False speaks the plain wire, for peers that know only that: the relay then reads along. */
  readonly sealed?: boolean;
  /** False says nothing in the URL that helps a balancer, and connects while the keys are still being derived. */
  readonly hint?: boolean;
  /** False leaves the peer connection to the caller: `signal` events come, `session.signal` sends. */
  readonly connection?: boolean;
  /** For every RTCPeerConnection. What the relay hands out as iceServers is added. */
  readonly rtc?: RTCConfiguration;
  /** For the data channel, which the initiator opens: give it to both peers alike. */
  readonly channel?: Omit<RTCDataChannelInit, "negotiated" | "id">;
  /** Called with each new RTCPeerConnection before its first offer or answer: add tracks and listeners here. */
  readonly setup?: (connection: RTCPeerConnection, isInitiator: boolean) => void;
  /** What to add to a description before it is sent, as members beside `type` and `sdp`: see whisper-signaling/words. */
  readonly sending?: (description: RTCSessionDescriptionInit) => Promise<object>;
  /** Called with each description that came, before it is applied. */
  readonly received?: (description: RTCSessionDescriptionInit) => void;
  /** How long to be alone before it fails with no-peer or no-relay, in ms. Infinity waits for ever. */
  readonly waitMs?: number;
  /** How long two peers who have met may take for their first connection, in ms, before it fails. */
  readonly connectMs?: number;
  /** Closes the session. */
  readonly signal?: AbortSignal;
  /** Where the platform has none: Node, Bun, Deno. */
  readonly RTCPeerConnection?: new (
    configuration?: RTCConfiguration,
  ) => RTCPeerConnection;
  readonly WebSocket?: new (url: string) => WebSocket;
}

/** Why a session failed; or the name of the relay's error, docs/PROTOCOL.md. */
export type Reason =
  | "bad-code"
  | "unsupported"
  | "no-relay"
  | "no-peer"
  | "no-answer"
  | "no-path"
  | "closed"
  | (string & {});

export interface Connected {
  readonly connection: RTCPeerConnection;
  /** Open. */
  readonly channel: RTCDataChannel;
}

export interface SessionEvents {
  /** Alone at the relay. `opposite`, false, means nobody is there yet; undefined, that an older relay doesn't say. */
  waiting: CustomEvent<{ readonly expiresInMs: number; readonly opposite: boolean | undefined }>;
  /** Both are there. `samePeer`: it is the page that was there before. */
  ready: CustomEvent<{ readonly isInitiator: boolean; readonly samePeer: boolean }>;
  /** The channel is open; again, perhaps with a new one, after an interruption. */
  connected: CustomEvent<Connected>;
  /** The connection is not usable now. It is being mended. */
  interrupted: CustomEvent<null>;
  /** The other has left the relay. It says nothing about a connection that is open. */
  "peer-left": CustomEvent<null>;
  /** The relay is out of reach, or sent this client away; the next try is in `inMs`. `reason` is its error, if it said one. */
  retrying: CustomEvent<{ readonly inMs: number; readonly reason: string | undefined }>;
  /** Told by the other peer through the relay: `data`, and with `connection: false` all of it. */
  signal: CustomEvent<Signal>;
  /** It is over. */
  failed: CustomEvent<SignalingFailure>;
}

export interface SignalingFailure extends Error {
  readonly reason: Reason;
  /** Whether the same call again may succeed. */
  readonly retry: boolean;
}

export type State = "connecting" | "waiting" | "ready" | "connected" | "interrupted" | "failed" | "closed";

export interface Path {
  /** Through a TURN server. */
  readonly relayed: boolean;
  /** Of the way from here: to the TURN server where there is one on this side. */
  readonly protocol: "udp" | "tcp" | "tls";
  readonly local: RTCIceCandidateType;
  readonly remote: RTCIceCandidateType;
  readonly roundTripMs: number | undefined;
}

export interface Session extends EventTarget, AsyncDisposable {
  /** To be told to the other: in the #fragment of a link, in a QR code, or typed. */
  readonly code: string;
  readonly state: State;
  readonly isInitiator: boolean;
  readonly connection: RTCPeerConnection | undefined;
  readonly channel: RTCDataChannel | undefined;
  /** The first connection. Rejects with a SignalingFailure, or with the reason of the AbortSignal. */
  readonly connected: Promise<Connected>;
  /** Tells the other peer through the relay; false where it is not there. */
  signal(signal: Signal): boolean;
  /** A key for the application's own layer, the same in both peers; `bits` of it, for one use named by `label`. */
  exportKey(label: string, bits?: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Looks for a new path. It does so by itself when the connection fails. */
  restart(): void;
  /** Leaves, and hangs up. */
  close(): void;
  addEventListener<T extends keyof SessionEvents>(
    type: T,
    listener: (event: SessionEvents[T]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** Of this library's own objects, whose fields only their callers can't set. */
export type Mutable<T> = { -readonly [K in keyof T]: T[K] };
