/** Three relays that share nothing, the balancers in front of them, and pairs by the browsers' library. */
import { expect } from "bun:test";
import { type ConnectOptions, connect, newCode, type Session } from "../../src/client/client.ts";
import { freePort } from "../support/machines/free-port.ts";
import { type FrontName, type RunningFront, startFront } from "../support/machines/fronts.ts";
import { equals, until } from "../support/machines/until.ts";
import { command, type RunningRelay, run, spawnRelay } from "../support/relays/relay.ts";

/** The balancer's certificate is the test's own. */
class TrustingSocket extends WebSocket {
  constructor(url: string | URL) {
    super(url, { tls: { rejectUnauthorized: false } } as object as string[]); // which Bun takes, and no browser
  }
}

/** How a session is begun here: signaling alone, without a peer connection. */
export const ALONE = { connection: false, WebSocket: TrustingSocket } as const;
export const BALANCERS = ["haproxy", "nginx"] as const satisfies FrontName[];

/** Three relays, each of which may be killed and come back where it was. */
export class Nodes implements AsyncDisposable {
  readonly ports = [freePort(), freePort(), freePort()] as const;
  readonly #relays = new Map<number, RunningRelay>();
  readonly #args: readonly string[];

  private constructor(args: readonly string[]) {
    this.#args = args;
  }

  /** @param args options of all of them */
  static async start(...args: string[]): Promise<Nodes> {
    const nodes = new Nodes(args);
    for (const port of nodes.ports) await nodes.up(port);
    return nodes;
  }

  async up(port: number): Promise<void> {
    const own = [`--port=${port}`, "--trust-proxy=127.0.0.1", "--drain=2s"];
    this.#relays.set(port, await spawnRelay("binary", ...own, ...this.#args));
  }

  relay(port: number): RunningRelay {
    const relay = this.#relays.get(port);
    if (!relay) throw new Error("this node is not up");
    return relay;
  }

  async kill(port: number): Promise<void> {
    await this.relay(port).stop("SIGKILL");
    this.#relays.delete(port);
  }

  /** How many sessions each has, in the order of the ports; 0 where it is down. */
  sessions(): Promise<number[]> {
    return Promise.all(this.ports.map(async (port) => (await this.#relays.get(port)?.sessions()) ?? 0));
  }

  gather(): void {
    for (const { process } of this.#relays.values()) process.kill("SIGUSR2");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const relay of this.#relays.values()) await relay[Symbol.asyncDispose]();
  }
}

export async function startBalancer(
  name: FrontName,
  ports: readonly number[],
  port = freePort(),
): Promise<RunningFront> {
  const nodes = ports.flatMap((node) => ["--node", `http://127.0.0.1:${node}`]);
  const { stdout, stderr } = await run(command("binary", "print", name, ...nodes));
  expect(stderr).toBe("");
  return startFront(name, stdout, { port });
}

/** Two who share a code, by the browsers' library, without a peer connection of their own. */
export class Two implements Disposable {
  readonly peers: [Session, Session];
  readonly readyAt: [number, number] = [0, 0];
  readonly isLost: [boolean, boolean] = [false, false];
  readonly heard: unknown[] = [];
  /** Why one of them gave up. */
  readonly failures: string[] = [];
  /** The longest that one of them was without the other, since they met. */
  longestMs = 0;
  readonly #open: (i: 0 | 1) => Session;

  constructor(one: string | string[], other = one, more: Partial<ConnectOptions> = {}) {
    const options = { ...ALONE, code: newCode(), ...more };
    this.#open = (i) => this.#watched(i, connect({ ...options, url: [one, other][i] ?? one }));
    this.peers = [this.#open(0), this.#open(1)];
    this.peers[1].addEventListener("signal", ({ detail }) => this.heard.push(detail));
  }

  #watched(i: 0 | 1, peer: Session): Session {
    let lostAt = Number.POSITIVE_INFINITY;
    const lose = () => {
      this.isLost[i] = true;
      lostAt = Math.min(lostAt, performance.now());
    };
    peer.addEventListener("ready", () => {
      this.readyAt[i] = performance.now();
      this.isLost[i] = false;
      this.longestMs = Math.max(this.longestMs, performance.now() - lostAt);
      lostAt = Number.POSITIVE_INFINITY;
    });
    peer.addEventListener("retrying", lose);
    peer.addEventListener("peer-left", lose);
    peer.addEventListener("failed", ({ detail }) => this.failures.push(detail.reason));
    return peer;
  }

  /** The first of them loads its page anew. */
  reload(): void {
    this.peers[0].close();
    this.readyAt[0] = 0;
    this.peers[0] = this.#open(0);
  }

  get areMet(): boolean {
    return this.readyAt.every((at) => at > 0) && !this.isLost.includes(true);
  }

  [Symbol.dispose](): void {
    for (const peer of this.peers) peer.close();
  }
}

/** Pairs who need no keys, and so little of this machine: their digits are in the URL, spread over all there are. */
export function plainPair(url: string, n: number): Two {
  const digits = ((n * 1_237) & 0xfff).toString(16).padStart(3, "0");
  return new Two(`${url}/?s=${digits}`, undefined, { sealed: false });
}

/** From one pair of newcomers to the next. */
const NEXT_MS = 200;

/** Pairs who come one after the other, for as long as something takes. */
export async function newcomersDuring(newPair: (n: number) => Two, what: () => Promise<void>): Promise<Two[]> {
  const all: Two[] = [];
  const timer = setInterval(() => all.push(newPair(all.length)), NEXT_MS);
  try {
    await what();
  } finally {
    clearInterval(timer);
  }
  return all;
}

export const met = (all: readonly Two[]) => all.filter(({ areMet }) => areMet).length;
export const untilMet = (all: readonly Two[]) =>
  until(`${all.length} pairs to meet`, () => met(all), equals(all.length));
