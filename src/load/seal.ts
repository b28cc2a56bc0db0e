/**
 * What makes each message of the load tester one that can be told from all others: its number, who sent it, the session
 * it belongs to, and a checksum over all of it, inside the wire's own payload. Made once as bytes in which only the
 * session code, the number and the checksum are written anew. Pure.
 */
import { frame, OP } from "./frames.ts";
import { CODE, NUMBER, type Role, SEAL_MARK, type SealedKind, SUM, type Wire } from "./wire.ts";

const HEX = Buffer.from("0123456789abcdef");
const DIGITS = 8;
const FNV_BASIS = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** What `read` says of a message that is not as it was sent, and of one that somebody else should have got. */
export const CORRUPTED = -1;
export const MISDELIVERED = -2;

/** One kind of message from one side: makes them, and reads what arrives of them. */
export class Message {
  /** The frame, whole. */
  readonly bytes: Buffer;
  /** Where the text begins in it. */
  readonly #start: number;
  readonly #length: number;
  /** Whether a relay passes the text on byte for byte, so that all of it is under the checksum. */
  readonly #isVerbatim: boolean;
  /** In the text: where what is written anew stands, and where the filling ends. */
  readonly #codes: readonly number[];
  readonly #sum: number;
  readonly #number: number;
  readonly #sender: number;
  readonly #sealedCode: number;
  readonly #end: number;

  constructor(wire: Wire, kind: SealedKind, from: Role, sizeBytes: number) {
    const text = Buffer.from(wire.message(kind, from, sizeBytes));
    this.bytes = frame(OP.text, text);
    this.#length = text.length;
    this.#start = this.bytes.length - text.length;
    this.#isVerbatim = wire.isVerbatim;
    const codes: number[] = [];
    for (let at = text.indexOf(CODE); at >= 0; at = text.indexOf(CODE, at + 1)) codes.push(at);
    this.#codes = codes;
    this.#sum = text.indexOf(SEAL_MARK) + SEAL_MARK.length;
    this.#number = text.indexOf(NUMBER, this.#sum + SUM.length);
    this.#sender = this.#number + DIGITS;
    this.#sealedCode = this.#sender + 1;
    this.#end = text.indexOf('"', this.#sum);
  }

  get sizeBytes(): number {
    return this.#length;
  }

  /** Writes session code, number and checksum into `into`, a copy of the frame. */
  fill(into: Buffer, code: Uint8Array, number: number): Buffer {
    const start = this.#start;
    for (const at of this.#codes) into.set(code, start + at);
    writeHex(into, start + this.#number, number);
    writeHex(into, start + this.#sum, this.#sumOf(into, start, this.#sum, start + this.#length));
    return into;
  }

  /** The frame of one message. Valid until the next call: whoever keeps it copies it. */
  with(code: Uint8Array, number: number): Buffer {
    return this.fill(this.bytes, code, number);
  }

  /**
   * Reads one that arrived: `bytes` from `start` to `end`, at a peer of the session of `code`.
   * @returns its number, or CORRUPTED or MISDELIVERED
   */
  read(bytes: Uint8Array, start: number, end: number, code: Uint8Array): number {
    const sum = this.#isVerbatim ? this.#sum : this.#find(bytes, start, end);
    if (sum < 0 || (this.#isVerbatim && end - start !== this.#length)) return CORRUPTED;
    if (start + sum + this.#end - this.#sum > end) return CORRUPTED;
    if (readHex(bytes, start + sum) !== this.#sumOf(bytes, start, sum, end)) return CORRUPTED;
    const moved = start + sum - this.#sum;
    if (bytes[moved + this.#sender] !== this.bytes[this.#start + this.#sender]) return MISDELIVERED;
    const sealed = moved + this.#sealedCode;
    for (let i = 0; i < code.length; i++) if (bytes[sealed + i] !== code[i]) return MISDELIVERED;
    return readHex(bytes, moved + this.#number);
  }

  /** Of all but itself, where the text stays as it is; else of what follows it in the filling. */
  #sumOf(bytes: Uint8Array, start: number, sum: number, end: number): number {
    const after = start + sum + DIGITS;
    if (!this.#isVerbatim) return fnv1a(bytes, after, start + sum + this.#end - this.#sum, FNV_BASIS);
    return fnv1a(bytes, after, end, fnv1a(bytes, start, start + sum, FNV_BASIS));
  }

  /** Where the checksum stands in a text that a relay has written anew; -1 where it doesn't. */
  #find(bytes: Uint8Array, start: number, end: number): number {
    const at = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).indexOf(SEAL_MARK);
    return at < 0 ? at : at + SEAL_MARK.length;
  }
}

/** Several messages that leave in one write, numbered from 0. */
export class Train {
  readonly #bytes: Buffer;
  readonly #parts: readonly (readonly [Message, Buffer])[];

  constructor(messages: readonly Message[]) {
    this.#bytes = Buffer.concat(messages.map(({ bytes }) => bytes));
    let at = 0;
    this.#parts = messages.map((message) => {
      const start = at;
      at += message.bytes.length;
      return [message, this.#bytes.subarray(start, at)] as const;
    });
  }

  /** All frames. Valid until the next call: whoever keeps them copies them. */
  with(code: Uint8Array): Buffer {
    this.#parts.forEach(([message, bytes], number) => {
      message.fill(bytes, code, number);
    });
    return this.#bytes;
  }
}

/**
 * The 32-bit FNV-1a hash of `bytes` from `from` to `to`, going on from `hash`. A change of one byte always changes it. It
 * is a loop, since a native checksum wants a view of its own of what came, which costs a socket's buffer far more.
 */
function fnv1a(bytes: Uint8Array, from: number, to: number, hash: number): number {
  let value = hash;
  for (let at = from; at < to; at++) value = Math.imul(value ^ (bytes[at] ?? 0), FNV_PRIME);
  return value >>> 0;
}

function writeHex(bytes: Uint8Array, at: number, value: number): void {
  for (let digit = DIGITS - 1, rest = value; digit >= 0; digit--, rest >>>= 4) bytes[at + digit] = HEX[rest & 15] ?? 0;
}

/** The number that 8 lower-case hex digits write; -1 where they don't. */
function readHex(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let i = at; i < at + DIGITS; i++) {
    const byte = bytes[i] ?? 0;
    const digit = byte >= 48 && byte <= 57 ? byte - 48 : byte >= 97 && byte <= 102 ? byte - 87 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}
