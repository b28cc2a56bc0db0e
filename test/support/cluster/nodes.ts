/** Several relays with one engine, and a door to all of them that takes each connection to one at random, as a balancer. */
import { newFolder } from "../machines/folder.ts";
import { type Outcome, type RunningRelay, spawnRelay, type Variant } from "../relays/relay.ts";
import { EngineProcess } from "./engine-process.ts";

/** Of all of them in one process: those who share an engine share it. */
const SECRET = crypto.randomUUID();

export interface Nodes extends AsyncDisposable {
  readonly engine: EngineProcess;
  readonly nodes: readonly RunningRelay[];
  /** The file with the secret that they share. */
  readonly secret: string;
  /** Starts a relay with these options alone, of which they know nothing. */
  start(...args: string[]): Promise<RunningRelay>;
}

/**
 * @param args options of all of them
 * @param engine the caller's; without it, one of their own
 * @param url of the engine, where it is another than its own
 */
export async function startNodes(
  count: number,
  variant: Variant,
  args: readonly string[] = [],
  engine: EngineProcess | null = null,
  url: string | null = null,
): Promise<Nodes> {
  await using stack = new AsyncDisposableStack();
  const used = engine ?? stack.use(await EngineProcess.start());
  await used.touch();
  const folder = stack.use(await newFolder());
  const secret = await folder.write("secret", `${SECRET}\n`);
  const own = [`--cluster=${url ?? used.url}`, `--cluster-secret-file=${secret}`];
  const nodes: RunningRelay[] = [];
  for (let n = 0; n < count; n++) nodes.push(stack.use(await spawnRelay(variant, ...own, ...args)));
  const kept = stack.move();
  return {
    engine: used,
    nodes,
    secret,
    start: (...others) => spawnRelay(variant, ...others),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/**
 * The nodes as if they were one relay.
 * @param isPinned whether all peers come to the first
 */
export async function asOne(cluster: Nodes, isPinned = false): Promise<RunningRelay> {
  const { nodes } = cluster;
  const [first] = nodes;
  if (!first) throw new Error("no nodes");
  const pick = (): RunningRelay => nodes[isPinned ? 0 : Math.floor(Math.random() * nodes.length)] ?? first;
  const door = openDoor(() => pick().port);
  const { port } = door;
  async function ended(): Promise<Outcome> {
    const outcomes = await Promise.all(nodes.map((node) => node.ended()));
    return {
      exitCode: Math.max(...outcomes.map(({ exitCode }) => exitCode)),
      stdout: outcomes[0]?.stdout.replaceAll(`:${first?.port}`, `:${port}`) ?? "",
      stderr: [...new Set(outcomes.flatMap(({ stderr }) => stderr.split(/(?<=\n)/)))].join(""),
    };
  }
  return {
    url: `ws://127.0.0.1:${port}`,
    port,
    process: new Proxy(first.process, {
      get(target, name) {
        if (name === "kill")
          return (signal: NodeJS.Signals) => nodes.forEach(({ process }) => void process.kill(signal));
        return Reflect.get(target, name, target);
      },
    }),
    stdout: first.stdout,
    get: (path) => fetch(`http://127.0.0.1:${port}${path}`),
    admin: (path) => first.admin(path),
    async sessions() {
      const counts = await Promise.all(nodes.map((node) => node.sessions()));
      return counts.reduce((sum, count) => sum + count, 0);
    },
    async stop(signal = "SIGTERM") {
      for (const { process } of nodes) process.kill(signal);
      return ended();
    },
    ended,
    async [Symbol.asyncDispose]() {
      door.stop(true);
      await cluster[Symbol.asyncDispose]();
    },
  };
}

interface Side {
  other: Bun.Socket<Side> | null;
  waiting: Uint8Array[];
  isEnded: boolean;
}

/** Hands each connection on, byte for byte, and how it ends. */
function openDoor(portOf: () => number) {
  const pour = (socket: Bun.Socket<Side>) => {
    const { waiting } = socket.data;
    for (let piece = waiting.shift(); piece; piece = waiting.shift()) {
      const written = Math.max(0, socket.write(piece));
      if (written === piece.length) continue;
      waiting.unshift(piece.subarray(written));
      return;
    }
    if (socket.data.isEnded) socket.end();
  };
  const handlers: Bun.SocketHandler<Side> = {
    data(socket, bytes) {
      const { other } = socket.data;
      if (!other) return void socket.data.waiting.push(Uint8Array.from(bytes));
      other.data.waiting.push(Uint8Array.from(bytes));
      pour(other);
    },
    drain: pour,
    close(socket) {
      const { other } = socket.data;
      if (!other) {
        socket.data.isEnded = true;
        return;
      }
      other.data.isEnded = true;
      pour(other);
    },
    error() {},
  };
  return Bun.listen<Side>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      ...handlers,
      open(socket) {
        socket.data = { other: null, waiting: [], isEnded: false };
        Bun.connect<Side>({
          hostname: "127.0.0.1",
          port: portOf(),
          data: { other: socket, waiting: [], isEnded: false },
          socket: {
            ...handlers,
            open(upstream) {
              upstream.data.waiting = socket.data.waiting.splice(0);
              socket.data.other = upstream;
              upstream.data.isEnded = socket.data.isEnded;
              pour(upstream);
            },
          },
        }).catch(() => socket.end());
      },
    },
  });
}
