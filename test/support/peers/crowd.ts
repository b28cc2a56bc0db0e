/** Many sockets at once: opened a few at a time, from addresses of one's choice, against a relay with few files. */
import { connect, type Socket } from "node:net";
import { command, Output, spawn } from "../relays/relay.ts";
import { UPGRADE } from "./raw.ts";

/** Does `work` for 0 to `times` - 1, so many at once. Returns the results in that order. */
export async function inTurns<T>(times: number, atOnce: number, work: (n: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  async function worker(): Promise<void> {
    for (let n = next++; n < times; n = next++) results[n] = await work(n);
  }
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

export interface Asked {
  readonly socket: Socket;
  /** The head of the answer, and "" where there was none. */
  readonly head: string;
  readonly status: number;
  /** Seconds to wait, as Retry-After says; NaN where it does not. */
  readonly retryAfterS: number;
}

/** Asks for a WebSocket from an address of the loopback. */
export async function askFrom(localAddress: string, port: number): Promise<Asked> {
  const socket = connect({ host: "127.0.0.1", port, localAddress });
  socket.write(UPGRADE);
  const head = await new Promise<string>((resolve) => {
    let text = "";
    socket.on("data", (data: Buffer) => {
      text += data.toString("latin1");
      if (text.includes("\r\n\r\n")) resolve(text);
    });
    socket.on("error", () => {}); // a close follows
    socket.on("close", () => resolve(text));
  });
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]);
  return { socket, head, status, retryAfterS: Number(/^retry-after: (\d+)\r$/im.exec(head)?.[1]) };
}

export interface LimitedRelay extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly process: Bun.Subprocess<"ignore", "pipe", "pipe">;
}

/** The binary, under a limit of open files that it can't raise. */
export async function spawnWithFiles(openFiles: number): Promise<LimitedRelay> {
  const relay = command("binary", "--host", "127.0.0.1", "--port", "0");
  const process = spawn(["sh", "-c", `ulimit -n ${openFiles} && exec "$@"`, "sh", ...relay]);
  const stderr = new Output(process.stderr);
  const [, port] = (await new Output(process.stdout).until(/: listening on \S+:(\d+)/)).map(Number);
  if (!port) throw new Error(`the relay did not start: ${stderr.text}`);
  return {
    port,
    url: `ws://127.0.0.1:${port}`,
    process,
    async [Symbol.asyncDispose]() {
      process.kill("SIGKILL");
      await process.exited;
    },
  };
}
