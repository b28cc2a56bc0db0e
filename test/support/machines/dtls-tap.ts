/**
 * Stands between two peers, passes on every datagram, and reads the one thing of their DTLS handshake that is said in
 * the clear and is worth a test: the group in which the keys are exchanged.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";

const HANDSHAKE = 22;
const SERVER_HELLO = 2;
const KEY_SHARE = 51;
/** RFC 6347, section 4.1: type, version, epoch, number, length. */
const RECORD_HEAD = 13;
/** RFC 6347, section 4.2.2: type, length, number, offset and length of the fragment. */
const FRAGMENT_HEAD = 12;

export interface DtlsTap extends AsyncDisposable {
  /** What came with each ServerHello's key share, in order. */
  readonly groups: readonly number[];
  /** A port here that stands for `port` of the peer there. */
  standFor(port: number): Promise<number>;
}

export function openDtlsTap(): DtlsTap {
  const groups: number[] = [];
  const sockets: Socket[] = [];
  /** By the real port of a peer: where the others are told that it is. */
  const stands = new Map<number, Promise<Socket>>();
  const hellos = new Map<string, Buffer>();

  /** Puts together what was sent in pieces, as far as they come one after the other, and looks at it. */
  function look(from: number, datagram: Buffer): void {
    for (let at = 0; at + RECORD_HEAD + FRAGMENT_HEAD <= datagram.length; ) {
      const length = datagram.readUInt16BE(at + 11);
      const body = datagram.subarray(at + RECORD_HEAD, at + RECORD_HEAD + length);
      if (datagram[at] !== HANDSHAKE || datagram.readUInt16BE(at + 3) !== 0) return; // no record in the clear
      if (body[0] === SERVER_HELLO) {
        const key = `${from}/${body.readUInt16BE(4)}`;
        const known = hellos.get(key) ?? Buffer.alloc(0);
        if (body.readUIntBE(6, 3) === known.length) {
          const hello = Buffer.concat([known, body.subarray(FRAGMENT_HEAD)]);
          hellos.set(key, hello);
          if (hello.length === body.readUIntBE(1, 3)) groups.push(groupOf(hello));
        }
      }
      at += RECORD_HEAD + length;
    }
  }

  function stand(real: number): Promise<Socket> {
    const known = stands.get(real);
    if (known) return known;
    const socket = createSocket("udp4");
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("message", async (datagram: Buffer, { port: from }: RemoteInfo) => {
      look(from, datagram);
      // As if it came from where the sender is said to be.
      (await stand(from)).send(datagram, real, "127.0.0.1");
    });
    socket.bind(0, "127.0.0.1");
    const bound = once(socket, "listening").then(() => socket);
    stands.set(real, bound);
    return bound;
  }

  return {
    groups,
    standFor: async (port) => (await stand(port)).address().port,
    async [Symbol.asyncDispose]() {
      await Promise.all(stands.values());
      for (const socket of sockets) socket.close();
    },
  };
}

/** The group of the key share in a ServerHello (RFC 8446, section 4.1.3), or 0. */
function groupOf(hello: Buffer): number {
  const sessionId = 2 + 32;
  let at = sessionId + 1 + (hello[sessionId] ?? 0) + 2 + 1;
  const end = at + 2 + hello.readUInt16BE(at);
  for (at += 2; at < end; at += 4 + hello.readUInt16BE(at + 2))
    if (hello.readUInt16BE(at) === KEY_SHARE) return hello.readUInt16BE(at + 4);
  return 0;
}
