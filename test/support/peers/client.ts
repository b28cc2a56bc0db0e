/** A peer under test, with the runtime's own WebSocket. */

import { HEARD_MS } from "../../../src/core/admission.ts";
import { until } from "../machines/until.ts";
import { Inbox, upToPong } from "./inbox.ts";

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export class Client {
  readonly #socket: WebSocket;
  readonly #inbox = new Inbox<string, Closed>();
  /** Resolves when the socket has closed, with the code that this side saw. */
  readonly closed: Promise<Closed>;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#inbox.push(String(data)));
    this.closed = new Promise((resolve) => {
      socket.addEventListener("close", ({ code, reason }) => {
        this.#inbox.end({ code, reason });
        resolve({ code, reason });
      });
    });
  }

  /** @param from the address that a proxy which the relay trusts would name */
  static async connect(url: string, from?: string): Promise<Client> {
    const socket = new WebSocket(url, from === undefined ? {} : { headers: { "X-Forwarded-For": from } });
    const client = new Client(socket);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener("open", () => resolve());
      socket.addEventListener("close", ({ code }) => reject(new Error(`no connection: ${code}`)));
    });
    return client;
  }

  /** Connects and joins; the `joined` is taken off. */
  static async join(url: string, sessionCode: string, isInitiator: boolean, from?: string): Promise<Client> {
    const client = await Client.connect(url, from);
    client.send({ type: "join", sessionCode, isInitiator });
    await client.expect("joined");
    return client;
  }

  /** Sends a message as JSON, or text and bytes as they are. Returns the text. */
  send(message: object | string): string {
    const text = typeof message === "string" ? message : JSON.stringify(message);
    this.#socket.send(text);
    return text;
  }

  sendBytes(bytes: Uint8Array<ArrayBuffer>): void {
    this.#socket.send(bytes);
  }

  close(code?: number): void {
    this.#socket.close(code);
  }

  /** Hangs up without a close frame. */
  terminate(): void {
    this.#socket.terminate();
  }

  /** The next message, as it came, or how the socket closed before one did. */
  nextOrEnd(): Promise<string | Closed> {
    return this.#inbox.next();
  }

  /** The next message, as it came. */
  async next(): Promise<string> {
    const next = await this.nextOrEnd();
    if (typeof next !== "string") throw new Error(`closed before a message: ${next.code} ${next.reason}`);
    return next;
  }

  /** The next message, which must be of this type. */
  async expect(type: string): Promise<Record<string, unknown>> {
    const text = await this.next();
    const message = JSON.parse(text) as Record<string, unknown>;
    if (message["type"] !== type) throw new Error(`expected ${type}, got ${text}`);
    return message;
  }

  /** The next message, which must be this error. */
  async expectError(code: string): Promise<void> {
    const text = await this.next();
    if (JSON.parse(text).code !== code) throw new Error(`expected the error ${code}, got ${text}`);
  }

  /** Everything that was on its way here: all messages up to the answer to a ping sent now. */
  drain(): Promise<string[]> {
    return upToPong(this);
  }
}

/** Waits until a peer that says nothing has been silent for so long that the relay would ask whether it is there. */
export async function untilSilent(): Promise<void> {
  await Bun.sleep(HEARD_MS + 50);
}

/**
 * A newcomer whose join has the relay ask the holder of the seat, after `untilSilent`. It comes again where it was refused
 * at once: a relay that stood still meanwhile has lived through less time than this process.
 */
export async function comeUntilProbed(url: string, join: object, from?: string): Promise<Client> {
  for (;;) {
    const newcomer = await Client.connect(url, from);
    newcomer.send({ type: "join", ...join });
    newcomer.send({ type: "ping" });
    if ((await newcomer.nextOrEnd()) === '{"type":"pong"}') return newcomer;
    await newcomer.closed;
    await Bun.sleep(50);
  }
}

/** Waits until a relay that was short of room takes a newcomer. */
export async function untilTaken(url: string): Promise<void> {
  await until("a newcomer to be taken", async () => {
    const newcomer = await Client.connect(url).catch(() => null);
    newcomer?.close();
    return newcomer !== null;
  });
}

/** 12 upper-case hex digits, as the clients make them. */
export function newCode(): string {
  return crypto.getRandomValues(new Uint8Array(6)).toHex().toUpperCase();
}

export interface Pair {
  readonly code: string;
  readonly alice: Client;
  readonly bob: Client;
}

/** Alice, the initiator, and Bob, the joiner, in one session, both told that they are ready. */
export async function newPair(url: string, code = newCode(), from?: string): Promise<Pair> {
  const alice = await Client.join(url, code, true, from);
  const bob = await Client.join(url, code, false, from);
  await Promise.all([alice.expect("ready"), bob.expect("ready")]);
  return { code, alice, bob };
}

/** That a pair still works and has heard nothing else: an offer one way and an answer the other, byte for byte. */
export async function expectUndisturbed({ code, alice, bob }: Pair): Promise<void> {
  const offer = alice.send({ type: "offer", sessionCode: code, offer: { type: "offer", sdp: newCode() } });
  const toBob = await bob.next();
  const answer = bob.send({ type: "answer", sessionCode: code, answer: { type: "answer", sdp: newCode() } });
  const toAlice = await alice.next();
  if (toBob !== offer || toAlice !== answer) throw new Error(`the pair was disturbed: ${toBob} ${toAlice}`);
}
