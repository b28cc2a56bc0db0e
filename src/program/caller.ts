/** One peer of a check: a socket, and what it has received but nobody has asked for yet. It judges nothing. */
import type { ErrorName } from "../core/protocol.ts";
import { type Hello, PATIENCE_MS } from "./diagnosis.ts";

/** What was waited for did not come. */
export class CheckFailed extends Error {}

/** Errors by which a relay that is well turns a peer away. */
const LIMITS: readonly unknown[] = ["at-capacity", "rate-limited", "quota", "restarting", "slow"] satisfies ErrorName[];

export class Caller {
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

/** What of a message is looked at here; nothing of what is none. */
export function fieldsOf(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

interface Fields {
  readonly type?: unknown;
  readonly code?: unknown;
  readonly opposite?: unknown;
  readonly pairing?: unknown;
  readonly peer?: unknown;
  readonly iceServers?: unknown;
}
