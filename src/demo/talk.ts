/**
 * What the two say over their channel: texts, and files in pieces. Owns what is half sent and half received.
 *
 *   {"say":"text"}                        a message
 *   {"file":{"name":"…","size":N}}        N bytes follow, in binary messages, and nothing else of theirs in between
 */
import { drain } from "../client/channel.ts";

/** A piece of a file: a size that every browser takes. */
const PIECE_BYTES = 16 * 1_024;
/** A file is put together in memory. */
export const LARGEST_FILE_BYTES = 100 * 1_048_576;
const LONGEST_NAME = 200;
const LONGEST_TEXT = 20_000;
/** Characters that are not seen, or turn others around, so that a name would look like another kind of file's. */
const UNSEEN = /\p{C}/gu;

export interface Talk {
  say(text: string): void;
  /** Sends it when there is room, piece by piece. Rejects where the channel closes. */
  send(file: File, progress: (share: number) => void): Promise<void>;
}

/** @param heard a text of the other's; `got` a file of theirs */
export function newTalk(
  channel: RTCDataChannel,
  heard: (text: string) => void,
  got: (name: string, file: Blob) => void,
): Talk {
  let incoming: { name: string; left: number; pieces: ArrayBuffer[] } | undefined;
  channel.binaryType = "arraybuffer";
  channel.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (typeof data === "string") taken(data);
    else piece(data);
  };

  function taken(text: string): void {
    const { say, file } = fieldsOf(text);
    if (typeof say === "string") heard(say.slice(0, LONGEST_TEXT));
    const { name, size } = Object(file) as { name?: unknown; size?: unknown };
    if (typeof name !== "string" || typeof size !== "number" || !(size >= 0 && size <= LARGEST_FILE_BYTES)) return;
    incoming = { name: name.slice(0, LONGEST_NAME).replaceAll(UNSEEN, ""), left: size, pieces: [] };
    if (size === 0) finish();
  }

  function piece(data: ArrayBuffer): void {
    if (!incoming) return;
    // A piece costs more than its bytes: of any other size they would pile up, and it is no file of this page's.
    if (data.byteLength !== Math.min(PIECE_BYTES, incoming.left)) {
      incoming = undefined;
      return;
    }
    incoming.left -= data.byteLength;
    incoming.pieces.push(data);
    if (incoming.left === 0) finish();
  }

  /** It is handed on as bytes of no kind, so that no browser shows it as a page of ours. */
  function finish(): void {
    if (incoming) got(incoming.name, new Blob(incoming.pieces, { type: "application/octet-stream" }));
    incoming = undefined;
  }

  return {
    say: (text) => channel.send(JSON.stringify({ say: text })),
    async send(file, progress) {
      channel.send(JSON.stringify({ file: { name: file.name, size: file.size } }));
      for (let sent = 0; sent < file.size; sent += PIECE_BYTES) {
        const bytes = await file.slice(sent, sent + PIECE_BYTES).arrayBuffer();
        await drain(channel);
        channel.send(bytes);
        progress(Math.min(1, (sent + PIECE_BYTES) / file.size));
      }
    },
  };
}

function fieldsOf(text: string): { say?: unknown; file?: unknown } {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
