/** A peer that reads only when it is told to: what it is sent stays in the kernels, and then in the relay. */
import { connect, type Socket } from "node:net";
import { frame, OP, UPGRADE } from "./raw.ts";

export class Reader {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #wake: () => void = () => {};
  #ended = false;

  private constructor(port: number) {
    this.#socket = connect({ host: "127.0.0.1", port });
    this.#socket.on("data", (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#wake();
    });
    this.#socket.on("error", () => {}); // a close follows
    this.#socket.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** Connects, joins, hears that it has, and from then on reads nothing. */
  static async join(port: number, sessionCode: string, isInitiator: boolean): Promise<Reader> {
    const reader = new Reader(port);
    reader.#socket.write(UPGRADE);
    reader.#socket.write(frame(OP.text, JSON.stringify({ type: "join", sessionCode, isInitiator })));
    await reader.#until(() => reader.#received.includes('"joined"'));
    reader.#socket.pause();
    return reader;
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#ended) throw new Error("the connection ended before that");
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  /** Reads on until this text has come. Returns how many bytes came in all. */
  async readUntil(text: string): Promise<number> {
    this.#socket.resume();
    await this.#until(() => this.#received.includes(text));
    return this.#received.length;
  }

  /** Reads all there is up to the end of the connection: how many bytes, and with which code it was closed. */
  async readToEnd(): Promise<{ bytes: number; code: number | null }> {
    this.#socket.resume();
    await this.#until(() => this.#ended).catch(() => {});
    const close = this.#received.lastIndexOf(Buffer.from([0x88]));
    const code = close < 0 || close + 4 > this.#received.length ? null : this.#received.readUInt16BE(close + 2);
    return { bytes: this.#received.length, code };
  }

  /** Hangs up without having read. */
  destroy(): void {
    this.#socket.destroy();
  }
}
