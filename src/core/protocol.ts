/**
 * The wire: everything that may cross the socket, and nothing else. docs/PROTOCOL.md says the same at length.
 *
 * One WebSocket (RFC 6455), taken on any path. Every message is one text frame that holds one JSON object:
 *
 *   peer → relay    {"type":"join","sessionCode":C,"isInitiator":B,"token":T}  take this role in this session
 *                   {"type":"offer","sessionCode":C,"offer":{…}}           relayed to the other peer
 *                   {"type":"answer","sessionCode":C,"answer":{…}}         relayed to the other peer
 *                   {"type":"ice-candidate","sessionCode":C,"candidate":{…}}  relayed to the other peer
 *                   {"type":"leave"}                                       give the seat up, then close
 *                   {"type":"ping"}                                        answered with pong
 *   relay → peer    {"type":"joined","token":T,"expiresInMs":N}            the join was taken; T proves it later
 *                   {"type":"ready"}                                       the second seat was filled; to both
 *                   {"type":"peer-left"}                                   the other seat fell free
 *                   {"type":"pong"}
 *                   {"type":"error","code":E,"message":M,"retry":B,"retryAfterMs":N} E and what it means: ERRORS below
 *
 * A session has two seats, initiator and joiner. Its code is made by the clients and is a secret. A relayed
 * message is parsed to check it and then passed on byte for byte, in order; it is never rebuilt.
 *
 * This file is pure. It never keeps, prints or throws any part of what it was given.
 */

import { isObject, readStrict } from "./json.ts";

/**
 * Every way a peer can be told no: one name for wire, log and docs; the code it is closed with, or null where it may go
 * on; whether the same may be tried again, on a new socket where this one is closed; and its words.
 */
export const ERRORS = {
  "bad-message": { close: 4505, retry: false, message: "This is not a message of the protocol." },
  "not-joined": { close: null, retry: false, message: "Join a session first." },
  "already-joined": { close: null, retry: false, message: "This socket has joined a session already." },
  "wrong-session": { close: null, retry: false, message: "This is not the session that was joined." },
  "no-peer": { close: null, retry: true, message: "Nobody sits opposite; the message was not delivered." },
  "session-full": { close: 4500, retry: false, message: "Both seats of this session are held." },
  "role-taken": { close: 4501, retry: false, message: "This seat is held; the other one is free." },
  "session-expired": { close: 4502, retry: true, message: "The session was idle for too long." },
  "join-timeout": { close: 4503, retry: true, message: "No join came in time." },
  replaced: { close: 4504, retry: false, message: "The seat was taken by another socket." },
  "too-large": { close: 1009, retry: false, message: "The message is too large." },
  quota: { close: 4506, retry: false, message: "More was sent than a session can need." },
  "rate-limited": { close: 4029, retry: true, message: "Too much was tried in too short a time." },
  slow: { close: 4001, retry: true, message: "What was sent here is not being read." },
  "at-capacity": { close: 1013, retry: true, message: "The relay is full." },
  restarting: { close: 1012, retry: true, message: "The relay is restarting." },
} as const satisfies Record<string, { close: number | null; retry: boolean; message: string }>;

/** So many bad messages are forgiven on one socket; the next one closes it. */
export const FORGIVEN_BAD_MESSAGES = 5;

export type ErrorName = keyof typeof ERRORS;

/** What a peer may send that is passed on; the payload's own name is `candidate` for an ice-candidate. */
export type RelayedType = "offer" | "answer" | "ice-candidate";

export interface JoinMessage {
  readonly type: "join";
  readonly sessionCode: string;
  readonly isInitiator: boolean;
  readonly token: string | null;
}
export interface RelayedMessage {
  readonly type: RelayedType;
  readonly sessionCode: string;
}
export type ClientMessage = JoinMessage | RelayedMessage | { readonly type: "leave" | "ping" };

export const READY = '{"type":"ready"}';
export const PEER_LEFT = '{"type":"peer-left"}';
export const PONG = '{"type":"pong"}';

const SESSION_CODE = /^[A-Za-z0-9_-]{8,64}$/;

/** The `joined` message. `token`: 128 random bits as text; `expiresInMs`: idle time after which the session ends. */
export function joined(token: string, expiresInMs: number): string {
  return `{"type":"joined","token":"${token}","expiresInMs":${expiresInMs}}`;
}

/** The `error` message for `name`, with ms to wait before the next try where known. It never holds what a peer sent. */
export function error(name: ErrorName, retryAfterMs: number | null = null): string {
  const { message, retry } = ERRORS[name];
  const wait = retryAfterMs === null ? "" : `,"retryAfterMs":${retryAfterMs}`;
  return `{"type":"error","code":"${name}","message":"${message}","retry":${retry || wait !== ""}${wait}}`;
}

/**
 * Checks one text frame (docs/PROTOCOL.md, "Messages").
 * @returns the message, or null where the text is not a well-formed message; never throws.
 */
export function parse(text: string): ClientMessage | null {
  const value = readStrict(text);
  if (value === null) return null;
  const { type, sessionCode } = value;
  if (type === "leave" || type === "ping") return { type };
  if (typeof sessionCode !== "string" || !SESSION_CODE.test(sessionCode)) return null;
  switch (type) {
    case "join": {
      const { isInitiator = false, token = null } = value;
      if (typeof isInitiator !== "boolean" || !(token === null || typeof token === "string")) return null;
      return { type, sessionCode, isInitiator, token };
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
