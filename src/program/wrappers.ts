/**
 * The programs that run the package's script `start`: npx, npm, a shell, bun. Told to stop, some of them end and leave
 * the relay behind on its port. So it looks whether they are still there. Owns how they are found, on Linux; a relay
 * that was started in any other way has none.
 */
import { openSync, readFileSync, readSync } from "node:fs";
import type { Environment } from "./environment.ts";

/** How often to look, in ms. */
export const WATCH_MS = 500;
/** What npm and its kind set for what they run. */
const SCRIPT = "npm_lifecycle_event";
const PACKAGE = "npm_package_name";
/** Scripts that end when what they run ends: the package's own start, and npx's. Any other may leave a daemon behind. */
const WAITING = new RegExp(`(^|\\0)${SCRIPT}=(start|npx)\\0`);
const RUNNER = /\b(npm|npx|pnpm|yarn|bunx?|node)\b/;
/** The states of proc(5) in which a process has ended. */
const ENDED = /^.*\) [ZX]/s;
const STAT_BYTES = 1_024;

export class Wrappers {
  /** /proc/PID/stat of each, open, since after the lock nothing can be opened; null: it had ended by then. */
  readonly #stats: readonly (number | null)[];
  readonly #buffer = Buffer.alloc(STAT_BYTES);

  private constructor(stats: readonly (number | null)[]) {
    this.#stats = stats;
  }

  /**
   * @param env the environment, `parent` the process that started this one, `name` that of the package
   * @returns the programs above this one, up to the one that was started by a person or a service
   */
  static find(env: Environment, parent: number, name: string): Wrappers | null {
    if (env[SCRIPT] !== "start" || env[PACKAGE] !== name || read("/proc/self/stat") === null) return null;
    const stats: (number | null)[] = [];
    for (let pid = parent; ; ) {
      const stat = read(`/proc/${pid}/stat`);
      const isRunner = pid > 0 && RUNNER.test(read(`/proc/${pid}/cmdline`)?.replaceAll("\0", " ") ?? "");
      const isInside = WAITING.test(read(`/proc/${pid}/environ`) ?? "");
      if (stat === null || !(isRunner || isInside)) return new Wrappers([...stats, null]); // whoever was here has gone
      stats.push(open(`/proc/${pid}/stat`));
      if (!isInside) return new Wrappers(stats);
      pid = Number(stat.replace(/^.*\) /s, "").split(" ")[1]);
    }
  }

  /** Whether one of them has ended. */
  get isGone(): boolean {
    return this.#stats.some((descriptor) => descriptor === null || this.#hasEnded(descriptor));
  }

  #hasEnded(descriptor: number): boolean {
    try {
      return ENDED.test(this.#buffer.toString("latin1", 0, readSync(descriptor, this.#buffer, 0, STAT_BYTES, 0)));
    } catch {
      return true; // ESRCH: it has been buried, too
    }
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}

function open(path: string): number | null {
  try {
    return openSync(path, "r");
  } catch {
    return null;
  }
}
