/** A control group of its own with a limit of memory, as a container has one, without a container. Needs Linux and root. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";

/** Where groups that limit memory are made, and the file that holds the limit; null where there is no such place. */
function place(): { root: string; limit: string } | null {
  if (existsSync("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
    return { root: "/sys/fs/cgroup/memory", limit: "memory.limit_in_bytes" };
  return existsSync("/sys/fs/cgroup/cgroup.subtree_control") ? { root: "/sys/fs/cgroup", limit: "memory.max" } : null;
}

export class MemoryGroup implements Disposable {
  readonly #path: string;

  /** @throws Error where this machine lets no such group be made */
  constructor(bytes: number) {
    const found = place();
    if (found === null) throw new Error("there are no control groups here");
    this.#path = `${found.root}/whisper-test-${process.pid}`;
    if (found.limit === "memory.max") writeFileSync(`${found.root}/cgroup.subtree_control`, "+memory");
    mkdirSync(this.#path);
    writeFileSync(`${this.#path}/${found.limit}`, String(bytes));
  }

  /** What stands in the way of such a group here, or null. */
  static whyNot(): string | null {
    try {
      using _tried = new MemoryGroup(1 << 30);
      return null;
    } catch (failure) {
      return `no control group can be made: ${failure instanceof Error ? failure.message : failure}`;
    }
  }

  /** The command before which a program runs in the group. */
  get through(): string[] {
    return ["sh", "-c", 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"', "sh", this.#path];
  }

  /** All that ran in it must have ended. */
  [Symbol.dispose](): void {
    rmdirSync(this.#path);
  }
}
