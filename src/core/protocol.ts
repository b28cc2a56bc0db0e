/**
 * The wire: everything that may cross the socket, and nothing else. docs/PROTOCOL.md says the same at length.
 *
 * One WebSocket (RFC 6455), taken on any path. Every message is one text frame that holds one JSON object:
 *   peer → relay    {"type":"join","sessionCode":C,"isInitiator":B,"token":T,"instance":I,"answers":B}  take this role
 *                   {"type":"offer","sessionCode":C,"offer":{…},"pairing":N}   relayed to the other peer; the same with
 *                   {"type":"answer",…,"answer":{…}}, {"type":"ice-candidate",…,"candidate":{…}} (or null), and
 *                   {"type":"signal",…,"data":…}
 *                   {"type":"leave"}, {"type":"ping"}, {"type":"pong"}    give the seat up; answered with pong; a probe's answer
 *   relay → peer    {"type":"joined","token":T,"expiresInMs":N,"opposite":B}   the join was taken; T proves it later
 *                   {"type":"ready","pairing":N,"peer":I}         the second seat was filled; to both
 *                   {"type":"peer-left"}, {"type":"probe"}, {"type":"pong"}   the other seat fell free; asks for a pong; to a ping
 *                   {"type":"error","code":E,"message":M,"retry":B,"retryAfterMs":N,"field":F}   see ERRORS
 * A session has two seats. Its code is made by the clients and is a secret. A relayed message is parsed to check it, and
 * passed on byte for byte, in order. This file is pure. It never keeps, prints or throws any part of what it was given.
 */
import { isObject, readStrict } from "./json.ts";

/** Every way a peer can be told no: its name for wire, log and docs, its close code if it ends the peer, whether the same
 * may be tried again (on a new socket where this one is closed), and its words. */
export const ERRORS = {
  "bad-message": { close: 4505, retry: false, message: "This is not a message of the protocol." },
  "not-joined": { close: null, retry: false, message: "Join a session first." },
  "already-joined": { close: null, retry: false, message: "This socket has joined a session already." },
  "wrong-session": { close: null, retry: false, message: "This is not the session that was joined." },
  stale: { close: null, retry: false, message: "The peer opposite is not the one that this was meant for." },
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

export const FORGIVEN_BAD_MESSAGES = 5; // on one socket; the next one closes it
export type ErrorName = keyof typeof ERRORS;

/** What a peer may send that is passed on, and under which name it carries what is for the other. */
export const PAYLOADS = { offer: "offer", answer: "answer", "ice-candidate": "candidate", signal: "data" } as const;
export type RelayedType = keyof typeof PAYLOADS;

export interface JoinMessage {
  readonly type: "join";
  readonly sessionCode: string;
  readonly isInitiator: boolean;
  readonly token: string | null;
  readonly instance: string | null; // which page this is; who names it hears of the other's in its `ready`
  readonly answers: boolean; // a probe, by a message: its browser answers pings though no page is there
}
export interface RelayedMessage {
  readonly type: RelayedType;
  readonly sessionCode: string;
  readonly pairing: number | null; // for which ready it is meant; null: for any
}
export type ClientMessage = JoinMessage | RelayedMessage | { type: "leave" } | { type: "ping" } | { type: "pong" };
/** What was wrong with a message: no JSON as it has to be, or the first field that is not what it has to be. */
export type Field = "json" | keyof JoinMessage | keyof RelayedMessage | (typeof PAYLOADS)[RelayedType];

export const PEER_LEFT = '{"type":"peer-left"}';
export const PONG = '{"type":"pong"}';
export const PROBE = '{"type":"probe"}';

/** The `joined` message. `token`: 128 random bits; `expiresInMs`: idle time after which the session ends. */
export function joined(token: string, expiresInMs: number, hasOpposite: boolean): string {
  return `{"type":"joined","token":"${token}","expiresInMs":${expiresInMs},"opposite":${hasOpposite}}`;
}

/** The `ready` of one peer, with pairing and the other's instance where it named its own; `more`: members as JSON. */
export function ready(pairing: number | null, other: string | null, more = ""): string {
  const asked = pairing === null ? "" : `,"pairing":${pairing},"peer":${other === null ? null : `"${other}"`}`;
  return `{"type":"ready"${asked}${more}}`;
}

/** The `error` message for `name`, with ms to wait before the next try where known. It never holds what a peer sent. */
export function error(name: ErrorName, retryAfterMs: number | null = null, field: Field | null = null): string {
  const { message, retry } = ERRORS[name];
  const wait = retryAfterMs === null ? "" : `,"retryAfterMs":${retryAfterMs}`;
  const where = field === null ? "" : `,"field":"${field}"`;
  return `{"type":"error","code":"${name}","message":"${message}","retry":${retry || wait !== ""}${wait}${where}}`;
}

const isName = (value: unknown): value is string => typeof value === "string" && /^[A-Za-z0-9_-]{8,64}$/.test(value);
const isRelayed = (type: unknown): type is RelayedType => typeof type === "string" && Object.hasOwn(PAYLOADS, type);

/** What stands before and after the code of what is relayed, by the first letter of its type. */
const AROUND_CODE = new Map(
  (Object.keys(PAYLOADS) as RelayedType[]).map((type) => {
    return [type[0], { type, before: `{"type":"${type}","sessionCode":"`, after: `","${PAYLOADS[type]}":` }];
  }),
);
/** What that holds, and the end: a browser's candidate, a description, or what the library has sealed; nothing is escaped. */
const PLAIN =
  /\{"(?:candidate|type":"[a-z-]*","sdp|iv":"\d*","sealed)":"[ !#-[\]-~]*"(?:,"sdpMid":"\w*","sdpMLineIndex":\d(?:,"usernameFragment":"[\w+/]*")?)?\}(?:,"pairing":[1-9]\d{0,8})?\}$/y;

/** Reads most of what is relayed in a third of the time, as `parse` would; null: look closer. `code`: of the sender's session. */
export function readPlain(text: string, code: string): RelayedMessage | null {
  const around = AROUND_CODE.get(text[9]);
  if (around === undefined || text.length > 1_000) return null; // what is longer the parser reads as fast
  const { type, before, after } = around;
  const at = before.length + code.length;
  if (!text.startsWith(before) || !text.startsWith(code, before.length) || !text.startsWith(after, at)) return null;
  PLAIN.lastIndex = at + after.length;
  if (!PLAIN.test(text)) return null;
  const pairing = text.endsWith("}}") ? null : Number(text.slice(text.lastIndexOf(":") + 1, -1));
  return { type, sessionCode: code, pairing };
}

/** Checks a text (docs/PROTOCOL.md, "Messages"). Returns the message, or the field that makes it none; never throws. */
export function parse(text: string): ClientMessage | Field {
  const value = readStrict(text);
  if (value === null) return "json";
  const { type, sessionCode } = value;
  if (type === "leave" || type === "ping" || type === "pong") return { type };
  if (type !== "join" && !isRelayed(type)) return "type";
  if (!isName(sessionCode)) return "sessionCode";
  if (type === "join") {
    const { isInitiator = false, token = null, instance = null, answers = false } = value;
    if (typeof isInitiator !== "boolean") return "isInitiator";
    if (token !== null && typeof token !== "string") return "token";
    if (instance !== null && !isName(instance)) return "instance";
    if (typeof answers !== "boolean") return "answers";
    return { type, sessionCode, isInitiator, token, instance, answers };
  }
  const payload = value[PAYLOADS[type]];
  const isNothing = payload === null && type === "ice-candidate"; // a browser's end of candidates
  if (!isObject(payload) && !isNothing && (type !== "signal" || payload === undefined)) return PAYLOADS[type];
  const { pairing = null } = value;
  if (pairing !== null && (typeof pairing !== "number" || !Number.isSafeInteger(pairing))) return "pairing";
  return { type, sessionCode, pairing };
}
