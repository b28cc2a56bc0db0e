/**
 * The relay with hooks: the very program of src/main.ts, and a second way in by standard input, through which a test
 * makes it misbehave from inside. Each line is a command in JSON; each answer is a line that begins with "hook ".
 * Compiled by the tests like the release, and never a part of it.
 */
import { type Ground, tryCalls, tryOne } from "./hooked-attempts.ts";

/** What a test may ask for. */
export type Command =
  | { do: "try"; on: "main" | "worker"; attempt: string; ground: Ground }
  | { do: "calls"; on: "main" | "worker" }
  /** Throws an error with this message the next time that the place is reached; timer and promise: at once. */
  | { do: "throw"; in: Place; message: string }
  /** Throws an error of another class, so that each is another line in the log, on the next so many plain requests. */
  | { do: "fail"; times: number };
export type Place = "fetch" | "open" | "message" | "ping" | "close" | "timer" | "promise";

const worker = new Worker(new URL("./hooked-worker.ts", import.meta.url).href);
await answerOf(worker);

const armed = new Map<Place, string>();
let failures = 0;

/** The function, but it throws once where a test has asked for it. */
function mined<Args extends unknown[], T>(place: Place, original: (...args: Args) => T): (...args: Args) => T {
  return function (this: unknown, ...args) {
    if (place === "fetch" && failures > 0) throw new (classOf(failures--))();
    const message = armed.get(place);
    armed.delete(place);
    if (message !== undefined) throw new TypeError(message);
    return original.apply(this, args);
  };
}

function classOf(number: number): new () => Error {
  const name = `Failure${number}`;
  return { [name]: class extends Error {} }[name] ?? Error;
}

const { serve } = Bun;
type Handlers = Record<string, unknown> & { fetch?: unknown; websocket?: Record<string, unknown> };
function minedServe(options: Handlers): unknown {
  const { websocket } = options;
  if (websocket?.["open"] === undefined) return Reflect.apply(serve, Bun, [options]); // not the one for peers
  const handlers = { ...websocket };
  for (const place of ["open", "message", "ping", "close"] as const)
    handlers[place] = mined(place, websocket[place] as () => unknown);
  return Reflect.apply(serve, Bun, [
    { ...options, fetch: mined("fetch", options.fetch as () => unknown), websocket: handlers },
  ]);
}
Object.assign(Bun, { serve: minedServe });

async function obey(command: Command): Promise<unknown> {
  switch (command.do) {
    case "try":
      if (command.on === "main") return tryOne(command.attempt, command.ground);
      worker.postMessage({ attempt: command.attempt, ground: command.ground });
      return answerOf(worker);
    case "calls":
      if (command.on === "main") return tryCalls();
      worker.postMessage("calls");
      return answerOf(worker);
    case "fail":
      failures = command.times;
      return "armed";
    case "throw": {
      const error = new TypeError(command.message);
      if (command.in === "promise") void Promise.reject(error);
      else if (command.in === "timer")
        setTimeout(() => {
          throw error;
        });
      else armed.set(command.in, command.message);
      return "armed";
    }
  }
}

function answerOf(worker: Worker): Promise<unknown> {
  return new Promise((resolve) =>
    worker.addEventListener("message", ({ data }: MessageEvent<unknown>) => resolve(data), { once: true }),
  );
}

async function listen(): Promise<void> {
  for await (const line of console)
    if (line !== "") console.log(`hook ${JSON.stringify(await obey(JSON.parse(line)))}`);
}

void listen();
await import("../../../src/main.ts");
