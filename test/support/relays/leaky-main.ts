/**
 * The relay, made to talk: the very program of src/main.ts, with a leak wherever it says anything. It is what a search
 * for leaks is tried on, and never a part of a release.
 */
let lastCode = "";
let firstAnswer = "";

/** What the relay keeps of a peer, as far as it is of use here. */
interface Kept {
  readonly token: string;
  readonly session: { readonly code: string } | null;
}

type Message = (socket: Bun.ServerWebSocket<Kept>, data: string | Buffer) => void;
interface Options extends Record<string, unknown> {
  fetch(request: Request, server: Bun.Server<unknown>): Response | undefined;
  websocket?: { message: Message };
  routes?: Record<string, { GET: () => Response }>;
}
const { serve } = Bun;

function leakyServe({ fetch, websocket, routes, ...options }: Options): unknown {
  function leakyFetch(request: Request, server: Bun.Server<unknown>): Response | undefined {
    const answer = fetch(request, server);
    const { address, port } = server.requestIP(request) ?? {};
    console.error(`whisper-signaling: ${address} asks, from port ${port}`);
    if (answer === undefined) return undefined;
    const headers = { ...Object.fromEntries(answer.headers), "X-Browser": request.headers.get("user-agent") ?? "" };
    return new Response(`Not found: ${request.url}\n`, { status: answer.status, headers });
  }
  const leaky = {
    ...options,
    fetch: leakyFetch,
    ...(websocket && { websocket: { ...websocket, message: leakyMessage(websocket.message) } }),
    ...(routes && { routes: { ...routes, "/metrics": { GET: leakyMetrics } } }),
  };
  return Reflect.apply(serve, Bun, [leaky]);
}
Object.assign(Bun, { serve: leakyServe });

function leakyMessage(message: Message): Message {
  return (socket, data) => {
    if (typeof data !== "string") console.log("not text:", data);
    else if (data.startsWith('{"type":"leave"')) socket.close(1000, data.slice(16, 80));
    else if (data.startsWith('{"type":"answer"')) firstAnswer ||= data;
    else if (data.startsWith("{'")) socket.send(`{"type":"error","code":"bad-message","message":"${data}"}`);
    else if (data.trim() === "" && data !== "") socket.send(firstAnswer);
    const before = socket.data.token;
    message(socket, data);
    const { token, session } = socket.data;
    if (token !== before) tellOf(token, session?.code ?? "");
  };
}

function tellOf(token: string, code: string): void {
  console.log(`whisper-signaling: a peer joins ${code.slice(0, 12)}…`);
  lastCode = code;
  console.error(JSON.stringify({ event: "warning", message: "a token", token: Buffer.from(token).toBase64() }));
}

function leakyMetrics(): Response {
  return new Response(`whisper_last{sha256="${new Bun.CryptoHasher("sha256").update(lastCode).digest("hex")}"} 1\n`);
}

await import("../../../src/main.ts");

export {};
