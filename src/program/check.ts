/**
 * A deployment tried from outside: plays both peers of one session, and a third, over the public wire.
 * It judges only what a client can see, and prints what happened and how long it took, never what was said. A relay that
 * keeps to its limits, or drains, is well: whoever restarts it for that would cut every pair.
 */
import { connect } from "node:net";
import { ERRORS, type ErrorName } from "../core/protocol.ts";

/** Longest wait for any one answer, in ms. */
const PATIENCE_MS = 5_000;
const CANDIDATES_EACH_WAY = 3;
/** Of a session description: as many as the smallest --max-message takes. */
const LINES = 30;

/** How the check introduces itself. */
export interface Hello {
  /** The page's origin, where the relay asks for one. */
  readonly origin: string | undefined;
  /** Whether the relay is this machine's own, reached by an address that its certificate need not name. */
  readonly isOwn: boolean;
}

class CheckFailed extends Error {}
/** The relay works, and takes no more of this now. */
class Limited extends Error {}

/** Errors by which a relay that is well turns a peer away. */
const LIMITS: readonly unknown[] = ["at-capacity", "rate-limited", "quota", "restarting", "slow"] satisfies ErrorName[];
/** What the relay answers to an upgrade that it refuses for now, always with Retry-After. */
const BUSY: readonly number[] = [429, 503];
const SWITCHING = 101;
/** A limit that is over by the time that it is asked about is met no more often than this. */
const TRIES = 3;

/** One socket and what it has received but nobody has asked for yet. */
class Caller {
  readonly #socket: WebSocket;
  readonly #received: string[] = [];
  #closedWith: number | null = null;
  #wake: () => void = () => {};

  /** @param limited is told the limit that turns it away */
  constructor(url: string, { origin, isOwn }: Hello, limited: (name: string) => void) {
    const headers = origin === undefined ? {} : { Origin: origin };
    this.#socket = new WebSocket(url, { headers, tls: { rejectUnauthorized: !isOwn } });
    this.#socket.onmessage = ({ data }) => {
      const text = String(data);
      const { type, code } = fieldsOf(text);
      if (type === "error" && LIMITS.includes(code)) limited(`${code}`);
      this.#received.push(text);
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
        if (fieldsOf(text).type === type) return text;
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

function fieldsOf(text: string): { type?: unknown; code?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** @returns the first of `hosts`, as they stand in URLs, at which something takes a connection; else the first */
export async function reachable(hosts: readonly [string, ...string[]], port: number): Promise<string> {
  for (const host of hosts)
    if (hosts.length > 1 && (await isListening(host.replace(/^\[(.*)\]$/, "$1"), port))) return host;
  return hosts[0];
}

function isListening(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port, timeout: PATIENCE_MS });
  for (const [event, answer] of [
    ["connect", true],
    ["error", false],
    ["timeout", false],
  ] as const)
    socket.once(event, () => resolve(answer));
  return promise.finally(() => socket.destroy());
}

/** Asks for an upgrade once more, by hand: a WebSocket does not say how it was refused. */
async function askAgain(url: string, { origin, isOwn }: Hello): Promise<"taken" | "busy" | "refused"> {
  const headers = {
    ...(origin !== undefined && { Origin: origin }),
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": crypto.getRandomValues(new Uint8Array(16)).toBase64(),
  };
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const tls = { rejectUnauthorized: !isOwn };
    const { status, headers: said, body } = await fetch(url.replace(/^ws/i, "http"), { headers, signal, tls });
    await body?.cancel();
    if (status === SWITCHING) return "taken";
    return BUSY.includes(status) && said.has("retry-after") ? "busy" : "refused";
  } catch {
    return "refused";
  }
}

/** Tries what one `ready` names; see turn-check.ts. */
export type TryServers = (
  ready: string,
  seen: (what: string) => void,
  failed: (why: string) => void,
) => Promise<number>;

/**
 * Checks the relay at `url` (ws: or wss:).
 * @param print takes one line per thing seen
 * @param tryServers where given, the servers for STUN and TURN that peers are told of are tried too
 * @returns whether all that it could see was as docs/PROTOCOL.md says; limits are
 */
export async function check(
  url: string,
  hello: Hello,
  print: (line: string) => void,
  tryServers?: TryServers,
): Promise<boolean> {
  const callers: Caller[] = [];
  let since = performance.now();
  function seen(what: string): void {
    const at = performance.now();
    print(`ok    ${what.padEnd(48)} ${(at - since).toFixed(1).padStart(8)} ms`);
    since = at;
  }
  const { promise: limited, reject } = Promise.withResolvers<never>();
  async function call(): Promise<Caller> {
    for (let tries = 1; ; tries++) {
      const caller = new Caller(url, hello, (name) => reject(new Limited(name)));
      callers.push(caller);
      try {
        await caller.opened();
        return caller;
      } catch (failure) {
        const answer = await askAgain(url, hello);
        if (answer === "busy" || (answer === "taken" && tries === TRIES)) throw new Limited("new connections");
        if (answer === "refused") throw failure;
      }
    }
  }
  try {
    const readies = await Promise.race([tryAll(call, seen), limited]);
    return tryServers === undefined || (await tryTold(readies, tryServers, seen, print));
  } catch (failure) {
    if (failure instanceof Limited) {
      print(`ok    it answers, and takes no more now: ${failure.message}`);
      return true;
    }
    print(`FAIL  ${failure instanceof CheckFailed ? failure.message : "the URL can't be connected to"}`);
    return false;
  } finally {
    for (const caller of callers) caller.close();
  }
}

async function tryTold(
  [first, second]: readonly [string, string],
  tryServers: TryServers,
  seen: (what: string) => void,
  print: (line: string) => void,
): Promise<boolean> {
  let isWell = true;
  const failed = (why: string) => {
    isWell = false;
    print(`FAIL  ${why}`);
  };
  if ((await tryServers(first, seen, failed)) === 0)
    throw new CheckFailed("peers are told of no server: see --turn-url");
  if (/"credential":/.test(first) && first === second)
    throw new CheckFailed("both peers were told the same credential");
  return isWell;
}

/** @returns the `ready` of each of the two peers */
async function tryAll(call: () => Promise<Caller>, seen: (what: string) => void): Promise<[string, string]> {
  const sessionCode = crypto.getRandomValues(new Uint8Array(6)).toHex().toUpperCase();
  const [initiator, joiner] = [await call(), await call()];
  seen("two peers connect");
  for (const [peer, isInitiator] of [[initiator, true] as const, [joiner, false] as const]) {
    peer.send({ type: "join", sessionCode, isInitiator });
    await peer.next("joined");
  }
  seen("both join one session");
  const readies = await Promise.all([initiator.next("ready"), joiner.next("ready")]);
  seen("both are told that they are ready");

  async function relayed(from: Caller, to: Caller, type: string, name: string, payload: object): Promise<void> {
    const sent = from.send({ type, sessionCode, [name]: payload });
    if ((await to.next(type)) !== sent) throw new CheckFailed(`the ${type} did not arrive byte for byte`);
  }
  const sdp = `v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n${"a=check: \u00e9 \u{1f511}\r\n".repeat(LINES)}`;
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
  return readies;
}
