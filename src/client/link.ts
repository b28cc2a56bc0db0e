/**
 * One relay: its socket, the seat on it, and how both are come by again. Owns the seat's token, in memory only: a
 * duplicated tab would copy it out of any storage. Knows nothing of what is relayed.
 */
import { mayRetry, pause } from "./backoff.ts";
import type { Role } from "./types.ts";

/** A socket that has not joined by then is given up, in ms. A relay may take 5 s to decide about a ghost. */
const JOIN_MS = 15_000;
/** A socket that says nothing to a ping for so long is dead, in ms, though it looks open after a sleep. */
const PONG_MS = 2_000;
/** Who waits alone dials again after so long, and up to half as much more, in ms: its socket may have died unseen. */
const REDIAL_MS = 60_000;
/** A socket that lived for so long was well, in ms: its end is a new trouble, not one more of the old. */
const WELL_MS = 5_000;

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

export interface LinkOptions {
  readonly WebSocket: new (url: string) => WebSocket;
  readonly url: string;
  /** What the join says besides seat and token, as soon as it is known. */
  readonly identity: Promise<object>;
  readonly role: Role | undefined;
  /** The seat to try first. */
  readonly isInitiator: boolean;
  /** Whether the peers are connected, so that a relay is no matter of haste. */
  isUp(): boolean;
  /** What the relay said, but for what is between it and this link. */
  heard(link: Link, message: Message): void;
  /** The socket ended; the next try is in `inMs`, or where that is undefined none: see `refusal`. */
  lost(inMs: number | undefined, reason: string | undefined): void;
}

export interface Link {
  readonly isReady: boolean;
  readonly isJoined: boolean;
  readonly isInitiator: boolean;
  /** Whether this relay knows the messages of the second round. */
  readonly isNew: boolean;
  readonly pairing: number | undefined;
  /** Why it was sent away for good. */
  readonly refusal: Message | undefined;
  send(message: object): boolean;
  /** Dials, unless there is a socket or the relay asked for patience. */
  dial(): void;
  /** After a sleep, or when the network is back. */
  wake(): void;
  /** Gives the seat up; without `leaving` only the socket. */
  close(leaving: boolean): void;
}

export function openLink(o: LinkOptions): Link {
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let pingTimer: ReturnType<typeof setTimeout> | undefined;
  let token: string | undefined;
  let tries = 0;
  let flips = 0;
  let joinedAt = 0;
  let notBefore = 0;
  let told: Message | undefined;

  const link = {
    isReady: false,
    isJoined: false,
    isInitiator: o.isInitiator,
    isNew: false,
    pairing: undefined as number | undefined,
    refusal: undefined as Message | undefined,
    send(message: object): boolean {
      if (socket?.readyState !== 1) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
    dial(): void {
      if (!socket && Date.now() >= notBefore) dial();
    },
    wake(): void {
      link.dial();
      const asked = socket;
      if (!link.send({ type: "ping" })) return;
      clearTimeout(pingTimer);
      pingTimer = setTimeout(() => asked === socket && dial(), PONG_MS);
    },
    close(leaving: boolean): void {
      clearTimeout(timer);
      if (leaving) link.send({ type: "leave" });
      drop();
    },
  };
  return link;

  function later(ms: number, act: () => void): void {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  }

  /** Lets go of the socket: nothing that it still says is heard. */
  function drop(): void {
    const old = socket;
    socket = undefined;
    clearTimeout(pingTimer);
    link.isReady = link.isJoined = false;
    link.pairing = undefined;
    old?.close();
  }

  function dial(): void {
    drop();
    link.refusal = told = undefined;
    joinedAt = 0;
    const mine = new o.WebSocket(o.url);
    socket = mine;
    mine.onopen = () =>
      o.identity.then(
        (identity) => mine === socket && link.send({ type: "join", isInitiator: link.isInitiator, token, ...identity }),
        () => {}, // then the session has failed
      );
    mine.onmessage = ({ data }) => {
      if (mine === socket) take(data);
    };
    mine.onclose = ({ code, reason }) => {
      if (mine === socket) lost(code, reason);
    };
    later(JOIN_MS, () => lost(0));
  }

  function take(text: string): void {
    let message: Message;
    try {
      message = Object(JSON.parse(text));
    } catch {
      return; // not a relay's message, and nothing that it holds is repeated
    }
    switch (message.type) {
      case "joined":
        token = message.token;
        joinedAt = Date.now();
        flips = 0;
        link.isJoined = true;
        link.isNew = message.opposite !== undefined;
        redial();
        break;
      case "ready":
        clearTimeout(timer);
        link.isReady = true;
        link.pairing = message.pairing;
        break;
      case "peer-left":
        link.isReady = false;
        redial();
        break;
      case "pong":
        clearTimeout(pingTimer);
        break;
      case "probe":
        link.send({ type: "pong" });
        break;
      case "error":
        told = message;
    }
    o.heard(link, message);
  }

  function redial(): void {
    later(REDIAL_MS * (1 + Math.random() / 2), () => (o.isUp() ? redial() : dial()));
  }

  function lost(code: number, name?: string): void {
    if (joinedAt && Date.now() - joinedAt > WELL_MS) tries = 0;
    drop();
    clearTimeout(timer);
    const { retry, retryAfterMs = 0 } = told?.code === name ? (told ?? {}) : {};
    // The seat is held, or was given to another. In the other one a ghost of this very client may sit.
    const isHeld = !o.role && (code === 4501 || ((code === 4500 || code === 4504) && flips++ < 1));
    if (isHeld) {
      link.isInitiator = !link.isInitiator;
      token = undefined;
    } else if (code === 4502 && o.isUp()) {
      return; // joined again when a restart of ICE needs it
    } else if (!mayRetry(code, retry)) {
      link.refusal = told ?? { type: "error", code: `closed-${code}` };
      o.lost(undefined, name);
      return;
    }
    const inMs = pause(tries++, retryAfterMs, (isHeld && tries === 1) || code === 4502 ? 0 : Math.random());
    notBefore = retryAfterMs && Date.now() + inMs;
    later(inMs, dial);
    o.lost(inMs, name);
  }
}
