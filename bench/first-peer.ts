/**
 * How long it takes from starting a server until it serves. Run by `bun bench/first-peer.ts`, after `bun run build`, for
 * the relay alone, which says `joined`; `bun run bench` measures a first pair of each server.
 */
import { duration } from "../src/load/figures.ts";
import { whisper } from "../src/load/wire.ts";
import { SERVERS, type ServerName, start } from "./servers.ts";
import { figureTable, type Row } from "./tables.ts";

/** In us since the process was started. */
export interface FirstPeer {
  readonly server: ServerName;
  /** When it listened. */
  readonly listening: number;
  /** When its first peer had heard `joined`; null where nobody says so. */
  readonly joined: number | null;
  /** When its first pair had heard `ready`. */
  readonly ready: number;
}

/** So often each is started. */
export const STARTS = 20;
/** Longer than any of them takes, in ms. */
const TIMEOUT_MS = 20_000;

/** Starts a server once, and ends it. @throws Error where nobody hears what it should say */
export async function firstPeer(name: ServerName): Promise<FirstPeer> {
  const startMs = performance.now();
  const now = () => (performance.now() - startMs) * 1_000;
  await using server = await start(name, null);
  const listening = now();
  const first = await Peer.join(server.url, "initiator");
  const joined = name === "relay" ? await first.heard("joined").then(now) : null;
  const second = await Peer.join(server.url, "joiner");
  await Promise.all([first.heard("ready"), second.heard("ready")]);
  return { server: name, listening, joined, ready: now() };
}

/** The block of docs/BENCHMARKS.md. */
export function startsOf(starts: readonly FirstPeer[]): string {
  const names = [...new Set(starts.map(({ server }) => server))];
  const row = (label: string, read: (start: FirstPeer) => number | null): Row => {
    const of = (name: ServerName) => starts.filter(({ server }) => server === name).map(read);
    return {
      ...{ label, better: "less", write: duration },
      values: Object.fromEntries(names.map((name) => [name, of(name)])),
    };
  };
  const columns = Object.fromEntries(names.map((name) => [name, SERVERS[name].title]));
  return figureTable(columns, [
    row("until it listens", ({ listening }) => listening),
    row("until its first peer has heard `joined`", ({ joined }) => joined),
    row("until its first pair has heard `ready`", ({ ready }) => ready),
  ]);
}

/** A peer that only listens. */
class Peer {
  readonly #texts: string[] = [];
  #onText = () => {};

  private constructor(socket: WebSocket) {
    socket.addEventListener("message", ({ data }) => {
      this.#texts.push(String(data));
      this.#onText();
    });
  }

  static async join(url: string, role: "initiator" | "joiner"): Promise<Peer> {
    const socket = new WebSocket(url);
    const peer = new Peer(socket);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("close", ({ code }) => reject(new Error(`closed with ${code}`)));
    await promise;
    socket.send(whisper.join(role) ?? "");
    return peer;
  }

  async heard(type: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`nobody said ${type}`)), TIMEOUT_MS);
    this.#onText = () => {
      if (this.#texts.some((text) => text.startsWith(`{"type":"${type}"`))) resolve();
    };
    this.#onText();
    await promise.finally(() => clearTimeout(timer));
  }
}

if (import.meta.main) {
  const starts: FirstPeer[] = [];
  while (starts.length < STARTS) starts.push(await firstPeer("relay"));
  process.stdout.write(`${STARTS} starts\n\n${startsOf(starts)}\n`);
}
