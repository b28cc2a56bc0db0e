/** Somebody outside who listens on TCP and UDP, and keeps what arrives: whether a locked process can call anybody. */

export class OutsideListener implements Disposable {
  #text = "";
  #wake = () => {};
  readonly #server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (_socket, bytes) => this.#take(bytes) },
  });

  readonly #datagrams: Bun.udp.Socket<"buffer">;

  private constructor(datagrams: Bun.udp.Socket<"buffer">) {
    this.#datagrams = datagrams;
  }

  static async open(): Promise<OutsideListener> {
    const held = { take(_bytes: Uint8Array) {} };
    const socket = await Bun.udpSocket({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (_socket, bytes) => held.take(bytes) },
    });
    const listener = new OutsideListener(socket);
    held.take = (bytes) => listener.#take(bytes);
    return listener;
  }

  get tcp(): number {
    return this.#server.port;
  }

  get udp(): number {
    return this.#datagrams.port;
  }

  /** The texts in angle brackets that have come, in the order of the alphabet. */
  heard(): string[] {
    return [...this.#text.matchAll(/<([^>]*)>/g)].map(([, text = ""]) => text).sort();
  }

  /** Returns once something that is sent now has come by either way. */
  async barrier(): Promise<void> {
    const client = await Bun.connect({ hostname: "127.0.0.1", port: this.tcp, socket: { data() {} } });
    client.end("[tcp]");
    this.#datagrams.send("[udp]", this.udp, "127.0.0.1");
    while (!this.#text.includes("[tcp]") || !this.#text.includes("[udp]"))
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }

  #take(bytes: Uint8Array): void {
    this.#text += Buffer.from(bytes).toString("latin1");
    this.#wake();
  }

  [Symbol.dispose](): void {
    this.#server.stop(true);
    this.#datagrams.close();
  }
}
