/**
 * Overwrites what peers have left behind in memory that is free again. The runtime hands freed memory to whoever asks
 * next and leaves its bytes as they are until then: so this asks for it, fills it, and lets it go. It never holds,
 * reads or looks for anything of a peer, and it can't reach what is still in use (docs/SECURITY.md, "Forgetting").
 */

/** How often `turn` wants to be called, in ms. */
export const SCRUB_MS = 5_000;
/** Once all is quiet: one to free what was in use until then, one for what was in use during that one. */
const QUIET_TURNS = 2;
/** Between two sizes, so that peers are served: one after the other without it, they would wait some 20 ms. */
const PAUSE_MS = 1;
/** At least so many blocks of each size are filled, and of no size more bytes. */
const LEAST_BLOCKS = 1_000;
/** Of small sizes there are more: an upgrade alone leaves a block for each header, most of them of up to 64 bytes. */
const SMALL_BLOCK_BYTES = 64;
const SMALL_BLOCKS_EACH = 32;
/** While peers come and go, who take most free blocks themselves and would have to wait. */
const BYTES_WHEN_BUSY = 128 * 1_024;
/** Once all is quiet: between 15 and 90 ms. */
const BYTES_WHEN_QUIET = 1_024 * 1_024;
/** What JavaScriptCore puts before the characters of a string, in the same block. */
const STRING_HEADER_BYTES = 20;
/** Larger blocks than these are made of whole pages, which the allocator gives back to the system. */
const LARGEST_BLOCK_BYTES = 128 * 1_024;
/** The runtime's buffers, one of each: it reads from all sockets into the one, and writes to all out of the other. */
const READ_BUFFER_BYTES = 512 * 1_024;
const WRITE_BUFFER_BYTES = 16 * 1_024;
/** The head of a frame of such a length (RFC 6455, section 5.2). */
const FRAME_HEADER_BYTES = 4;

/** The sizes in which mimalloc gives out memory: 8 bytes apart up to 64, then four in each doubling. */
const BLOCK_SIZES = [32, 40, 48, 56, 64];
for (let size = 64; size < LARGEST_BLOCK_BYTES; size *= 2)
  BLOCK_SIZES.push(size * 1.25, size * 1.5, size * 1.75, size * 2);

/** The parser keeps short texts that it has met, by their look: codes of every length and beginning take their place. */
function newDecoys(): readonly string[] {
  return Array.from({ length: 57 }, (_, more) =>
    Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", (first) => {
      return `{"type":"join","sessionCode":"${first.repeat(8 + more)}"}`;
    }),
  ).flat();
}

/** As PEM. */
interface Keys {
  readonly cert: string;
  readonly key: string;
}

export class Scrubber {
  readonly #pipe: WebSocket | null;
  #seen = 0;
  /** The activity up to which nothing is left: what came since is how much there may be to overwrite. */
  #doneAt = 0;
  #turnsLeft = 0;
  #decoys: readonly string[] | null = null;

  private constructor(pipe: WebSocket | null) {
    this.#pipe = pipe;
  }

  /**
   * @param tls what the relay speaks, since TLS has buffers of its own
   * @param warn is told, where the process can't connect to itself, that the shared buffers are left out
   */
  static async open(tls: Keys | null, warn: (line: string) => void): Promise<Scrubber> {
    const pipe = await newPipe(tls).catch(() => null);
    if (pipe === null)
      warn("no connection to 127.0.0.1: what was read and written last stays in memory until the next");
    return new Scrubber(pipe);
  }

  /**
   * Does its work if there was activity lately; else nothing.
   * @param activity a number that changes whenever peers come, go or say something
   */
  async turn(activity: number): Promise<void> {
    const isQuiet = activity === this.#seen;
    this.#seen = activity;
    if (isQuiet && this.#turnsLeft === 0) return;
    this.#turnsLeft = isQuiet ? this.#turnsLeft - 1 : QUIET_TURNS;
    const blocks = Math.max(LEAST_BLOCKS, activity - this.#doneAt);
    Bun.gc(isQuiet); // amid traffic it is done beside that, so that no message waits for it
    for (const size of BLOCK_SIZES) {
      const many = size > SMALL_BLOCK_BYTES ? blocks : blocks * SMALL_BLOCKS_EACH;
      fill(size, Math.min(many, (isQuiet ? BYTES_WHEN_QUIET : BYTES_WHEN_BUSY) / size));
      await Bun.sleep(PAUSE_MS);
    }
    if (!isQuiet) return;
    this.#decoys ??= newDecoys(); // no start waits for them
    for (const decoy of this.#decoys) JSON.parse(decoy);
    /^/.test(""); // the engine keeps the text of the last match
    this.#pipe?.send(new Uint8Array(READ_BUFFER_BYTES));
    if (this.#turnsLeft === 0) this.#doneAt = activity;
  }
}

/** Takes the free blocks of a size, writes over them and lets them go. */
function fill(size: number, blocks: number): void {
  const characters = Buffer.alloc(size - STRING_HEADER_BYTES, "-");
  Array.from({ length: Math.ceil(blocks) }, () => characters.toString("latin1"));
}

/**
 * A connection of the process to itself: what is sent over it goes through the buffers that all sockets share. Its
 * listener is closed as soon as it stands.
 */
async function newPipe(tls: Keys | null): Promise<WebSocket> {
  const answer = new Uint8Array(WRITE_BUFFER_BYTES - FRAME_HEADER_BYTES);
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    ...(tls && { tls: { cert: tls.cert, key: tls.key } }),
    development: false,
    reusePort: false, // always said, because `development: false` alone turns it on
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response(null, { status: 404 })),
    websocket: {
      maxPayloadLength: READ_BUFFER_BYTES,
      idleTimeout: 0,
      message: (ws) => void ws.send(answer),
    },
  });
  const pipe = new WebSocket(`${tls ? "wss" : "ws"}://127.0.0.1:${server.port}`, {
    tls: { rejectUnauthorized: false },
  });
  const { promise, resolve, reject } = Promise.withResolvers<WebSocket>();
  pipe.addEventListener("open", () => resolve(pipe));
  pipe.addEventListener("close", ({ code }) => reject(new Error(`closed with ${code}`)));
  return promise.finally(() => void server.stop()); // it ends the listener; the connection stays
}
