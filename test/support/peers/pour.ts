/** A connection for those who don't wait their turn: bytes go out as they are, and all that comes back is kept. */
import { OP } from "./raw.ts";

/**
 * Writes the pieces to a bare TCP connection, each in its own turn of the loop, then ends it: with FIN, behind which
 * it still listens, or with RST.
 * @returns everything that came back until the other side had ended it too
 */
export async function pour(port: number, pieces: readonly Uint8Array[], ending: "FIN" | "RST"): Promise<Buffer> {
  const received: Buffer[] = [];
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  let isOpen = true;
  function end(): void {
    isOpen = false;
    close();
    writable();
  }
  let writable = () => {};
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    allowHalfOpen: true,
    socket: {
      data: (_socket, data) => void received.push(Buffer.from(data)),
      drain: () => writable(),
      close: end,
      error: end,
    },
  });
  for (const piece of pieces) {
    for (let at = 0; isOpen && at < piece.length; ) {
      const { promise, resolve } = Promise.withResolvers<void>();
      writable = resolve;
      at += Math.max(0, socket.write(piece.subarray(at)));
      if (at < piece.length) await promise;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (ending === "RST") socket.terminate();
  else socket.shutdown();
  await closed;
  return Buffer.concat(received);
}

/** What the relay said over an upgraded connection. */
export interface Said {
  readonly texts: string[];
  readonly pongs: string[];
  /** The code and the reason of its close frame, if there was one. */
  readonly close: { readonly code: number; readonly reason: string } | null;
}

/**
 * Takes the relay's frames apart.
 * @throws Error where they are not whole, unmasked, unfragmented frames of a known kind, the close frame last
 */
export function framesOf(bytes: Buffer): Said {
  const texts: string[] = [];
  const pongs: string[] = [];
  let close: Said["close"] = null;
  for (let at = 0; at < bytes.length; ) {
    const short = (bytes[at + 1] ?? 0) & 0x7f;
    const start = at + (short === 127 ? 10 : short === 126 ? 4 : 2);
    if (bytes.length < start) throw new Error("half a frame header");
    const length =
      short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short === 126 ? bytes.readUInt16BE(at + 2) : short;
    const payload = bytes.subarray(start, start + length);
    const first = bytes[at] ?? 0;
    if (close || payload.length < length || ((bytes[at + 1] ?? 0) & 0x80) !== 0)
      throw new Error("a frame that is none");
    if (first === (0x80 | OP.text)) texts.push(payload.toString());
    else if (first === (0x80 | OP.pong)) pongs.push(payload.toString("latin1"));
    else if (first === (0x80 | OP.close))
      close = { code: length < 2 ? 1005 : payload.readUInt16BE(0), reason: payload.subarray(2).toString() };
    else if (first !== (0x80 | OP.ping)) throw new Error(`a frame that begins with ${first}`);
    at = start + length;
  }
  return { texts, pongs, close };
}
