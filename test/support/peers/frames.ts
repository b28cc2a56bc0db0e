/** WebSocket frames by hand (RFC 6455, section 5.2), so that a test can send what a well-behaved client can't. */
export const OP = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** A frame of the relay's, as it came. */
export interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** One masked client frame. */
export function frame(opcode: number, payload: string | Uint8Array, fin = true): Buffer {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(bytes.length < 126 ? 2 : bytes.length < 65_536 ? 4 : 10);
  head[0] = (fin ? 0x80 : 0) | opcode;
  head[1] = 0x80 | (head.length === 2 ? bytes.length : head.length === 4 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(bytes.length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(bytes.length), 2);
  const mask = crypto.getRandomValues(new Uint8Array(4));
  return Buffer.concat([head, mask, bytes.map((byte, i) => byte ^ (mask[i % 4] ?? 0))]);
}

/**
 * The first frame of `bytes`, how many it takes, and whether it is as the relay's must be: not masked, not in fragments,
 * with no reserved bit. Null where it is not whole yet.
 */
export function takeFrame(bytes: Buffer): { value: Frame; used: number; isPlain: boolean } | null {
  const [first = 0, second = 0] = bytes;
  const short = second & 0x7f;
  const start = short === 127 ? 10 : short === 126 ? 4 : 2;
  if (bytes.length < start) return null;
  const length = start === 10 ? Number(bytes.readBigUInt64BE(2)) : start === 4 ? bytes.readUInt16BE(2) : short;
  if (bytes.length < start + length) return null;
  const isPlain = (first & 0xf0) === 0x80 && (second & 0x80) === 0;
  const payload = bytes.subarray(start, start + length);
  return { value: { opcode: first & 0x0f, payload }, used: start + length, isPlain };
}

/** The code of a close frame; 1005 where it has none. */
export function closeCode({ payload }: Frame): number {
  return payload.length < 2 ? 1005 : payload.readUInt16BE(0);
}

export const UPGRADE = [
  "GET / HTTP/1.1",
  "Host: relay",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version: 13",
  "\r\n",
].join("\r\n");
