/**
 * All that is kept of one socket, for as long as it is open: its seat, its token, and counts. No address, no message.
 */
import { timingSafeEqual } from "node:crypto";
import type { ServerWebSocket } from "bun";
import type { Pulse } from "./liveness.ts";
import type { ErrorName } from "./protocol.ts";
import type { Session } from "./sessions.ts";

export type Socket = ServerWebSocket<Peer>;

export class Peer implements Pulse {
  heardAt: number;
  readonly spoke: number;
  /** Where its address is counted, or EXEMPT. */
  readonly place: number;
  readonly connectedAt: number;
  session: Session<Socket> | null = null;
  /** What a later socket must name to take this one's seat at once. */
  #token = "";
  /** Whose seat it waits for, while that one is probed. */
  probed: Socket | null = null;
  /** Why it was closed here. */
  closedFor: ErrorName | "silent" | null = null;
  badMessages = 0;
  messages = 0;
  bytes = 0;
  /** When its bucket of messages is full again. */
  fullAt = 0;

  constructor({ heardAt, spoke }: Pulse, place: number, connectedAt: number) {
    this.heardAt = heardAt;
    this.spoke = spoke;
    this.place = place;
    this.connectedAt = connectedAt;
  }

  /** Makes the token for a seat just taken: 128 random bits as hex. */
  newToken(): string {
    this.#token = crypto.getRandomValues(new Uint8Array(16)).toHex();
    return this.#token;
  }

  /** Whether `token` is the one made last; how long the comparison takes tells nothing about it. */
  isProvedBy(token: string | null): boolean {
    const [given, own] = [Buffer.from(token ?? ""), Buffer.from(this.#token)];
    return given.length === own.length && own.length > 0 && timingSafeEqual(given, own);
  }
}
