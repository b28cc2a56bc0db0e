/** A connection whose bytes are the test's own: it frames by hand, reads when it is told to, and ends as it is told to. */
import { closeCode, type Frame, frame, OP, takeFrame, UPGRADE } from "./frames.ts";
import { upToPong } from "./inbox.ts";

export { frame, OP, UPGRADE } from "./frames.ts";

export interface DialOptions {
  readonly hostname?: string;
  /** The address of the loopback that it comes from. */
  readonly localAddress?: string;
  /** Whether it stays open, to write, when the other side has ended. */
  readonly isHalfOpen?: boolean;
}

export class RawClient {
  #socket: Bun.Socket | null = null;
  #unread: Buffer = Buffer.alloc(0);
  #isEnded = false;
  /** Called when something came, or the connection ended; and when more can be written. */
  #wake: () => void = () => {};
  #writable: () => void = () => {};
  /** How many bytes came so far. */
  receivedBytes = 0;

  /** A bare TCP connection to the relay. */
  static async dial(port: number, options: DialOptions = {}): Promise<RawClient> {
    const { hostname = "127.0.0.1", localAddress, isHalfOpen = false } = options;
    const client = new RawClient();
    const end = () => client.#end();
    client.#socket = await Bun.connect({
      hostname,
      port,
      ...(localAddress !== undefined && { localAddress }), // Bun takes it, though its types don't say so
      allowHalfOpen: isHalfOpen,
      socket: {
        data: (_socket, data) => client.#take(data),
        drain: () => client.#writable(),
        close: end,
        error: end,
      },
    });
    return client;
  }

  /** A connection that has been upgraded. */
  static async connect(port: number, options: DialOptions = {}): Promise<RawClient> {
    const client = await RawClient.dial(port, options);
    client.write(UPGRADE);
    const head = await client.head();
    if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`no upgrade: ${head}`);
    return client;
  }

  /** Connects and joins. Returns once it has its seat. */
  static async join(port: number, sessionCode: string, isInitiator: boolean): Promise<RawClient> {
    const client = await RawClient.connect(port);
    client.say({ type: "join", sessionCode, isInitiator });
    const text = await client.text();
    if (!text.startsWith('{"type":"joined"')) throw new Error(`not joined: ${text}`);
    return client;
  }

  #take(data: Buffer): void {
    this.receivedBytes += data.length;
    this.#unread = Buffer.concat([this.#unread, data]);
    this.#wake();
  }

  #end(): void {
    this.#isEnded = true;
    this.#wake();
    this.#writable();
  }

  /** Sends bytes as they are, in one segment where they fit into one. */
  write(...parts: (string | Uint8Array)[]): void {
    this.#socket?.write(Buffer.concat(parts.map((part) => Buffer.from(part))));
  }

  /** Sends bytes as fast as the other side takes them. Returns when they are written, or can't be. */
  async writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; !this.#isEnded && at < bytes.length; ) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#writable = resolve;
      at += Math.max(0, this.#socket?.write(bytes.subarray(at)) ?? 0);
      if (at < bytes.length) await promise;
    }
  }

  say(message: object): void {
    this.write(frame(OP.text, JSON.stringify(message)));
  }

  /** Ends the connection with FIN, or with RST. */
  end(reset = false): void {
    if (reset) this.#socket?.terminate();
    else this.#socket?.end();
  }

  /** Ends its own side with FIN, and still listens; only where it is half open. */
  finish(): void {
    this.#socket?.shutdown();
  }

  /** Reads nothing more, so that what it is sent stays in the kernels and then in the relay, until it reads on. */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  /** Reads `take` of what has come, as soon as it finds enough there; null once the connection has ended. */
  async #read<T>(take: (unread: Buffer) => { value: T; used: number } | null): Promise<T | null> {
    for (;;) {
      const found = take(this.#unread);
      if (found) {
        this.#unread = this.#unread.subarray(found.used);
        return found.value;
      }
      if (this.#isEnded) return null;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  /** The head of an HTTP answer, and "" where there was none. */
  async head(): Promise<string> {
    const head = await this.#read((unread) => {
      const end = unread.indexOf("\r\n\r\n");
      return end < 0 ? null : { value: unread.subarray(0, end).toString(), used: end + 4 };
    });
    return head ?? "";
  }

  /** The next frame, or null where the connection ended. */
  next(): Promise<Frame | null> {
    return this.#read(takeFrame);
  }

  /** The text of the next frame that is no ping; a close frame gives "close CODE", the end of the connection "end". */
  async text(): Promise<string> {
    const next = await this.next();
    if (next === null) return "end";
    if (next.opcode === OP.ping) return this.text();
    return next.opcode === OP.close ? `close ${closeCode(next)}` : next.payload.toString();
  }

  /** All that is unread, once the connection has ended. */
  async rest(): Promise<Buffer> {
    await this.#read(() => null);
    return this.#unread;
  }

  /** All texts that were on their way here. */
  drain(): Promise<string[]> {
    return upToPong({ send: (text) => this.write(frame(OP.text, text)), next: () => this.text() });
  }
}
