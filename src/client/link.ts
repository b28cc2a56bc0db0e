/**
 * One relay: its socket, the seat on it, and how both are come by again. Owns the seat's token, in memory only: a
 * duplicated tab would copy it out of any storage. Knows nothing of what is relayed.
 */
import { mayRetry, pause } from "./backoff.ts";
import { newTimer } from "./tools.ts";
import type { ConnectOptions, Mutable, Session } from "./types.ts";

/** A socket that has not joined by then is given up, in ms. A relay may take 5 s to decide about a ghost. */
const JOIN_MS = 15_000;
/** A socket that says nothing to a ping for so long is dead, in ms, though it looks open after a sleep. */
const PONG_MS = 2_000;
/** Who waits alone dials again after so long, and up to half as much more, in ms: its socket may have died unseen. */
const REDIAL_MS = 60_000;

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
  readonly isReady: boolean;
  readonly isInitiator: boolean;
  readonly pairing: number | undefined;
  /** Whether it was sent away for good. */
  readonly isRefused: boolean;
  send(message: object): boolean;
  /** Dials, unless there is a socket or the relay asked for patience. */
  dial(): void;
  /** After a sleep, or when the network is back. */
  wake(): void;
  /** Lets go of the socket. The seat is given up at once where it is asked to leave. */
  close(isLeaving: boolean): void;
}

/**
 * @param identity what the join says besides seat and token, as soon as it is known
 * @param session whose state says whether the peers are connected, so that a relay is no matter of haste
 * @param heard what the relay said
 * @param lost the socket ended; the next try is in so many ms
 * @param refused the relay sent it away for good
 */
export function openLink(
  url: string,
  { WebSocket = globalThis.WebSocket, role }: ConnectOptions,
  identity: Promise<object>,
  session: Pick<Session, "state" | "isInitiator">,
  heard: (link: Link, message: Message) => void,
  lost: (inMs: number, reason: string) => void,
  refused: (reason: string, message: string) => void,
): Link {
  let socket: WebSocket | undefined;
  let token: string | undefined;
  let tries = 0;
  let flips = 0;
  let notBefore = 0;
  let told: Message | undefined;
  const later = newTimer();
  const unanswered = newTimer();

  const link: Mutable<Link> = {
    isReady: false,
    isInitiator: session.isInitiator,
    pairing: undefined,
    isRefused: false,
    send(message) {
      const isOpen = socket?.readyState === 1;
      if (isOpen) socket?.send(JSON.stringify(message));
      return isOpen;
    },
    dial() {
      if (!socket && Date.now() >= notBefore) dial();
    },
    wake() {
      link.dial();
      if (link.send({ type: "ping" })) unanswered(PONG_MS, dial);
    },
    close(isLeaving) {
      later();
      if (isLeaving) link.send({ type: "leave" });
      drop();
    },
  };
  return link;

  /** Nothing that the socket still says is heard. */
  function drop(): void {
    const old = socket;
    socket = undefined;
    unanswered();
    link.isReady = false;
    old?.close();
  }

  function dial(): void {
    drop();
    link.isRefused = false;
    told = undefined;
    const mine = new WebSocket(url);
    socket = mine;
    mine.onopen = () =>
      identity.then(
        (known) => mine === socket && link.send({ type: "join", isInitiator: link.isInitiator, token, ...known }),
        () => {}, // then the session has failed
      );
    mine.onmessage = ({ data }) => mine === socket && take(data);
    mine.onclose = ({ code, reason }) => mine === socket && ended(code, reason);
    later(JOIN_MS, () => ended(0, ""));
  }

  function take(text: string): void {
    let message: Message;
    try {
      message = Object(JSON.parse(text));
    } catch {
      return; // not a relay's message, and nothing that it holds is repeated
    }
    const { type } = message;
    if (type === "joined") {
      token = message.token;
      flips = 0;
    }
    if (type === "ready") {
      later();
      tries = 0;
      link.isReady = true;
      link.pairing = message.pairing;
    }
    if (type === "peer-left") link.isReady = false;
    if (type === "joined" || type === "peer-left") redial();
    if (type === "pong") unanswered();
    if (type === "probe") link.send({ type: "pong" });
    if (type === "error") told = message;
    heard(link, message);
  }

  function redial(): void {
    later(REDIAL_MS * (1 + Math.random() / 2), () => {
      tries = 0;
      if (session.state === "connected") redial();
      else dial();
    });
  }

  function ended(code: number, reason: string): void {
    later();
    drop();
    const { retry, retryAfterMs = 0, message = "" } = told?.code === reason ? told : ({} as Partial<Message>);
    const isExpired = code === 4502;
    // The seat is held, or was given to another. In the other one a ghost of this very client may sit.
    const isHeld = !role && (code === 4501 || ((code === 4500 || code === 4504) && flips++ < 1));
    if (isHeld) {
      link.isInitiator = !link.isInitiator;
      token = undefined;
    }
    if (isHeld || mayRetry(code, retry)) {
      if (isExpired && session.state === "connected") return; // joined again when a restart of ICE needs it
      const inMs = pause(tries++, retryAfterMs, (isHeld && tries < 2) || isExpired ? 0 : Math.random());
      notBefore = retryAfterMs && Date.now() + inMs;
      later(inMs, dial);
      lost(inMs, reason);
    } else {
      link.isRefused = true;
      refused(reason || `closed-${code}`, message);
    }
  }
}
