/** A relay with known delays and known faults, for what measures relays, in a process that can be stalled with it. */
import { resolve } from "node:path";
import { type Launched, launch } from "./relay.ts";

const PROGRAM = resolve(import.meta.dir, "fake-relay-process.ts");

/** Refuses an upgrade with 503, or never answers it. */
export type UpgradeFault = "refuse" | "hang";
/**
 * What is done to a session as soon as both peers have joined. close: the initiator is closed with 4500; complain: it is
 * told the error role-taken and closed with 4501; drop: its connection ends without a word; mute: nobody hears ready;
 * lose: the answer is not passed on; silence: nothing is.
 */
export type SessionFault = "close" | "complain" | "drop" | "mute" | "lose" | "silence";

/**
 * What is done to a single message. lose: it is not passed on; duplicate: twice; reorder: after the next one; corrupt:
 * with one letter changed; misdeliver: to a peer of another session instead.
 */
export type MessageFault = "lose" | "duplicate" | "reorder" | "corrupt" | "misdeliver";

export interface Behaviour {
  /** From the second join of a session to its `ready`, in ms. */
  readonly readyMs: number;
  /** The same in every so many-th session, in ms. */
  readonly slowReadyMs: number;
  readonly slowReadyEvery: number;
  /** What each message takes, in ms. */
  readonly messageMs: number;
  /** The same in every so many-th session, in ms. */
  readonly slowMessageMs: number;
  readonly slowMessageEvery: number;
  /** Every so many-th message meets the next one of these. */
  readonly messageFaults: readonly MessageFault[];
  readonly messageFaultEvery: number;
  /** Messages of this type go back to their sender too. */
  readonly echoed: string;
  /** Of further upgrades than twice so many a second, each is refused. */
  readonly mostSessionsASecond: number;
  /** Every so many-th upgrade meets the next one of these. */
  readonly upgradeFaults: readonly UpgradeFault[];
  readonly upgradeFaultEvery: number;
  /** Every so many-th session meets the next one of these. */
  readonly sessionFaults: readonly SessionFault[];
  readonly sessionFaultEvery: number;
}

/** What it saw and did so far. */
export interface Seen {
  upgrades: number;
  open: number;
  mostOpen: number;
  /** How often both seats of a session came to be held. */
  sessions: number;
  /** Messages that peers sent for each other. */
  messages: number;
  /** When each join came, by a clock of its own. */
  readonly joinsMs: number[];
  readonly faults: { [fault in UpgradeFault | SessionFault | MessageFault]?: number };
}

const HARMLESS: Behaviour = {
  readyMs: 0,
  slowReadyMs: 0,
  slowReadyEvery: 1_000_000,
  messageMs: 0,
  slowMessageMs: 0,
  slowMessageEvery: 1_000_000,
  messageFaults: [],
  messageFaultEvery: 1,
  echoed: "",
  mostSessionsASecond: 1_000_000,
  upgradeFaults: [],
  upgradeFaultEvery: 1,
  sessionFaults: [],
  sessionFaultEvery: 1,
};

export class FakeRelay implements AsyncDisposable {
  readonly port: number;
  readonly #launched: Launched;

  private constructor(launched: Launched) {
    this.#launched = launched;
    this.port = Number(launched.said[0]);
  }

  /** Starts one; it does no harm but what is given. */
  static async start(behaviour: Partial<Behaviour> = {}): Promise<FakeRelay> {
    return new FakeRelay(
      await launch([process.execPath, PROGRAM, JSON.stringify({ ...HARMLESS, ...behaviour })], /^\d+/),
    );
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  async seen(): Promise<Seen> {
    return (await (await fetch(`http://127.0.0.1:${this.port}/seen`)).json()) as Seen;
  }

  /** Freezes it: the kernel goes on to take connections and bytes. Returns how long it really was, in ms. */
  async stall(ms: number): Promise<number> {
    this.#launched.process.kill("SIGSTOP");
    const since = performance.now();
    await Bun.sleep(ms);
    this.#launched.process.kill("SIGCONT");
    return performance.now() - since;
  }

  get pid(): number {
    return this.#launched.process.pid;
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#launched[Symbol.asyncDispose]();
  }
}
