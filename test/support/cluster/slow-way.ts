/** A way to an engine that takes time: a socket whose bytes come to the engine's, and back, in order and so much later. */
import { newFolder } from "../machines/folder.ts";

export interface SlowWay extends AsyncDisposable {
  readonly url: string;
  /** Of each direction, for what comes from now on; nothing overtakes what came before. */
  delayMs: number;
}

/** One end of a connection: the other, and when the last that came from here has been handed on there. */
interface Side {
  other: Promise<Bun.Socket<Side>>;
  done: Promise<unknown>;
}

export async function openSlowWay(to: string): Promise<SlowWay> {
  const folder = await newFolder();
  const path = folder.file("slow.sock");
  function later({ data: side }: Bun.Socket<Side>, what: (other: Bun.Socket<Side>) => unknown): void {
    const { done } = side;
    const time = Bun.sleep(way.delayMs);
    side.done = Promise.all([side.other, done, time])
      .then(([other]) => what(other))
      .catch(() => {}); // there is nobody to tell
  }
  const handlers: Bun.SocketHandler<Side> = {
    data(socket, piece) {
      const bytes = Uint8Array.from(piece);
      later(socket, (other) => other.write(bytes));
    },
    close: (socket) => later(socket, (other) => other.end()),
    error() {},
  };
  const listener = Bun.listen<Side>({
    unix: path,
    socket: {
      ...handlers,
      open(socket) {
        const back = { other: Promise.resolve(socket), done: Promise.resolve() };
        const other = Bun.connect<Side>({ unix: to, data: back, socket: handlers });
        other.catch(() => socket.end());
        socket.data = { other, done: Promise.resolve() };
      },
    },
  });
  const way = {
    url: `unix://${path}`,
    delayMs: 0,
    async [Symbol.asyncDispose]() {
      listener.stop(true);
      await folder[Symbol.asyncDispose]();
    },
  };
  return way;
}
