/**
 * A Debian with systemd as its process 1, booted by systemd-nspawn in a network of its own. What is written there is in
 * memory, over a tree that debootstrap has made, and gone with the machine. Needs Linux and root.
 */
import { readFile } from "node:fs/promises";
import { Output, run, spawn } from "../relays/relay.ts";
import { pathOf } from "./fronts.ts";
import { equals, until } from "./until.ts";

const SUITE = "bookworm";
/** What the machine has besides the least that boots: what docs/OPERATIONS.md names, and rpm to try its packages. */
const PACKAGES = [
  "systemd",
  "systemd-sysv",
  "dbus",
  "ca-certificates",
  "openssl",
  "procps",
  "curl",
  "nginx-light",
  "rpm",
];
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** In a network of its own, and known to nobody outside. */
const ALONE = ["--private-network", "--register=no", "--keep-unit", "--console=pipe"];
const NEEDED = { "systemd-nspawn": "systemd-container", debootstrap: "debootstrap", nsenter: "util-linux" };

export interface Said {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What of Debian's would have to be installed before a machine can be booted; null where nothing is. */
export function whatIsMissing(): string | null {
  const missing = Object.entries(NEEDED).filter(([program]) => pathOf(program) === null);
  if (missing.length === 0) return null;
  return `Debian's ${missing.map(([, from]) => from).join(", ")} would have to be installed`;
}

/** Why no machine can be booted here, whatever is installed, as in a container that may make none; null where one can. */
export function whyNoMachine(): string | null {
  if (process.platform !== "linux") return "machines need Linux";
  if (process.getuid?.() !== 0) return "machines are booted by root alone";
  const nspawn = pathOf("systemd-nspawn");
  if (nspawn === null) return null;
  const tried = Bun.spawnSync([nspawn, "--quiet", "--directory=/", "--volatile=yes", ...ALONE, "/bin/true"]);
  return tried.exitCode === 0 ? null : `systemd-nspawn can't be used: ${tried.stderr.toString().trim()}`;
}

/** Makes the tree that machines are booted from; takes about a minute. @throws Error with what debootstrap said last */
export async function makeTree(path: string): Promise<void> {
  const include = `--include=${PACKAGES.join(",")}`;
  const made = await run([pathOf("debootstrap") ?? "", "--variant=minbase", include, SUITE, path], { PATH });
  if (made.exitCode !== 0)
    throw new Error(`debootstrap: ${made.stdout.trim().split("\n").slice(-3).join("; ")} ${made.stderr.trim()}`);
}

export class Booted implements AsyncDisposable {
  readonly #nspawn: Bun.Subprocess;
  readonly #leader: number;

  private constructor(nspawn: Bun.Subprocess, leader: number) {
    this.#nspawn = nspawn;
    this.#leader = leader;
  }

  /** @param tree as makeTree has made it @param folder of this machine, to be read at /media */
  static async create(tree: string, folder: string): Promise<Booted> {
    const kept = ["--volatile=overlay", `--bind-ro=${folder}:/media`];
    const nspawn = spawn(["systemd-nspawn", "--quiet", "--directory", tree, "--boot", ...kept, ...ALONE]);
    const said = [new Output(nspawn.stdout), new Output(nspawn.stderr)];
    const leader = await until(
      "a machine's process 1",
      async () => {
        if (nspawn.exitCode !== null) throw new Error(`systemd-nspawn: ${said.map(({ text }) => text).join("")}`);
        return leaderOf(nspawn.pid);
      },
      (pid) => pid > 0,
    );
    const machine = new Booted(nspawn, leader);
    try {
      await until(
        "the machine to be up",
        async () => (await machine.run("systemctl is-system-running")).stdout.trim(),
        equals("running"),
      );
    } catch (failure) {
      await machine[Symbol.asyncDispose]();
      throw failure;
    }
    return machine;
  }

  /** The command before which a program runs in it. */
  get through(): string[] {
    const namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"];
    return ["nsenter", `--target=${this.#leader}`, ...namespaces, "--", "env", "-i", `PATH=${PATH}`, "LC_ALL=C.UTF-8"];
  }

  /** Runs a script as root, as if it were pasted into a shell of its own, which ends where a command fails. */
  run(script: string, folder = "/root"): Promise<Said> {
    const shell = ["DEBIAN_FRONTEND=noninteractive", "HOME=/root", "bash", "-e", "-o", "pipefail", "-c"];
    return run([...this.through, ...shell, `cd ${folder}\n${script}`], { PATH });
  }

  /** The same of one that has to succeed. Returns what it printed. */
  async do(script: string, folder?: string): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(script, folder);
    if (exitCode !== 0) throw new Error(`exit code ${exitCode} of\n${script}\n${stdout}${stderr}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#nspawn.kill("SIGTERM"); // it shuts the machine down
    await this.#nspawn.exited;
  }
}

/** The process that systemd-nspawn has made process 1 of the machine; NaN while it hasn't: its first child is another. */
async function leaderOf(nspawn: number): Promise<number> {
  const children = await readFile(`/proc/${nspawn}/task/${nspawn}/children`, "utf8").catch(() => "");
  const child = Number.parseInt(children, 10);
  const status = await readFile(`/proc/${child}/status`, "utf8").catch(() => "");
  return /^NSpid:.*\t1$/m.test(status) && /^Name:\tsystemd$/m.test(status) ? child : Number.NaN;
}
