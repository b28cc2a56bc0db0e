/** Peers that live in a process of their own: it can be frozen, and with it all that they do. */
import { resolve } from "node:path";
import { eventually } from "../machines/outside.ts";
import { Output, spawn } from "../relays/relay.ts";

const PROGRAM = resolve(import.meta.dir, "peer-process.ts");

export interface PeersOptions {
  readonly isInitiator: boolean;
  /** So many messages of so many bytes each peer sends once it is ready. */
  readonly flood?: { readonly messages: number; readonly bytes: number };
  /** A command that starts the process, such as `ip netns exec NAME`. */
  readonly through?: readonly string[];
}

export class PeerProcess implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #output: Output;

  private constructor(process: Bun.Subprocess<"ignore", "pipe", "pipe">) {
    this.#process = process;
    this.#output = new Output(process.stdout);
  }

  /** Starts a process with one peer for each code; resolves when all are seated. */
  static async join(url: string, codes: readonly string[], options: PeersOptions): Promise<PeerProcess> {
    const role = options.isInitiator ? "initiator" : "joiner";
    const flood = options.flood ? [options.flood.messages, options.flood.bytes].map(String) : [];
    const peers = new PeerProcess(
      spawn([...(options.through ?? []), process.execPath, PROGRAM, url, codes.join(), role, ...flood]),
    );
    await peers.heard(/"joined"/, codes.length);
    return peers;
  }

  /** Stops the process as a suspended laptop is: its sockets stay, its kernel still acknowledges. */
  freeze(): void {
    this.#process.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process.kill("SIGCONT");
  }

  /** The lines that match so far. */
  lines(pattern: RegExp): string[] {
    return this.#output.text.split("\n").filter((line) => pattern.test(line));
  }

  /** Waits until so many lines match. */
  async heard(pattern: RegExp, times = 1): Promise<string[]> {
    await eventually(() => this.lines(pattern).length >= times || this.#process.exitCode !== null);
    const lines = this.lines(pattern);
    if (lines.length < times) throw new Error(`the peers ended early: ${await this.#process.stderr.text()}`);
    return lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}
