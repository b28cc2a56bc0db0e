/** A connection for those who don't wait their turn: bytes go out as they are, and all that comes back is kept. */
import { closeCode, OP, takeFrame } from "./frames.ts";
import { RawClient } from "./raw.ts";

/**
 * Writes the pieces to a bare TCP connection, each in its own turn of the loop, then ends it: with FIN, behind which
 * it still listens, or with RST.
 * @returns everything that came back until the other side had ended it too
 */
export async function pour(port: number, pieces: readonly Uint8Array[], ending: "FIN" | "RST"): Promise<Buffer> {
  const client = await RawClient.dial(port, { isHalfOpen: true });
  for (const piece of pieces) {
    await client.writeAll(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (ending === "RST") client.end(true);
  else client.finish();
  return client.rest();
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
  for (let left = bytes; left.length > 0; ) {
    const taken = takeFrame(left);
    if (taken === null) throw new Error("half a frame");
    const { opcode, payload } = taken.value;
    if (close || !taken.isPlain) throw new Error("a frame that is none");
    if (opcode === OP.text) texts.push(payload.toString());
    else if (opcode === OP.pong) pongs.push(payload.toString("latin1"));
    else if (opcode === OP.close) close = { code: closeCode(taken.value), reason: payload.subarray(2).toString() };
    else if (opcode !== OP.ping) throw new Error(`a frame that begins with ${opcode}`);
    left = left.subarray(taken.used);
  }
  return { texts, pongs, close };
}
