/**
 * A deployment tried from outside: plays both peers of one session, and a third, over the public wire.
 * It judges only what a client can see, and prints what happened and how long it took, never what was said.
 */
import { ERRORS } from "../core/protocol.ts";

/** Longest wait for any one answer, in ms. */
const PATIENCE_MS = 5_000;
const CANDIDATES_EACH_WAY = 3;

/** How the check introduces itself. */
export interface Hello {
  /** The page's origin, where the relay asks for one. */
  readonly origin: string | undefined;
  /** Whether the relay is this machine's own, reached by an address that its certificate need not name. */
  readonly isOwn: boolean;
}

class CheckFailed extends Error {}

/** One socket and what it has received but nobody has asked for yet. */
class Caller {
  readonly #socket: WebSocket;
  readonly #received: string[] = [];
  #closedWith: number | null = null;
  #wake: () => void = () => {};

  constructor(url: string, { origin, isOwn }: Hello) {
    const headers = origin === undefined ? {} : { Origin: origin };
    this.#socket = new WebSocket(url, { headers, tls: { rejectUnauthorized: !isOwn } });
    this.#socket.onmessage = ({ data }) => {
      this.#received.push(String(data));
      this.#wake();
    };
    this.#socket.onopen = () => this.#wake();
    this.#socket.onclose = ({ code }) => {
      this.#closedWith = code;
      this.#wake();
    };
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(message: object): string {
    const text = JSON.stringify(message);
    this.#socket.send(text);
    return text;
  }

  close(): void {
    this.#socket.close();
  }

  opened(): Promise<boolean> {
    return this.#until("the connection", () => this.isOpen || null);
  }

  /** The next message of this type; others that come before it are passed over, as a client does. */
  next(type: string): Promise<string> {
    return this.#until(`"${type}"`, () => {
      for (let text = this.#received.shift(); text !== undefined; text = this.#received.shift())
        if (typeOf(text) === type) return text;
      return null;
    });
  }

  closed(): Promise<number> {
    return this.#until("a close", () => this.#closedWith, true);
  }

  /** Asks `found` after every event, until it has something. */
  async #until<T>(what: string, found: () => T | null, closeIsFine = false): Promise<T> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const value = found();
      if (value !== null) return value;
      if (this.#closedWith !== null && !closeIsFine)
        throw new CheckFailed(`${what} did not come: closed with ${this.#closedWith}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, Math.max(0, deadline - performance.now()));
      await promise;
      clearTimeout(timer);
      if (performance.now() >= deadline) throw new CheckFailed(`${what} did not come within ${PATIENCE_MS / 1_000} s`);
    }
  }
}

function typeOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "type" in value ? value.type : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Checks the relay at `url` (ws: or wss:).
 * @param print takes one line per thing seen
 * @returns whether all of it was as docs/PROTOCOL.md says
 */
export async function check(url: string, hello: Hello, print: (line: string) => void): Promise<boolean> {
  const callers: Caller[] = [];
  let since = performance.now();
  function seen(what: string): void {
    const at = performance.now();
    print(`ok    ${what.padEnd(48)} ${(at - since).toFixed(1).padStart(8)} ms`);
    since = at;
  }
  async function call(): Promise<Caller> {
    const caller = new Caller(url, hello);
    callers.push(caller);
    await caller.opened();
    return caller;
  }
  try {
    await tryAll(call, seen);
    return true;
  } catch (failure) {
    print(`FAIL  ${failure instanceof CheckFailed ? failure.message : "the URL can't be connected to"}`);
    return false;
  } finally {
    for (const caller of callers) caller.close();
  }
}

async function tryAll(call: () => Promise<Caller>, seen: (what: string) => void): Promise<void> {
  const sessionCode = crypto.getRandomValues(new Uint8Array(6)).toHex().toUpperCase();
  const [initiator, joiner] = [await call(), await call()];
  seen("two peers connect");
  for (const [peer, isInitiator] of [[initiator, true] as const, [joiner, false] as const]) {
    peer.send({ type: "join", sessionCode, isInitiator });
    await peer.next("joined");
  }
  seen("both join one session");
  await Promise.all([initiator.next("ready"), joiner.next("ready")]);
  seen("both are told that they are ready");

  async function relayed(from: Caller, to: Caller, type: string, name: string, payload: object): Promise<void> {
    const sent = from.send({ type, sessionCode, [name]: payload });
    if ((await to.next(type)) !== sent) throw new CheckFailed(`the ${type} did not arrive byte for byte`);
  }
  const sdp = `v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n${"a=check: \u00e9 \u{1f511}\r\n".repeat(100)}`;
  await relayed(initiator, joiner, "offer", "offer", { type: "offer", sdp });
  seen("an offer arrives byte for byte");
  await relayed(joiner, initiator, "answer", "answer", { type: "answer", sdp });
  seen("an answer arrives byte for byte");
  for (let i = 0; i < CANDIDATES_EACH_WAY; i++) {
    const candidate = { candidate: `candidate:${i} 1 udp 1 192.0.2.1 9 typ host`, sdpMid: "0", sdpMLineIndex: 0 };
    await relayed(initiator, joiner, "ice-candidate", "candidate", candidate);
    await relayed(joiner, initiator, "ice-candidate", "candidate", candidate);
  }
  seen("candidates arrive both ways");

  const third = await call();
  third.send({ type: "join", sessionCode });
  const code = await third.closed();
  if (code !== ERRORS["session-full"].close) throw new CheckFailed(`a third peer was not refused: close code ${code}`);
  seen("a third peer is refused");
  await relayed(initiator, joiner, "offer", "offer", { type: "offer", sdp });
  seen("the pair did not notice");
  initiator.send({ type: "leave" });
  await Promise.all([initiator.closed(), joiner.next("peer-left")]);
  seen("a peer leaves and the other is told");
}
