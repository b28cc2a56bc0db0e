/**
 * A TLS client of a test's own: whatever connects to it in plain text on the loopback reaches the relay through TLS,
 * with the relay's certificate verified. So every test client can speak wss:, in any version of TLS.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type ConnectionOptions, connect } from "node:tls";

export interface Tunnel extends AsyncDisposable {
  /** Where it takes plain connections. */
  readonly url: string;
  readonly port: number;
}

/** @param options what the TLS client insists on: whom it trusts (`ca`) and which versions it speaks */
export async function openTunnel(relayPort: number, options: ConnectionOptions): Promise<Tunnel> {
  const open = new Set<Socket>();
  const server = createServer((plain) => {
    const secure = connect({ host: "127.0.0.1", port: relayPort, ...options });
    for (const [from, to] of [
      [plain, secure],
      [secure, plain],
    ] as const) {
      open.add(from);
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
      from.on("error", () => to.destroy());
      from.pipe(to);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `ws://127.0.0.1:${port}`,
    port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

export interface Handshake {
  /** What the client says of it where it failed. */
  readonly failure: string | null;
  readonly protocol: string | null;
  /** SHA-256 of the certificate that was shown, as node:crypto writes it. */
  readonly fingerprint: string | null;
}

/** One TLS handshake with the relay, hung up at once. */
export function shakeHands(relayPort: number, options: ConnectionOptions): Promise<Handshake> {
  const { promise, resolve } = Promise.withResolvers<Handshake>();
  const socket = connect({ host: "127.0.0.1", port: relayPort, ...options });
  socket.once("secureConnect", () => {
    resolve({ failure: null, protocol: socket.getProtocol(), fingerprint: socket.getPeerCertificate().fingerprint256 });
    socket.destroy();
  });
  socket.once("error", ({ message }) => resolve({ failure: message, protocol: null, fingerprint: null }));
  return promise;
}

/** The first thing that a TLS client sends, as bytes. */
export async function clientHello(): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const server = createServer((socket) => socket.once("data", resolve).on("error", () => {}));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  client.on("error", () => {});
  try {
    return await promise;
  } finally {
    client.destroy();
    server.close();
  }
}
