/**
 * The wire: everything that may cross the socket, and nothing else. docs/PROTOCOL.md says the same at length.
 *
 * One WebSocket (RFC 6455), taken on any path. Every message is one text frame that holds one JSON object:
 *
 *   peer → relay    {"type":"join","sessionCode":C,"isInitiator":B}        take this role in this session
 *                   {"type":"offer","sessionCode":C,"offer":{…}}           relayed to the other peer
 *                   {"type":"answer","sessionCode":C,"answer":{…}}         relayed to the other peer
 *                   {"type":"ice-candidate","sessionCode":C,"candidate":{…}}  relayed to the other peer
 *                   {"type":"leave"}                                       give the seat up, then close
 *                   {"type":"ping"}                                        answered with pong
 *   relay → peer    {"type":"joined","token":T,"expiresInMs":N}            the join was taken
 *                   {"type":"ready"}                                       the second seat was filled; to both
 *                   {"type":"peer-left"}                                   the other seat fell free
 *                   {"type":"pong"}
 *                   {"type":"error","code":E,"message":M}                  E and its close code: ERRORS below
 *
 * A session has two seats, initiator and joiner. Its code is made by the clients and is a secret. A relayed
 * message is parsed to check it and then passed on byte for byte, in order; it is never rebuilt.
 *
 * This file is pure. It never keeps, prints or throws any part of what it was given.
 */

/**
 * Every way a peer can be told no: one name for wire, log and docs; the code it is closed with, or null where it
 * may go on; and its words. 4500 to 4999 will fail again if tried again.
 */
export const ERRORS = {
  "bad-message": { close: 4505, message: "This is not a message of the protocol." },
  "not-joined": { close: null, message: "Join a session first." },
  "already-joined": { close: null, message: "This socket has joined a session already." },
  "wrong-session": { close: null, message: "This is not the session that was joined." },
  "no-peer": { close: null, message: "Nobody sits opposite; the message was not delivered." },
  "session-full": { close: 4500, message: "Both seats of this session are held." },
  "role-taken": { close: 4501, message: "This seat is held; the other one is free." },
  "session-expired": { close: 4502, message: "The session was idle for too long." },
  "join-timeout": { close: 4503, message: "No join came in time." },
  "too-large": { close: 1009, message: "The message is too large." },
} as const satisfies Record<string, { close: number | null; message: string }>;

/** So many bad messages are forgiven on one socket; the next one closes it. */
export const FORGIVEN_BAD_MESSAGES = 5;

export type ErrorName = keyof typeof ERRORS;

/** What a peer may send that is passed on; the payload's own name is `candidate` for an ice-candidate. */
export type RelayedType = "offer" | "answer" | "ice-candidate";

export interface JoinMessage {
  readonly type: "join";
  readonly sessionCode: string;
  readonly isInitiator: boolean;
}
export interface RelayedMessage {
  readonly type: RelayedType;
  readonly sessionCode: string;
}
export type ClientMessage = JoinMessage | RelayedMessage | { readonly type: "leave" | "ping" };

export const READY = '{"type":"ready"}';
export const PEER_LEFT = '{"type":"peer-left"}';
export const PONG = '{"type":"pong"}';

/** A payload nests once (an offer holds strings); what nests deeper than this is an attack on a parser. */
const MAX_DEPTH = 8;
const SESSION_CODE = /^[A-Za-z0-9_-]{8,64}$/;

/** The `joined` message. `token`: 128 random bits as text; `expiresInMs`: idle time after which the session ends. */
export function joined(token: string, expiresInMs: number): string {
  return `{"type":"joined","token":"${token}","expiresInMs":${expiresInMs}}`;
}

/** The `error` message for `name`. It never holds anything that a peer sent. */
export function error(name: ErrorName): string {
  return `{"type":"error","code":"${name}","message":"${ERRORS[name].message}"}`;
}

/** Whether `text` takes more than `maxBytes` in UTF-8; counts only where the length leaves it open. */
export function isOver(text: string, maxBytes: number): boolean {
  return text.length * 3 > maxBytes && (text.length > maxBytes || new TextEncoder().encode(text).length > maxBytes);
}

/**
 * Checks one text frame (docs/PROTOCOL.md, "Messages").
 * @returns the message, or null where the text is not a well-formed message; never throws.
 */
export function parse(text: string): ClientMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null; // the parser's error quotes its input: it is dropped here, unseen
  }
  if (!isObject(value) || namesIn(value, 0) !== namesWritten(text)) return null;
  const { type, sessionCode } = value;
  if (type === "leave" || type === "ping") return { type };
  if (typeof sessionCode !== "string" || !SESSION_CODE.test(sessionCode)) return null;
  switch (type) {
    case "join": {
      const { isInitiator = false } = value;
      return typeof isInitiator === "boolean" ? { type, sessionCode, isInitiator } : null;
    }
    case "offer":
    case "answer":
      return isObject(value[type]) ? { type, sessionCode } : null;
    case "ice-candidate":
      return isObject(value["candidate"]) ? { type, sessionCode } : null;
    default:
      return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * How many names the parsed value holds, at all depths; NaN, which equals nothing, where it is no I-JSON
 * (RFC 7493: lone surrogates), nests too deep, or carries a name made to poison a careless receiver.
 */
function namesIn(value: unknown, depth: number): number {
  if (typeof value === "string") return value.isWellFormed() ? 0 : Number.NaN;
  if (typeof value !== "object" || value === null) return 0;
  if (depth === MAX_DEPTH) return Number.NaN;
  let names = 0;
  if (Array.isArray(value)) {
    for (const item of value) names += namesIn(item, depth + 1);
  } else if (isObject(value)) {
    for (const name in value) {
      if (name === "__proto__" || !name.isWellFormed()) return Number.NaN;
      names += 1 + namesIn(value[name], depth + 1);
    }
  }
  return names;
}

/**
 * How many names are written in `text`, which is valid JSON: strings that a colon follows. The parser keeps only
 * the last of two equal names, so more written than parsed means that one stands twice (RFC 7493, section 2.3).
 */
function namesWritten(text: string): number {
  let names = 0;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at + 1)) {
    do at = text.indexOf('"', at + 1);
    while (isEscaped(text, at));
    let next = at + 1;
    while (text.charCodeAt(next) <= 0x20) next++;
    if (text.charCodeAt(next) === 0x3a) names++;
  }
  return names;
}

function isEscaped(text: string, at: number): boolean {
  let backslash = at - 1;
  while (text.charCodeAt(backslash) === 0x5c) backslash--;
  return (at - backslash) % 2 === 0;
}
