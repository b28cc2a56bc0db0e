/** One relay as the session sees it: its times, and what can be had of it. What moves it is in client.ts. */

/** A socket that has not joined by then is given up, in ms. A relay may take 5 s to decide about a ghost. */
export const JOIN_MS = 15_000;
/** A socket that says nothing to a ping for so long is dead, in ms, though it looks open after a sleep. */
export const PONG_MS = 2_000;
/** Who waits alone dials again after so long, and up to half as much more, in ms: its socket may have died unseen. */
export const REDIAL_MS = 60_000;
/**
 * The same for who was not alone before, or came back after its socket had ended: a balancer may by now lead the other
 * to another relay. Once; then it is as patient as any.
 */
export const PARTED_MS = 5_000;

/** What a relay sends. Members that it doesn't know of, an older one leaves out. */
export interface Message {
  readonly type: string;
  readonly token?: string;
  readonly expiresInMs?: number;
  readonly opposite?: boolean;
  readonly pairing?: number;
  readonly peer?: string | null;
  readonly iceServers?: RTCIceServer[];
  readonly code?: string;
  readonly message?: string;
  readonly retry?: boolean;
  readonly retryAfterMs?: number;
  readonly [member: string]: unknown;
}

export interface Link {
  /** Whether somebody sits opposite. */
  _isReady?: boolean;
  _isInitiator: boolean;
  _pairing?: number | undefined;
  /** Whether it was sent away for good. */
  _isRefused?: boolean;
  _send(message: object): boolean;
  /** Dials, unless there is a socket or the relay asked for patience; an open socket has to show that it is alive. */
  _wake(): void;
  /** Lets go of the socket. */
  _close(): void;
}
