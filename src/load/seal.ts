/**
 * What makes each message of the load tester one that can be told from all others: its number, who sent it, the session
 * it belongs to, and a checksum of these, inside the wire's own payload. All else in it is the same in every message of
 * its kind, and is compared with what was sent. Made once as bytes in which only what differs is written anew. Pure.
 */
import { frame, OP, placesOf } from "./frames.ts";
import { CODE, NUMBER, type Role, SEAL_MARK, type SealedKind, SUM, type Wire } from "./wire.ts";

const HEX = Buffer.from("0123456789abcdef");
const DIGITS = 8;
const FNV_BASIS = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** What `read` says of a message that is not as it was sent, and of one that somebody else should have got. */
export const CORRUPTED = -1;
export const MISDELIVERED = -2;

/** The same of a message that is not as it was sent, where its seal is, and so says which one it is. */
export function corrupted(number: number): number {
  return MISDELIVERED - 1 - number;
}

/** Which one is corrupted by what `read` says; null where that can't be told, or where it isn't. */
export function numberOfCorrupted(read: number): number | null {
  return read < MISDELIVERED ? MISDELIVERED - 1 - read : null;
}

/** One kind of message from one side: makes them, and reads what arrives of them. */
export class Message {
  /** The frame, whole. */
  readonly bytes: Buffer;
  /** Where the text begins in it. */
  readonly #start: number;
  readonly #length: number;
  /** Whether a relay passes the text on byte for byte, so that all of it has to be as it was. */
  readonly #isVerbatim: boolean;
  /** In the text: where what is written anew stands. */
  readonly #codes: readonly number[];
  readonly #sum: number;
  readonly #number: number;
  readonly #sender: number;
  readonly #sealedCode: number;
  /** Where the filling ends. */
  readonly #end: number;

  constructor(wire: Wire, kind: SealedKind, from: Role, sizeBytes: number) {
    const text = Buffer.from(wire.message(kind, from, sizeBytes));
    this.bytes = frame(OP.text, text);
    this.#length = text.length;
    this.#start = this.bytes.length - text.length;
    this.#isVerbatim = wire.isVerbatim;
    this.#codes = placesOf(CODE, text);
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
    for (const at of this.#codes) copy(code, into, start + at);
    writeHex(into, start + this.#number, number);
    writeHex(into, start + this.#sum, this.#sumOf(into, start));
    return into;
  }

  /** The frame of one message. Valid until the next call: whoever keeps it copies it. */
  with(code: Uint8Array, number: number): Buffer {
    return this.fill(this.bytes, code, number);
  }

  /**
   * Reads one that arrived: `bytes` from `start` to `end`, at a peer of the session of `code`.
   * @returns its number, or CORRUPTED, `corrupted(number)` or MISDELIVERED
   */
  read(bytes: Buffer, start: number, end: number, code: Uint8Array): number {
    if (this.#isVerbatim && end - start === this.#length) {
      const number = readHex(bytes, start + this.#number);
      if (number >= 0 && this.#isWhole(bytes, start, code, number)) return number;
    }
    const text = this.#find(bytes, start, end);
    if (text === null || text + this.#sealedCode + CODE.length > end) return CORRUPTED;
    if (readHex(bytes, text + this.#sum) !== this.#sumOf(bytes, text)) return CORRUPTED;
    if (bytes[text + this.#sender] !== this.bytes[this.#start + this.#sender]) return MISDELIVERED;
    for (let i = 0; i < code.length; i++) if (bytes[text + this.#sealedCode + i] !== code[i]) return MISDELIVERED;
    const number = readHex(bytes, text + this.#number);
    return !this.#isVerbatim && this.#isFilled(bytes, text, end) ? number : corrupted(number);
  }

  /** Whether it is just what was sent: one comparison with it made anew, and nearly always the only one. */
  #isWhole(bytes: Buffer, text: number, code: Uint8Array, number: number): boolean {
    const sent = this.with(code, number);
    return bytes.compare(sent, this.#start, sent.length, text, text + this.#length) === 0;
  }

  /** Of number, sender and session, which stand behind each other. */
  #sumOf(bytes: Uint8Array, text: number): number {
    return fnv1a(bytes, text + this.#number, text + this.#sealedCode + CODE.length);
  }

  /** Whether the filling is as it was sent. A view of a socket's buffer would cost more than comparing it. */
  #isFilled(bytes: Buffer, text: number, end: number): boolean {
    if (text + this.#end > end) return false;
    const from = this.#sealedCode + CODE.length;
    const [sentFrom, sentEnd] = [this.#start + from, this.#start + this.#end];
    return this.bytes.compare(bytes, text + from, text + this.#end, sentFrom, sentEnd) === 0;
  }

  /** Where the text would begin, judged by its seal: of one that a relay has written anew, or harmed; null where it has none. */
  #find(bytes: Buffer, start: number, end: number): number | null {
    const at = bytes.indexOf(SEAL_MARK, start, "latin1");
    return at < 0 || at >= end ? null : at + SEAL_MARK.length - this.#sum;
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

/** The 32-bit FNV-1a hash of `bytes` from `from` to `to`. A change of one byte always changes it. */
function fnv1a(bytes: Uint8Array, from: number, to: number): number {
  let value = FNV_BASIS;
  for (let at = from; at < to; at++) value = Math.imul(value ^ (bytes[at] ?? 0), FNV_PRIME);
  return value >>> 0;
}

/** Few bytes are sooner written one by one than by a call into the runtime. */
function copy(from: Uint8Array, into: Uint8Array, at: number): void {
  for (let i = 0; i < from.length; i++) into[at + i] = from[i] ?? 0;
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
