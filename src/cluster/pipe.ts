/**
 * What relay and helper say to each other over a pipe: a line of JSON for each thing. Owns these lines. Times are ms of
 * `sharedMs`, by which both can tell how old a line is.
 */
import type { Reply } from "./script.ts";

/** Processes that are started together are within so much of each other, unless the machine's clock was set between. */
const TOGETHER_MS = 2_000;
let offMs = 0;

/** The same moment has the same number in relay and helper; it goes on while one of them stands still. */
export const sharedMs = (): number => performance.timeOrigin + performance.now() - offMs;

/** @param theirs what the other has for this moment */
export function agreeOn(theirs: number): void {
  const off = sharedMs() - theirs;
  if (Math.abs(off) > TOGETHER_MS) offMs = off;
}

/** Where an engine is, and how it is spoken to; the first line to a helper. */
export interface EngineConfig {
  /** Addresses of the host, or the path of a socket. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly isSocket: boolean;
  /** The name that its certificate has to have; null: no TLS. */
  readonly tlsName: string | null;
  /** The authority that has signed it, as PEM; null: those that the runtime trusts. */
  readonly ca: string | null;
  readonly user: string | null;
  readonly password: string | null;
  readonly database: number;
  /** The node's id, which its channel is named after. */
  readonly node: string;
  readonly mayPersist: boolean;
  /** When this was written. */
  readonly atMs: number;
  readonly isLocked: boolean;
}

/** Relay to helper. `id` 0: nobody waits for the answer. */
export type Order =
  | readonly ["call", id: number, atMs: number, keys: readonly string[], words: readonly string[]]
  | readonly ["publish", id: number, atMs: number, channel: string, text: string];

/** What can go wrong with an engine: reaching it, using it, its helper, and who else uses it. */
export const STAGES = ["connect", "greet", "settings", "call", "silence", "helper", "secret"] as const;
export type Stage = (typeof STAGES)[number];

/** Why a helper is not locked, and why it may connect to any port; null: it is, and may not. */
export type Obstacles = readonly [toLock: string | null, toConfinement: string | null];

/** Helper to relay. `up`: the engine can be spoken to, and since when it runs. */
export type Report =
  | readonly ["locked", ...Obstacles]
  | readonly ["up", run: string, upMs: number]
  | readonly ["down", stage: Stage, why: string, refusedAtMs: number | null]
  | readonly ["reply", id: number, reply: Reply]
  | readonly ["message", text: string];

export const line = (words: Order | Report | EngineConfig): string => `${JSON.stringify(words)}\n`;

/** Cuts a stream of bytes into its lines. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest: string[] = [];
  for await (const piece of stream) {
    const lines = decoder.decode(piece, { stream: true }).split("\n");
    for (const [i, text] of lines.entries()) {
      rest.push(text);
      if (i === lines.length - 1) break;
      yield rest.join("");
      rest = [];
    }
  }
}
