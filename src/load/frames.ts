/**
 * RFC 6455 framing as a client of many sockets needs it: frames made once and sent often, and incoming bytes read
 * where they lie, without a string or a copy. It knows nothing of what the frames say.
 */

export const OP = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

const FINAL = 0x80;
const MASKED = 0x80;
/** Lengths from here on are written in two more bytes; `LENGTH_IN_16` and `LENGTH_IN_64` announce them. */
const LENGTH_IN_16 = 126;
const LENGTH_IN_64 = 127;
/** The bit that makes a letter a small one, and leaves a digit as it is. */
const LOWER_CASE = 0x20;
/** More than this, in one frame or put together, is no answer to anything that is sent here. */
const LARGEST_BYTES = 2_097_152;
/** In more frames nobody sends a message, though they may all be empty. */
const MOST_PARTS = 1_000;
const LARGEST_CONTROL_BYTES = 125;
const RESERVED = 0x70;
const FINAL_TEXT = FINAL | OP.text;

/**
 * One frame from a client. Its masking key is zero, so that masking costs nothing here and a frame can be patched in
 * place: that is legal framing, if no protection of proxies, and a relay unmasks it at the same price as any other.
 */
export function frame(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const first = FINAL | opcode;
  if (length < LENGTH_IN_16) return Buffer.concat([Uint8Array.of(first, MASKED | length, 0, 0, 0, 0), payload]);
  const isShort = length <= 0xffff;
  const head = Buffer.alloc(isShort ? 8 : 14);
  head[0] = first;
  head[1] = MASKED | (isShort ? LENGTH_IN_16 : LENGTH_IN_64);
  if (isShort) head.writeUInt16BE(length, 2);
  else head.writeUInt32BE(length, 6);
  return Buffer.concat([head, payload]);
}

/** Bytes made once, in which a text of fixed length is replaced each time that they are sent. */
export class Template {
  readonly #bytes: Buffer;
  readonly #places: readonly number[];
  readonly #ends: readonly number[];
  readonly #endLength: number;

  /**
   * @param hole what is replaced, wherever it stands in `bytes`
   * @param endHole what is replaced by the end of the same, in lower case, as much as there is room for
   */
  constructor(bytes: Uint8Array, hole: string, endHole = "") {
    this.#bytes = Buffer.from(bytes);
    this.#places = placesOf(hole, this.#bytes);
    this.#ends = endHole === "" ? [] : placesOf(endHole, this.#bytes);
    this.#endLength = endHole.length;
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** The bytes with `filling` in the holes. Valid until the next call: whoever keeps them copies them. */
  with(filling: Uint8Array): Buffer {
    for (const place of this.#places) this.#bytes.set(filling, place);
    for (const place of this.#ends)
      for (let i = 0; i < this.#endLength; i++)
        this.#bytes[place + i] = (filling.at(i - this.#endLength) ?? 0) | LOWER_CASE;
    return this.#bytes;
  }
}

/** Wherever `text` stands in `bytes`. */
export function placesOf(text: string, bytes: Buffer): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) places.push(at);
  return places;
}

/** Takes the frames of one socket as they are read. */
export interface FrameSink {
  /**
   * A whole frame, or a message put together; the payload is `bytes` from `start` to `end`, for the time of the call.
   * @returns whether to go on reading
   */
  frame(opcode: number, bytes: Buffer, start: number, end: number): boolean;
  /** What came breaks the protocol: nothing after it can be read. */
  broken(why: string): void;
}

/** Cuts a stream of bytes into frames; keeps only what is unfinished. */
export class FrameReader {
  #held: Buffer | null = null;
  #parts: Buffer[] | null = null;
  #partsBytes = 0;
  #partsOpcode = 0;

  /** Reads what came in, `bytes` from `at` on, and gives every whole frame to `sink`. */
  read(bytes: Buffer, at: number, sink: FrameSink): void {
    let buffer = bytes;
    let start = at;
    if (this.#held) {
      buffer = Buffer.concat([this.#held, at === 0 ? bytes : bytes.subarray(at)]);
      start = 0;
      this.#held = null;
    }
    while (buffer.length - start >= 2) {
      const first = buffer[start] ?? 0;
      let length = buffer[start + 1] ?? 0;
      let payload = start + 2;
      if (length >= LENGTH_IN_16) {
        const isMasked = length >= MASKED; // only clients mask
        payload += length === LENGTH_IN_16 ? 2 : 8;
        if (payload > buffer.length) break;
        length = bigEndian(buffer, start + 2, payload);
        if (isMasked || length > LARGEST_BYTES) {
          sink.broken(isMasked ? "a masked frame" : `a frame of ${length} bytes`);
          return;
        }
      }
      const wrong = first === FINAL_TEXT && !this.#parts ? null : this.#wrongWith(first, length);
      if (wrong !== null) {
        sink.broken(wrong);
        return;
      }
      const end = payload + length;
      if (end > buffer.length) break;
      const goesOn =
        first & FINAL && first & 0x0f
          ? sink.frame(first & 0x0f, buffer, payload, end)
          : this.#gather(first, Buffer.from(buffer.subarray(payload, end)), sink);
      if (!goesOn) return;
      start = end;
    }
    if (start < buffer.length) this.#held = Buffer.from(buffer.subarray(start));
  }

  /** What is wrong with how a frame begins, in words; null where nothing is. */
  #wrongWith(first: number, length: number): string | null {
    const opcode = first & 0x0f;
    if (first & RESERVED) return "a frame with a reserved bit";
    if (opcode >= OP.close) {
      if (opcode > OP.pong) return `a frame of opcode ${opcode}`;
      return first & FINAL && length <= LARGEST_CONTROL_BYTES ? null : "a control frame that is cut or too long";
    }
    if (opcode > OP.binary) return `a frame of opcode ${opcode}`;
    if (opcode === OP.continuation && !this.#parts) return "a continuation of nothing";
    if (opcode !== OP.continuation && this.#parts) return "a message within another one";
    if (this.#partsBytes + length > LARGEST_BYTES) return `a message of more than ${LARGEST_BYTES} bytes`;
    return this.#parts && this.#parts.length >= MOST_PARTS ? `a message in more than ${MOST_PARTS} frames` : null;
  }

  /** A message in several frames; relays hardly send one, but may. */
  #gather(first: number, payload: Buffer, sink: FrameSink): boolean {
    if (!this.#parts) this.#partsOpcode = first & 0x0f;
    this.#parts ??= [];
    this.#parts.push(payload);
    this.#partsBytes += payload.length;
    if (!(first & FINAL)) return true;
    const whole = Buffer.concat(this.#parts);
    this.#parts = null;
    this.#partsBytes = 0;
    return sink.frame(this.#partsOpcode, whole, 0, whole.length);
  }
}

function bigEndian(bytes: Uint8Array, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) value = value * 256 + (bytes[at] ?? 0);
  return value;
}
