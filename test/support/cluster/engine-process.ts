/** A real engine: a redis-server or valkey-server of the test's own on a socket in a folder of its own, and what a test does to it. */
import { EPOCH_MS } from "../../../src/cluster/times.ts";
import { type Folder, newFolder } from "../machines/folder.ts";
import { pathOf } from "../machines/fronts.ts";
import { until } from "../machines/until.ts";
import { type Launched, launch } from "../relays/relay.ts";

const READY = /eady to accept connections/;
/** So long an engine that has just been started lets nobody claim, unless it is told that it has been there for longer. */
const LONG_AGO_MS = 1_000_000;

const HAS_VALKEY = pathOf("valkey-server") !== null;
/** With which an engine is tried: Valkey is not to be had for every Debian. */
export const PROGRAMS = HAS_VALKEY ? ["redis-server", "valkey-server"] : ["redis-server"];
/** Which is started where a test does not say. */
const USUAL = process.env["CLUSTER_ENGINE"] ?? "redis-server";

export interface EngineOptions {
  readonly program?: string;
  /** More words for its command line. */
  readonly args?: readonly string[];
  /** What stands before it. */
  readonly before?: readonly string[];
  /** Leaves it as it is after a start: nobody can claim for 8 s. */
  readonly isFresh?: boolean;
  readonly layout?: string;
}

export class EngineProcess implements AsyncDisposable {
  readonly path: string;
  readonly #folder: Folder;
  readonly #options: EngineOptions;
  #launched: Launched | null = null;

  private constructor(folder: Folder, options: EngineOptions) {
    this.#folder = folder;
    this.#options = options;
    this.path = folder.file("engine.sock");
  }

  static async start(options: EngineOptions = {}): Promise<EngineProcess> {
    const engine = new EngineProcess(await newFolder(), options);
    await engine.begin();
    if (options.isFresh !== true) await engine.age();
    return engine;
  }

  get url(): string {
    return `unix://${this.path}`;
  }

  get process() {
    if (!this.#launched) throw new Error("the engine is not there");
    return this.#launched.process;
  }

  /** Starts it, empty. */
  async begin(): Promise<void> {
    const { program = USUAL, before = [], args = [] } = this.#options;
    const own = ["--port", "0", "--unixsocket", this.path, "--dir", this.#folder.path];
    const keepsNothing = ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes"];
    this.#launched = await launch([...before, program, ...own, ...keepsNothing, ...args], READY);
  }

  /** Has it look as if it had been there for long. */
  async age(): Promise<void> {
    const info = await this.ask("INFO");
    const fact = (name: string) => new RegExp(`^${name}:(.*?)\r?$`, "m").exec(info)?.[1];
    const since = Date.now() - LONG_AGO_MS;
    const epoch = `1|${fact("run_id")}|${since}|${this.#options.layout ?? "1/1"}`;
    await this.ask("SET", "whisper:epoch", epoch, "PX", `${EPOCH_MS}`);
  }

  /** As if a node had just said hello: else it would wait with the first one, since its clock might have been set. */
  async touch(): Promise<void> {
    await this.ask("PEXPIRE", "whisper:epoch", `${EPOCH_MS}`);
  }

  /** One command, and what redis-cli prints of the answer. */
  async ask(...words: string[]): Promise<string> {
    const cli = Bun.spawn(["redis-cli", "-s", this.path, ...words], { stdout: "pipe", stderr: "pipe" });
    return (await cli.stdout.text()).trim();
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    const launched = this.#launched;
    this.#launched = null;
    await launched?.[Symbol.asyncDispose]();
  }

  /** Waits until nothing is left in it of sessions. */
  async untilForgotten(): Promise<void> {
    await until("the last claim to be gone", async () => (await this.ask("KEYS", "whisper:at:*")) === "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#folder[Symbol.asyncDispose]();
  }
}
