/**
 * Plays a service manager that is told by sd_notify(3): a real datagram socket, by path or by an abstract name, held by
 * another process, which says of each message what is in it and which process the kernel names as its sender.
 */
import { Output, spawn } from "../relays/relay.ts";
import { newFolder } from "./folder.ts";
import { until } from "./until.ts";

const LISTEN = `
import json, socket, struct, sys
name = sys.argv[1]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
listener.bind("\\0" + name[1:] if name.startswith("@") else name)
print("listening", flush=True)
while True:
    text, ancillary, _, _ = listener.recvmsg(4096, 1024)
    pid = next(struct.unpack("3i", data)[0] for level, kind, data in ancillary if kind == socket.SCM_CREDENTIALS)
    print(json.dumps({"pid": pid, "text": text.decode()}), flush=True)
`;

export const HAS_PYTHON = Bun.which("python3") !== null && process.platform === "linux";

export interface Told {
  readonly pid: number;
  readonly text: string;
}

export class Manager implements AsyncDisposable {
  /** What NOTIFY_SOCKET has to be. */
  readonly socket: string;
  readonly #process: ReturnType<typeof spawn>;
  readonly #stdout: Output;
  readonly #owned: AsyncDisposableStack;

  private constructor(socket: string, process: ReturnType<typeof spawn>, stdout: Output, owned: AsyncDisposableStack) {
    this.socket = socket;
    this.#process = process;
    this.#stdout = stdout;
    this.#owned = owned;
  }

  static async start(kind: "path" | "abstract"): Promise<Manager> {
    await using started = new AsyncDisposableStack();
    const folder = started.use(await newFolder());
    const socket = kind === "path" ? folder.file("notify") : `@${folder.path}/notify`;
    const process = spawn(["python3", "-c", LISTEN, socket]);
    started.defer(async () => {
      process.kill("SIGKILL");
      await process.exited;
    });
    const stdout = new Output(process.stdout);
    await stdout.until(/listening/);
    return new Manager(socket, process, stdout, started.move());
  }

  /** All that it was told until now, in order. */
  get told(): readonly Told[] {
    const lines = this.#stdout.text.split("\n").slice(1, -1);
    return lines.map((line) => JSON.parse(line) as Told);
  }

  get texts(): readonly string[] {
    return this.told.map(({ text }) => text);
  }

  /** Waits until it was told this. */
  hears(text: string): Promise<boolean> {
    return until(`the manager to hear ${text}`, () => this.texts.includes(text));
  }

  /** Stands still, and goes on. */
  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.#process.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}
