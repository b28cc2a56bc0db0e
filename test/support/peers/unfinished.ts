/** Strangers who join, and then say a message up to its last byte: the relay has to keep it, and waits for the rest. */
import { newCode } from "./client.ts";
import { ask } from "./crowd.ts";
import { frame, OP, type RawClient } from "./raw.ts";

/** As much as the relay reads of one message at most, with its default of --max-message. */
const BYTES = (64 * 1_024 * 17) / 16;
/** Below --connect-burst and --max-waiting-per-address, so that strangers of one address all get in. */
const EACH_ADDRESS = 60;

export interface Unfinished {
  readonly client: RawClient;
  /** How its upgrade was answered; NaN where it was not. */
  readonly status: number;
}

/** The n-th of them, from an address of the loopback that it shares with few. Returns when all of it is sent. */
export async function sayUnfinished(port: number, n: number): Promise<Unfinished> {
  const host = Math.floor(n / EACH_ADDRESS);
  const { client, status } = await ask(port, `127.0.${2 + (host >> 7)}.${1 + (host & 127)}`);
  if (status !== 101) return { client, status };
  const join = frame(OP.text, JSON.stringify({ type: "join", sessionCode: newCode(), isInitiator: true }));
  const message = frame(OP.text, Buffer.alloc(BYTES, "x")).subarray(0, -1);
  await client.writeAll(Buffer.concat([join, message]));
  return { client, status };
}
