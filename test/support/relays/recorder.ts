/**
 * Stands between peers and a listener of the relay. Each connection reaches the relay from an address of its own, over
 * TLS where the relay speaks it, and every byte that the relay says is kept. How a side ends, with FIN or with RST, the
 * other side sees.
 */
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

/** One connection, as the relay has it. */
export interface Talk {
  /** Where the relay sees it come from. */
  readonly from: string;
  readonly port: number;
  /** All that the relay has said, one character for each byte. */
  heard(): string;
  /** Reads nothing more from the relay until it is told to go on. */
  pause(): void;
  resume(): void;
}

export interface Recorder extends AsyncDisposable {
  /** Where it takes plain connections. */
  readonly port: number;
  readonly url: string;
  /** Every connection so far, in the order in which they reached the relay. */
  readonly talks: readonly Talk[];
  /** Resolves when no connection is open. */
  quiet(): Promise<void>;
}

/**
 * @param relayPort where the relay listens on the loopback
 * @param newAddress gives the address, of 127.0.0.0/8, that the next connection comes from
 * @param tls what the TLS client says, where there is one; its certificate is the test's own and not verified
 */
export async function openRecorder(
  relayPort: number,
  newAddress: () => string,
  tls: ConnectionOptions | null = null,
): Promise<Recorder> {
  const talks: Talk[] = [];
  const open = new Set<Socket>();
  let closed = () => {};
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const from = newAddress();
    const tcp = connectTcp({ host: "127.0.0.1", port: relayPort, localAddress: from, allowHalfOpen: true });
    const far = tls === null ? tcp : connectTls({ socket: tcp, rejectUnauthorized: false, ...tls });
    const received: Buffer[] = [];
    far.on("data", (bytes: Buffer) => received.push(bytes));
    tcp.once("connect", () => {
      const heard = () => Buffer.concat(received).toString("latin1");
      const [pause, resume] = [() => void far.pause(), () => void far.resume()];
      talks.push({ from, port: tcp.localPort ?? 0, heard, pause, resume });
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.on("data", (bytes: Buffer) => void other.write(bytes));
      one.on("end", () => void other.end());
      one.on("error", () => void (other === far ? tcp : near).resetAndDestroy());
      one.on("close", () => {
        open.delete(one);
        other.end();
        closed();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `ws://127.0.0.1:${port}`,
    talks,
    async quiet() {
      while (open.size > 0) {
        const { promise, resolve } = Promise.withResolvers<void>();
        closed = resolve;
        await promise;
      }
    },
    async [Symbol.asyncDispose]() {
      const ended = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await ended;
    },
  };
}
