/**
 * Stands between a TLS client and the relay and passes on every byte, after a look at the one thing in a TLS 1.3
 * handshake that is said in the clear and is worth a test: the group in which the keys are exchanged.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** RFC 8446, section 4.2.8, and the registry of "TLS Supported Groups". */
export const X25519MLKEM768 = 4588;

const HANDSHAKE = 22;
const SERVER_HELLO = 2;
const KEY_SHARE = 51;

export interface Tap extends AsyncDisposable {
  readonly port: number;
  /** The group of each connection so far, in the order of their answers; 0 where there was none. */
  readonly groups: readonly number[];
}

export async function openTap(relayPort: number): Promise<Tap> {
  const groups: number[] = [];
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const relay = connect(relayPort, "127.0.0.1");
    let answer = Buffer.alloc(0);
    relay.on("data", function look(bytes: Buffer) {
      answer = Buffer.concat([answer, bytes]);
      if (answer.length < 5 || answer.length < 5 + answer.readUInt16BE(3)) return;
      groups.push(groupOf(answer));
      relay.off("data", look);
    });
    for (const [from, to] of [
      [client, relay],
      [relay, client],
    ] as const) {
      open.add(from);
      from.on("close", () => open.delete(from) && to.destroy());
      from.on("error", () => to.destroy());
      from.pipe(to);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    groups,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/** The group of the key share in a record that holds a ServerHello (RFC 8446, sections 4.1.3 and 5.1), or 0. */
function groupOf(record: Buffer): number {
  if (record[0] !== HANDSHAKE || record[5] !== SERVER_HELLO) return 0;
  const sessionId = 5 + 4 + 2 + 32;
  let at = sessionId + 1 + (record[sessionId] ?? 0) + 2 + 1;
  const end = at + 2 + record.readUInt16BE(at);
  for (at += 2; at < end; at += 4 + record.readUInt16BE(at + 2))
    if (record.readUInt16BE(at) === KEY_SHARE) return record.readUInt16BE(at + 4);
  return 0;
}
