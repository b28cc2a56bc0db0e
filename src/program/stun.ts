/**
 * Messages of STUN (RFC 8489) and TURN (RFC 8656), as far as a client needs them to ask for an address and give it back:
 * written, read and signed by the long-term credential. Pure: it knows bytes, and no socket.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** Methods, as they stand in a request. */
export const BINDING = 0x001;
export const ALLOCATE = 0x003;
export const REFRESH = 0x004;
/** What a response adds to its request's method. */
const SUCCESS = 0x100;
const ERROR = 0x110;

const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const ERROR_CODE = 0x0009;
const LIFETIME = 0x000d;
const REALM = 0x0014;
const NONCE = 0x0015;
const XOR_RELAYED_ADDRESS = 0x0016;
const REQUESTED_TRANSPORT = 0x0019;

/** Of UDP, the protocol that an allocation relays (the number of IANA's, in the first of four bytes). */
const RELAYED_UDP = Buffer.from([17, 0, 0, 0]);
/** Lets go of an allocation. */
const NO_TIME = Buffer.alloc(4);

const HEADER_BYTES = 20;
const MAGIC = 0x2112a442;
const INTEGRITY_BYTES = 20;
const SIGNATURE_BYTES = 4 + INTEGRITY_BYTES;

/** What a long-term credential is made of: the server names realm and nonce in its first answer. */
export interface Login {
  readonly username: string;
  readonly password: string;
  readonly realm: Buffer;
  readonly nonce: Buffer;
}

export interface Response {
  /** 0 for success, or the number of the error. */
  readonly error: number;
  readonly realm: Buffer | null;
  readonly nonce: Buffer | null;
  /** Of an allocation, as text. */
  readonly relayed: string | null;
}

/** @param id 12 bytes, by which the answer is known */
export function request(method: number, id: Buffer, login: Login | null): Buffer {
  const attributes: [number, Buffer][] = [];
  if (method === ALLOCATE) attributes.push([REQUESTED_TRANSPORT, RELAYED_UDP]);
  if (method === REFRESH) attributes.push([LIFETIME, NO_TIME]);
  if (login === null) return written(method, id, attributes);
  attributes.push([USERNAME, Buffer.from(login.username)], [REALM, login.realm], [NONCE, login.nonce]);
  const signed = written(method, id, attributes, SIGNATURE_BYTES);
  const signature = createHmac("sha1", keyOf(login)).update(signed).digest();
  return Buffer.concat([signed, attribute(MESSAGE_INTEGRITY, signature)]);
}

/** How long the message is that begins here, in bytes, once its head has come; null before. */
export function lengthOf(bytes: Buffer): number | null {
  return bytes.length < HEADER_BYTES ? null : HEADER_BYTES + bytes.readUInt16BE(2);
}

/**
 * @param message the whole of it
 * @param login where given, a success has to be signed by it
 * @returns null where it is no answer to this request, or signed by somebody else
 */
export function response(message: Buffer, method: number, id: Buffer, login: Login | null): Response | null {
  if (lengthOf(message) !== message.length || message.readUInt32BE(4) !== MAGIC) return null;
  const type = message.readUInt16BE(0);
  if ((type !== (method | SUCCESS) && type !== (method | ERROR)) || !message.subarray(8, HEADER_BYTES).equals(id))
    return null;
  const attributes = readAttributes(message);
  const value = (name: number) => attributes.get(name)?.value ?? null;
  if (login && type === (method | SUCCESS) && !isSigned(message, attributes.get(MESSAGE_INTEGRITY)?.at, login))
    return null;
  const code = value(ERROR_CODE);
  const number = code && code.length >= 4 ? (code.readUInt8(2) & 7) * 100 + code.readUInt8(3) : -1;
  const relayed = value(XOR_RELAYED_ADDRESS);
  return {
    error: type === (method | ERROR) ? number : 0,
    realm: value(REALM),
    nonce: value(NONCE),
    relayed: relayed && address(relayed, message.subarray(4, HEADER_BYTES)),
  };
}

function keyOf({ username, realm, password }: Login): Buffer {
  return createHash("md5").update(`${username}:`).update(realm).update(`:${password}`).digest();
}

/** @param more bytes that are to follow: a signature covers what is before it, and a length that has it in */
function written(method: number, id: Buffer, attributes: readonly [number, Buffer][], more = 0): Buffer {
  const body = Buffer.concat(attributes.map(([name, value]) => attribute(name, value)));
  const head = Buffer.alloc(8);
  head.writeUInt16BE(method, 0);
  head.writeUInt16BE(body.length + more, 2);
  head.writeUInt32BE(MAGIC, 4);
  return Buffer.concat([head, id, body]);
}

function attribute(name: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  bytes.writeUInt16BE(name, 0);
  bytes.writeUInt16BE(value.length, 2);
  value.copy(bytes, 4);
  return bytes;
}

function readAttributes(message: Buffer): Map<number, { readonly at: number; readonly value: Buffer }> {
  const attributes = new Map<number, { at: number; value: Buffer }>();
  for (let at = HEADER_BYTES; at + 4 <= message.length; ) {
    const [name, length] = [message.readUInt16BE(at), message.readUInt16BE(at + 2)];
    if (!attributes.has(name)) attributes.set(name, { at, value: message.subarray(at + 4, at + 4 + length) });
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return attributes;
}

function isSigned(message: Buffer, at: number | undefined, login: Login): boolean {
  const signature = at === undefined ? null : message.subarray(at + 4, at + 4 + INTEGRITY_BYTES);
  if (at === undefined || signature?.length !== INTEGRITY_BYTES) return false;
  const covered = Buffer.from(message.subarray(0, at));
  covered.writeUInt16BE(at - HEADER_BYTES + SIGNATURE_BYTES, 2);
  return timingSafeEqual(createHmac("sha1", keyOf(login)).update(covered).digest(), signature);
}

/** @param mask the magic and the id, with which an address is combined so that no middlebox rewrites it */
function address(value: Buffer, mask: Buffer): string {
  const bytes = value.subarray(4).map((byte, i) => byte ^ (mask[i] ?? 0));
  if (bytes.length === 4) return bytes.join(".");
  const words = Array.from(
    { length: bytes.length / 2 },
    (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0),
  );
  return words.map((word) => word.toString(16)).join(":");
}
