/** Many sockets at once: opened a few at a time, from addresses of one's choice, against a relay with few files. */
import { command, type RunningRelay, spawnProgram } from "../relays/relay.ts";
import { RawClient, UPGRADE } from "./raw.ts";

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
  readonly client: RawClient;
  readonly status: number;
  /** Seconds to wait, as Retry-After says; NaN where it does not. */
  readonly retryAfterS: number;
}

/** Asks for a WebSocket, from an address of the loopback and with more headers where these are given. */
export async function ask(port: number, localAddress?: string, headers = ""): Promise<Asked> {
  const client = await RawClient.dial(port, localAddress === undefined ? {} : { localAddress });
  client.write(UPGRADE.replace("\r\n\r\n", `${headers}\r\n\r\n`));
  const head = await client.head();
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]);
  return { client, status, retryAfterS: Number(/^retry-after: (\d+)\r?$/im.exec(head)?.[1]) };
}

/** The binary, under a limit of open files that it can't raise. */
export function spawnWithFiles(openFiles: number): Promise<RunningRelay> {
  return spawnProgram(["sh", "-c", `ulimit -n ${openFiles} && exec "$@"`, "sh", ...command("binary")]);
}
