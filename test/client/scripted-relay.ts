/**
 * A relay that does as a test says: it seats two, and a script may change, hold or invent what they are told. It speaks
 * the wire's second round where it is asked to. Real sockets, no limits.
 */
export interface Wire {
  readonly type: string;
  readonly sessionCode?: string;
  readonly isInitiator?: boolean;
  readonly [member: string]: unknown;
}

export interface Script {
  /** Whether it knows `instance`, `pairing`, `peer`, `opposite` and the rest. */
  readonly additions?: boolean;
  readonly ready?: object;
  /** What the other gets of a message: by default the message. `count` is how many came before in all. */
  pass?(message: Wire, fromInitiator: boolean, count: number): Wire[];
  /** What becomes of a message before it is passed on; those that come meanwhile wait. */
  change?(message: Wire): Promise<Wire>;
  /** Called with each join; true where the script has answered it. */
  join?(socket: ScriptedSocket, message: Wire): boolean;
  /** Whether a ping is answered. */
  pong?: boolean;
}

export type ScriptedSocket = Bun.ServerWebSocket<{ seat: Wire | null }>;

export interface ScriptedRelay extends AsyncDisposable {
  readonly url: string;
  readonly script: Script;
  /** Every message that came, in order. */
  readonly received: Wire[];
  /** The paths with query of all upgrades. */
  readonly paths: string[];
  readonly seated: ScriptedSocket[];
  tell(message: object): void;
}

export function startScriptedRelay(script: Script = {}): ScriptedRelay {
  const received: Wire[] = [];
  const paths: string[] = [];
  const seated: ScriptedSocket[] = [];
  let pairing = 0;
  let passed = 0;
  let last = Promise.resolve();
  const say = (socket: ScriptedSocket, message: object) => socket.send(JSON.stringify(message));

  function join(socket: ScriptedSocket, message: Wire): void {
    socket.data.seat = message;
    const ghost = seated.find((one) => one.data.seat?.isInitiator === message.isInitiator);
    if (ghost && message["token"] === undefined) {
      say(socket, { type: "error", code: "role-taken", message: "held" });
      socket.data.seat = null;
      socket.close(4501, "role-taken");
      return;
    }
    if (ghost) leave(ghost);
    seated.push(socket);
    const opposite = seated.length > 1;
    say(socket, { type: "joined", token: "t", expiresInMs: 600_000, ...(script.additions && { opposite }) });
    if (!opposite) return;
    pairing++;
    for (const one of seated) {
      const other = seated.find((another) => another !== one);
      const added = script.additions && { pairing, peer: other?.data.seat?.["instance"] ?? null };
      say(one, { type: "ready", ...added, ...script.ready });
    }
  }

  function leave(socket: ScriptedSocket): void {
    const index = seated.indexOf(socket);
    if (index < 0) return;
    seated.splice(index, 1);
    for (const other of seated) say(other, { type: "peer-left" });
  }

  const server = Bun.serve<{ seat: Wire | null }>({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request, upgrading) {
      const { pathname, search } = new URL(request.url);
      paths.push(pathname + search);
      return upgrading.upgrade(request, { data: { seat: null } }) ? undefined : new Response();
    },
    websocket: {
      message(socket, text) {
        const message: Wire = JSON.parse(String(text));
        received.push(message);
        if (message.type === "ping") return void (script.pong !== false && say(socket, { type: "pong" }));
        if (message.type === "leave") return socket.close(1000);
        if (message.type === "join") return void (script.join?.(socket, message) || join(socket, message));
        const other = seated.find((one) => one !== socket);
        last = last.then(async () => {
          const changed = (await script.change?.(message)) ?? message;
          const told = script.pass?.(changed, socket.data.seat?.isInitiator === true, passed++) ?? [changed];
          for (const one of told) if (other) say(other, one);
        });
      },
      close: leave,
    },
  });
  return {
    url: `ws://127.0.0.1:${server.port}/`,
    script,
    received,
    paths,
    seated,
    tell(message) {
      for (const socket of seated) say(socket, message);
    },
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}
