/** A peer that reads only when it is told to: what it is sent stays in the kernels, and then in the relay. */
import { closeCode, OP } from "./frames.ts";
import { RawClient } from "./raw.ts";

export class Reader {
  readonly #client: RawClient;

  private constructor(client: RawClient) {
    this.#client = client;
  }

  /** Connects, joins, hears that it has, and from then on reads nothing. */
  static async join(port: number, sessionCode: string, isInitiator: boolean): Promise<Reader> {
    const client = await RawClient.join(port, sessionCode, isInitiator);
    client.pause();
    return new Reader(client);
  }

  /** Reads on until this text has come. Returns how many bytes came in all. */
  async readUntil(text: string): Promise<number> {
    this.#client.resume();
    for (let next = await this.#client.next(); !next?.payload.includes(text); next = await this.#client.next())
      if (next === null) throw new Error(`the connection ended before ${text}`);
    return this.#client.receivedBytes;
  }

  /** Reads all there is up to the end of the connection: how many bytes, and with which code it was closed. */
  async readToEnd(): Promise<{ bytes: number; code: number | null }> {
    this.#client.resume();
    let code: number | null = null;
    for (let next = await this.#client.next(); next !== null; next = await this.#client.next())
      if (next.opcode === OP.close) code = closeCode(next);
    return { bytes: this.#client.receivedBytes, code };
  }

  /** Hangs up without having read. */
  destroy(): void {
    this.#client.end(true);
  }
}
