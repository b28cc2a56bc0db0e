/**
 * The helper's connection to the engine, and its supervisor. Owns when it connects, when it gives a connection up, and
 * what the engine's settings have to be. It keeps nothing to be sent later: what can't be sent now is answered with null.
 */
import { type EngineConfig, type Order, type Report, sharedMs } from "./pipe.ts";
import { Decoder, EngineError, encode, Push, type Value } from "./resp.ts";
import { ALL, channelOf, SCRIPT } from "./script.ts";
import { FRESH_MS } from "./times.ts";

/** An engine that does not answer, or a machine that does not, for so long is left. */
export const SILENT_MS = 3_000;
/**
 * Between two tries, of which the first comes at once, unless the connection before had only just begun; half of it is
 * left to chance, so that nodes don't come in step.
 */
const RETRY_MS = [0, 50, 100, 200, 400, 800];
/** It sends us away for good, or another one is the engine now: what it says is of no use. */
const FATAL = ["READONLY", "MASTERDOWN", "LOADING", "NOSCRIPT", "NOAUTH", "NOPERM"];
/** What operators are told of by its name: it is no way for an engine to write what it likes into their logs. */
const TOLD = [...FATAL, "OOM", "NOREPLICAS", "MISCONF", "BUSY", "WRONGTYPE"];

type Socket = Bun.Socket<undefined>;

/** One connection. */
class Connection {
  readonly #socket: Socket;
  readonly #decoder = new Decoder();
  readonly #waiting: { at: number; take: (value: Value) => void }[] = [];
  readonly #pushed: (values: readonly Value[]) => void;
  #unsent = "";

  constructor(socket: Socket, pushed: (values: readonly Value[]) => void) {
    this.#socket = socket;
    this.#pushed = pushed;
  }

  /** When the oldest question was asked that has no answer yet. */
  get waitsSince(): number {
    return this.#waiting[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  ask(words: readonly string[], take: (value: Value) => void): void {
    this.#waiting.push({ at: sharedMs(), take });
    this.say(words);
  }

  say(words: readonly string[]): void {
    this.#unsent += encode(words);
    this.flush();
  }

  asked(words: readonly string[]): Promise<Value> {
    return new Promise((resolve) => this.ask(words, resolve));
  }

  flush(): void {
    if (this.#unsent === "") return;
    const bytes = Buffer.from(this.#unsent);
    const written = Math.max(0, this.#socket.write(bytes));
    this.#unsent = written === bytes.length ? "" : bytes.toString("utf8", written);
  }

  take(piece: Uint8Array): void {
    for (const value of this.#decoder.take(piece))
      if (value instanceof Push) this.#pushed(value.values);
      else this.#waiting.shift()?.take(value);
  }

  end(): void {
    this.#socket.terminate();
  }
}

/** Why an attempt failed; `refusedAt`: nobody listens there. */
interface Failure {
  readonly stage: "connect" | "greet" | "settings" | "call" | "silence";
  readonly why: string;
  readonly isRefused?: boolean;
}

export class Engine {
  readonly #config: EngineConfig;
  readonly #tell: (report: Report) => void;
  #connection: Connection | null = null;
  #sha = "";
  #tries = 0;
  /** The words of the last hello, of which the end of a lease is made. */
  #hello: readonly string[] = [];

  constructor(config: EngineConfig, tell: (report: Report) => void) {
    this.#config = config;
    this.#tell = tell;
    setInterval(() => this.#watch(), SILENT_MS / 6);
  }

  /** Connects, and after each end again. */
  async run(): Promise<never> {
    for (;;) {
      const pauseMs = RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)] ?? 0;
      await Bun.sleep(pauseMs * (0.5 + Math.random() / 2));
      const begunAt = sharedMs();
      const { stage, why, isRefused = false } = await this.#once();
      if (this.#connection !== null && sharedMs() - begunAt > SILENT_MS) this.#tries = 0;
      this.#connection = null;
      this.#tell(["down", stage, why, isRefused ? begunAt : null]);
    }
  }

  /** Does what the relay asks for, unless it is too old by now. */
  obey([what, id, atMs, ...rest]: Order): void {
    const connection = this.#connection;
    const answer = (reply: (string | number)[] | null) => id !== 0 && this.#tell(["reply", id, reply]);
    if (connection === null || sharedMs() - atMs > FRESH_MS) return void answer(null);
    if (what === "publish") {
      const [channel, text] = rest as readonly [string, string];
      connection.ask(["PUBLISH", channel, text], (value) =>
        answer(typeof value === "number" ? [value] : this.#failed(value)),
      );
      return;
    }
    const [keys, words] = rest as readonly [readonly string[], readonly string[]];
    if (words[0] === "hello") this.#hello = words;
    connection.ask(["EVALSHA", this.#sha, `${keys.length}`, ...keys, ...words], (value) =>
      answer(
        Array.isArray(value) ? value.map((one) => (typeof one === "number" ? one : `${one}`)) : this.#failed(value),
      ),
    );
  }

  /** The relay has gone without a word: what it had is free at once. */
  async bye(): Promise<void> {
    const connection = this.#connection;
    if (!connection || this.#hello.length === 0) return;
    connection.say(["PUBLISH", ALL, `b ${this.#config.node}`]);
    const said = connection.asked(["EVALSHA", this.#sha, "0", "bye", ...this.#hello.slice(1)]);
    await Promise.race([said, Bun.sleep(FRESH_MS)]);
  }

  #failed(value: Value): (string | number)[] {
    const word = value instanceof EngineError && TOLD.includes(value.word) ? value.word : "ERR";
    if (FATAL.includes(word)) this.#end({ stage: "call", why: word });
    return ["error", word];
  }

  #end: (failure: Failure) => void = () => {};

  /** One connection from its beginning to its end. */
  async #once(): Promise<Failure> {
    const { promise, resolve } = Promise.withResolvers<Failure>();
    let connection: Connection | null = null;
    this.#end = (failure) => {
      resolve(failure);
      connection?.end();
    };
    const failures: Failure[] = [];
    for (const address of this.#config.addresses) {
      const opened = await this.#open(address);
      if ("why" in opened) {
        failures.push(opened);
        continue;
      }
      connection = opened;
      break;
    }
    if (connection === null) {
      const isRefused = failures.every((failure) => failure.isRefused === true);
      return { stage: "connect", why: failures[0]?.why ?? "no address", isRefused };
    }
    this.#greeting = connection;
    const failure = await Promise.race([promise, this.#greet(connection)]);
    this.#greeting = null;
    if (failure !== null) {
      connection.end();
      return failure;
    }
    this.#connection = connection;
    return promise;
  }
  /** A connection that is not ready yet. */
  #greeting: Connection | null = null;

  async #open(address: string): Promise<Connection | Failure> {
    const { port, isSocket, tlsName, ca } = this.#config;
    const end = (why: string) => this.#end({ stage: "connect", why });
    const opened = Promise.withResolvers<Connection | Failure>();
    const handlers: Bun.SocketHandler<undefined> = {
      open: (socket) => {
        if (tlsName === null) opened.resolve(this.#begin(socket));
      },
      handshake: (socket, isGood, failure) => {
        if (isGood) opened.resolve(this.#begin(socket));
        else opened.resolve({ stage: "connect", why: `its certificate is not good: ${failure?.message ?? "unknown"}` });
      },
      data: (_, piece) => this.#arrive(piece),
      drain: () => (this.#connection ?? this.#greeting)?.flush(),
      close: () => {
        opened.resolve({ stage: "connect", why: "closed before a word" });
        end("the connection was closed");
      },
      error: () => end("the connection broke"),
    };
    const tls =
      tlsName === null ? {} : { tls: { serverName: tlsName, rejectUnauthorized: true, ...(ca !== null && { ca }) } };
    const connecting = isSocket
      ? Bun.connect({ unix: address, socket: handlers, data: undefined })
      : Bun.connect({ hostname: address, port, socket: handlers, data: undefined, ...tls });
    connecting.catch((failure: unknown) => {
      const code = failure instanceof Error && "code" in failure ? `${failure.code}` : "unknown";
      opened.resolve({ stage: "connect", why: code, isRefused: code === "ECONNREFUSED" || code === "ENOENT" });
    });
    const timer = setTimeout(() => {
      opened.resolve({ stage: "silence", why: "nobody answers" });
      connecting.then((socket) => socket.terminate()).catch(() => {});
    }, SILENT_MS);
    const result = await opened.promise;
    clearTimeout(timer);
    return result;
  }

  #begin(socket: Socket): Connection {
    const connection = new Connection(socket, ([kind, , text]) => {
      if (kind === "message") this.#tell(["message", `${text}`]);
    });
    this.#greeting = connection;
    return connection;
  }

  #arrive(piece: Uint8Array): void {
    try {
      (this.#connection ?? this.#greeting)?.take(piece);
    } catch {
      this.#end({ stage: "call", why: "what it says is no RESP3" });
    }
  }

  /** Says who we are and looks at what it is. @returns null where it can be used */
  async #greet(connection: Connection): Promise<Failure | null> {
    const { user, password, database, node, mayPersist } = this.#config;
    const auth = password === null ? [] : ["AUTH", user ?? "default", password];
    const hello = await connection.asked(["HELLO", "3", ...auth]);
    if (hello instanceof EngineError) return { stage: "greet", why: hello.word };
    if (database !== 0) {
      const selected = await connection.asked(["SELECT", `${database}`]);
      if (selected instanceof EngineError) return { stage: "greet", why: selected.word };
    }
    const info = `${await connection.asked(["INFO"])}`;
    const fact = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? "";
    if (fact("role") !== "master") return { stage: "settings", why: "it is a replica, or does not say" };
    if (fact("loading") !== "0") return { stage: "settings", why: "it is still loading" };
    if (!mayPersist) {
      const unfit = await this.#unfit(connection);
      if (unfit !== null) return { stage: "settings", why: unfit };
    }
    const sha = await connection.asked(["SCRIPT", "LOAD", SCRIPT]);
    if (typeof sha !== "string") return { stage: "greet", why: "it takes no script" };
    this.#sha = sha;
    connection.say(["SUBSCRIBE", channelOf(node), ALL]); // where it may, that comes as a push
    const heard = await connection.asked(["PUBLISH", channelOf(node), ""]); // or what kept it from the one before
    if (heard !== 1) return { stage: "greet", why: heard instanceof EngineError ? heard.word : "it hands on nothing" };
    const wasReplica = !/^0*$/.test(fact("master_replid2")); // and has not been what it is since it was started
    this.#tell(["up", fact("run_id"), wasReplica ? 0 : Number(fact("uptime_in_seconds")) * 1_000]);
    return null;
  }

  /** What its settings would do to what it must not keep, or must not lose. */
  async #unfit(connection: Connection): Promise<string | null> {
    const settings = new Map<string, string>();
    for (const name of ["save", "appendonly", "maxmemory", "maxmemory-policy"]) {
      const value = await connection.asked(["CONFIG", "GET", name]);
      if (!Array.isArray(value) || value.length < 2) return "it does not tell its settings (CONFIG GET)";
      settings.set(name, `${value[1]}`);
    }
    if (settings.get("save") !== "") return `it saves to disk (save "${settings.get("save")}")`;
    if (settings.get("appendonly") !== "no") return "it saves to disk (appendonly yes)";
    if (settings.get("maxmemory") !== "0" && settings.get("maxmemory-policy") !== "noeviction")
      return `it throws away what it is short of room for (maxmemory-policy ${settings.get("maxmemory-policy")}; noeviction is needed)`;
    return null;
  }

  #watch(): void {
    const since = Math.min(this.#connection?.waitsSince ?? Infinity, this.#greeting?.waitsSince ?? Infinity);
    if (sharedMs() - since > SILENT_MS) this.#end({ stage: "silence", why: "it does not answer" });
  }
}
