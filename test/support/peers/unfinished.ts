/** Strangers who join, and then say a message up to its last byte: the relay has to keep it, and waits for the rest. */
import { connect, type Socket } from "node:net";
import { newCode } from "./client.ts";
import { frame, OP, UPGRADE } from "./raw.ts";

/** As much as the relay reads of one message at most, with its default of --max-message. */
const BYTES = (64 * 1_024 * 17) / 16;
/** Below --connect-burst and --max-waiting-per-address, so that strangers of one address all get in. */
const EACH_ADDRESS = 60;

export interface Unfinished {
  readonly socket: Socket;
  /** Resolves when its upgrade was answered with this status, NaN where there was no answer, and all of it was sent. */
  readonly status: Promise<number>;
}

/** The n-th of them, from an address of the loopback that it shares with few. */
export function sayUnfinished(port: number, n: number): Unfinished {
  const host = Math.floor(n / EACH_ADDRESS);
  const socket = connect({ host: "127.0.0.1", port, localAddress: `127.0.${2 + (host >> 7)}.${1 + (host & 127)}` });
  const join = frame(OP.text, JSON.stringify({ type: "join", sessionCode: newCode(), isInitiator: true }));
  const message = frame(OP.text, Buffer.alloc(BYTES, "x")).subarray(0, -1);
  const { promise: status, resolve } = Promise.withResolvers<number>();
  socket.once("data", (head: Buffer) => {
    const answered = Number(/^HTTP\/1\.1 (\d+) /.exec(head.toString("latin1"))?.[1]);
    if (answered !== 101) return resolve(answered);
    socket.write(Buffer.concat([join, message]), () => resolve(answered));
  });
  socket.on("error", () => {}); // a close follows
  socket.on("close", () => resolve(Number.NaN));
  socket.write(UPGRADE);
  return { socket, status };
}
