/**
 * Plays systemd for a script that is run with `path` in front of its PATH: its `systemctl` starts and stops real
 * processes, which end with the test. As for units of Type=notify a start waits until the unit is ready, and fails where it ends before.
 */
import { chmod } from "node:fs/promises";
import { Output, spawn } from "../relays/relay.ts";
import { type Folder, newFolder } from "./folder.ts";

export class Systemd implements AsyncDisposable {
  /** What it was asked for, without the questions. */
  readonly calls: string[] = [];
  readonly #folder: Folder;
  readonly #commandOf: (unit: string) => readonly string[];
  readonly #server: Bun.Server<undefined>;
  readonly #units = new Map<string, Bun.Subprocess>();
  readonly #stopping = new Set<string>();

  private constructor(folder: Folder, commandOf: (unit: string) => readonly string[]) {
    this.#folder = folder;
    this.#commandOf = commandOf;
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0, // a unit may take its time to stop
      fetch: async (request) => new Response("", { status: (await this.#do(await request.text())) ? 200 : 404 }),
    });
  }

  /** @param commandOf what the unit of this name runs */
  static async create(commandOf: (unit: string) => readonly string[]): Promise<Systemd> {
    const systemd = new Systemd(await newFolder(), commandOf);
    const script = `#!/bin/sh\nexec curl --silent --fail --data-binary "$*" ${systemd.#server.url.href}\n`;
    await chmod(await systemd.#folder.write("systemctl", script), 0o755);
    return systemd;
  }

  /** The folder that `systemctl` is in. */
  get path(): string {
    return this.#folder.path;
  }

  get running(): string[] {
    return [...this.#units.keys()].filter((unit) => this.#isActive(unit)).sort();
  }

  /** Starts a unit. Returns whether it got ready. */
  async start(unit: string): Promise<boolean> {
    const process = spawn(this.#commandOf(unit));
    this.#units.set(unit, process);
    return (await new Output(process.stdout).until(/listening on/)).length > 0;
  }

  /** Stops a unit. Returns its exit code once it has ended. */
  async stop(unit: string): Promise<number | undefined> {
    this.#stopping.add(unit);
    const process = this.#units.get(unit);
    process?.kill("SIGTERM");
    const exitCode = await process?.exited;
    this.#units.delete(unit);
    this.#stopping.delete(unit);
    return exitCode;
  }

  #isActive(unit: string): boolean {
    return this.#units.get(unit)?.exitCode === null && !this.#stopping.has(unit);
  }

  async #do(call: string): Promise<boolean> {
    const [verb = "", unit = ""] = call.split(" ").filter((word) => !word.startsWith("--"));
    if (verb === "is-active") return this.#isActive(unit);
    this.calls.push(`${verb} ${unit}`);
    if (verb === "start") return this.start(unit);
    if (verb === "stop") await this.stop(unit);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#units.values()) {
      process.kill("SIGKILL");
      await process.exited;
    }
    await this.#server.stop(true);
    await this.#folder[Symbol.asyncDispose]();
  }
}
