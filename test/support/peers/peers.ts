/** Peers that live in a process of their own: it can be frozen, and with it all that they do. */
import { resolve } from "node:path";
import { until } from "../machines/until.ts";
import { type Launched, launch } from "../relays/relay.ts";

const PROGRAM = resolve(import.meta.dir, "peer-process.ts");

export interface PeersOptions {
  readonly isInitiator: boolean;
  /** So many messages of so many bytes each peer sends once it is ready. */
  readonly flood?: { readonly messages: number; readonly bytes: number };
  /** A command that starts the process, such as `ip netns exec NAME`. */
  readonly through?: readonly string[];
}

export class PeerProcess implements AsyncDisposable {
  readonly #launched: Launched;

  private constructor(launched: Launched) {
    this.#launched = launched;
  }

  /** Starts a process with one peer for each code; resolves when all are seated. */
  static async join(url: string, codes: readonly string[], options: PeersOptions): Promise<PeerProcess> {
    const role = options.isInitiator ? "initiator" : "joiner";
    const flood = options.flood ? [options.flood.messages, options.flood.bytes].map(String) : [];
    const cmd = [...(options.through ?? []), process.execPath, PROGRAM, url, codes.join(), role, ...flood];
    const allJoined = new RegExp(`(?:(?:(?!"joined")[^])*"joined"){${codes.length}}`);
    return new PeerProcess(await launch(cmd, allJoined));
  }

  /** Stops the process as a suspended laptop is: its sockets stay, its kernel still acknowledges. */
  freeze(): void {
    this.#launched.process.kill("SIGSTOP");
  }

  thaw(): void {
    this.#launched.process.kill("SIGCONT");
  }

  /** The lines that match so far. */
  lines(pattern: RegExp): string[] {
    return this.#launched.stdout.text.split("\n").filter((line) => pattern.test(line));
  }

  /** Waits until so many lines match. */
  async heard(pattern: RegExp, times = 1): Promise<string[]> {
    const { process, stderr } = this.#launched;
    return until(
      `${times} lines like ${pattern}`,
      () => this.lines(pattern),
      (lines) => {
        if (lines.length < times && process.exitCode !== null) throw new Error(`the peers ended early: ${stderr.text}`);
        return lines.length >= times;
      },
    );
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#launched[Symbol.asyncDispose]();
  }
}
