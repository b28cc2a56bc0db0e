/** A WebSocket client that frames by hand, to send what a well-behaved one can't. */

export const OP = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** One masked client frame (RFC 6455, section 5.2). */
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

export const UPGRADE = [
  "GET / HTTP/1.1",
  "Host: relay",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version: 13",
  "\r\n",
].join("\r\n");

export class RawClient {
  #socket: Bun.Socket | null = null;
  #unread: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};

  /** A bare TCP connection to the relay. */
  static async dial(port: number, hostname = "127.0.0.1"): Promise<RawClient> {
    const client = new RawClient();
    client.#socket = await Bun.connect({
      hostname,
      port,
      socket: {
        data: (_socket, data) => client.#take(data),
        close: () => client.#end(),
        error: () => client.#end(),
      },
    });
    return client;
  }

  /** A connection that has been upgraded. */
  static async connect(port: number, hostname = "127.0.0.1"): Promise<RawClient> {
    const client = await RawClient.dial(port, hostname);
    client.write(UPGRADE);
    const head = await client.head();
    if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`no upgrade: ${head}`);
    return client;
  }

  #take(data: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, data]);
    this.#wake();
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Sends bytes as they are, in one segment where they fit into one. */
  write(...parts: (string | Uint8Array)[]): void {
    this.#socket?.write(Buffer.concat(parts.map((part) => Buffer.from(part))));
  }

  say(message: object): void {
    this.write(frame(OP.text, JSON.stringify(message)));
  }

  /** Ends the connection with FIN, or with RST. */
  end(reset = false): void {
    if (reset) this.#socket?.terminate();
    else this.#socket?.end();
  }

  /** Reads `take` of what has come, as soon as it finds enough there; null once the connection has ended. */
  async #read<T>(take: (unread: Buffer) => { value: T; used: number } | null): Promise<T | null> {
    for (;;) {
      const found = take(this.#unread);
      if (found) {
        this.#unread = this.#unread.subarray(found.used);
        return found.value;
      }
      if (this.#ended) return null;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  /** The head of an HTTP answer. */
  async head(): Promise<string> {
    const head = await this.#read((unread) => {
      const end = unread.indexOf("\r\n\r\n");
      return end < 0 ? null : { value: unread.subarray(0, end).toString(), used: end + 4 };
    });
    return head ?? "";
  }

  /** The next frame, or null where the connection ended. */
  next(): Promise<Frame | null> {
    return this.#read((unread) => {
      const short = (unread[1] ?? 0) & 0x7f;
      const start = short === 127 ? 10 : short === 126 ? 4 : 2;
      if (unread.length < start) return null;
      const length = start === 10 ? Number(unread.readBigUInt64BE(2)) : start === 4 ? unread.readUInt16BE(2) : short;
      if (unread.length < start + length) return null;
      const payload = unread.subarray(start, start + length);
      return { value: { opcode: (unread[0] ?? 0) & 0x0f, payload }, used: start + length };
    });
  }

  /** The text of the next frame that is no ping; a close frame gives "close CODE", the end of the connection "end". */
  async text(): Promise<string> {
    const next = await this.next();
    if (next === null) return "end";
    if (next.opcode === OP.ping) return this.text();
    if (next.opcode === OP.close) return `close ${next.payload.length < 2 ? 1005 : next.payload.readUInt16BE(0)}`;
    return next.payload.toString();
  }
}
