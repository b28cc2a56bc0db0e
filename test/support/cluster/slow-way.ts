/** A way to an engine that takes time: a socket whose bytes come to the engine's, and back, so much later. */
import { setTimeout as later } from "node:timers";
import { newFolder } from "../machines/folder.ts";

export interface SlowWay extends AsyncDisposable {
  readonly url: string;
  /** Of each direction, for what comes from now on. */
  delayMs: number;
}

type End = Bun.Socket<{ other: Promise<End> }>;

export async function openSlowWay(to: string): Promise<SlowWay> {
  const folder = await newFolder();
  const path = folder.file("slow.sock");
  const listener = Bun.listen<{ other: Promise<End> }>({
    unix: path,
    socket: {
      open(socket) {
        const back: Bun.SocketHandler<{ other: Promise<End> }> = { data, close, error() {} };
        const data_ = { other: Promise.resolve(socket) };
        socket.data = { other: Bun.connect({ unix: to, data: data_, socket: back }) };
        socket.data.other.catch(() => socket.end());
      },
      data,
      close,
      error() {},
    },
  });
  const way: SlowWay = {
    url: `unix://${path}`,
    delayMs: 0,
    async [Symbol.asyncDispose]() {
      listener.stop(true);
      await folder[Symbol.asyncDispose]();
    },
  };
  function data({ data: { other } }: End, piece: Uint8Array) {
    const bytes = Uint8Array.from(piece);
    later(async () => (await other).write(bytes), way.delayMs);
  }
  function close({ data: { other } }: End) {
    later(async () => (await other).end(), way.delayMs);
  }
  return way;
}
