/**
 * Whole sessions as clients hold them: connect, join, wait for `ready`, exchange, close, and come back whenever the
 * relay or the network says so. Once `ready` has come nothing may go amiss; before it, only what is counted here.
 */

import type { Random } from "../machines/random.ts";
import { newCode } from "./client.ts";
import { frame, OP, RawClient, UPGRADE } from "./raw.ts";

/** What a crowd of peers met with. */
export class Tally {
  /** Sessions in which both peers sent and received all that there was, byte for byte. */
  completed = 0;
  /** Peers told `restarting`, which were then closed with 1012, and after how long each was to come back. */
  readonly delaysMs: number[] = [];
  /** Peers that have got `ready` and have not finished yet, now. */
  underway = 0;
  /** Connections whose upgrade has not been answered yet, now. */
  knocking = 0;
  /** Upgrades answered with 503. */
  turnedAway = 0;
  /** Connections that ended before an upgrade was answered: they stood in the queue of a listener that closed. */
  cutOff = 0;
  /** Connections that nobody took. */
  unreachable = 0;
}

const CANDIDATES = 6;
const MOST_TRIES = 50;
const MOST_PAUSE_MS = 60;
const MOST_BACK_OFF_MS = 250;
const CLOSE_NORMALLY = frame(OP.close, Buffer.from([0x03, 0xe8]));

/** One session between two peers that arrive when they like. Resolves when it is complete; throws where it is lost. */
export async function holdSession(port: number, tally: Tally, random: Random): Promise<void> {
  const sessionCode = newCode();
  const fromAlice = messages(sessionCode, "offer");
  const fromBob = messages(sessionCode, "answer");
  await Promise.all([
    attend(port, tally, random, { sessionCode, isInitiator: true, says: fromAlice, hears: fromBob }),
    attend(port, tally, random, { sessionCode, isInitiator: false, says: fromBob, hears: fromAlice }),
  ]);
  tally.completed++;
}

interface Part {
  readonly sessionCode: string;
  readonly isInitiator: boolean;
  readonly says: readonly string[];
  readonly hears: readonly string[];
}

/** A description of some KiB and the candidates behind it; no two messages are the same. */
function messages(sessionCode: string, type: "offer" | "answer"): string[] {
  const sdp = Array.from({ length: 100 }, newCode).join("\r\n");
  const candidates = Array.from({ length: CANDIDATES }, (_, n) => {
    return JSON.stringify({ type: "ice-candidate", sessionCode, candidate: { candidate: `${newCode()} ${n}` } });
  });
  return [JSON.stringify({ type, sessionCode, [type]: { type, sdp } }), ...candidates];
}

async function attend(port: number, tally: Tally, random: Random, part: Part): Promise<void> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    await Bun.sleep(random.below(MOST_BACK_OFF_MS)); // what people do, and what a client does before it tries again
    const backAfterMs = await attempt(port, tally, random, part);
    if (backAfterMs === null) return;
    await Bun.sleep(backAfterMs);
  }
  throw new Error(`a peer tried ${MOST_TRIES} times in vain`);
}

/** One connection. Returns null where the session was completed on it, or after how many ms to come back. */
async function attempt(port: number, tally: Tally, random: Random, part: Part): Promise<number | null> {
  const peer = await RawClient.dial(port).catch(() => null);
  if (peer === null) {
    tally.unreachable++;
    return 0;
  }
  peer.write(UPGRADE);
  tally.knocking++;
  const head = await peer.head();
  tally.knocking--;
  if (!head.startsWith("HTTP/1.1 101 ")) {
    peer.end();
    if (head === "") tally.cutOff++;
    else if (head.startsWith("HTTP/1.1 503 ")) tally.turnedAway++;
    else throw new Error(`an upgrade was answered with ${head}`);
    return 1_000 * Number(/^retry-after: (\d+)$/im.exec(head)?.[1] ?? 0);
  }
  const { sessionCode, isInitiator } = part;
  peer.say({ type: "join", sessionCode, isInitiator });
  const outcome = await exchange(peer, tally, random, part);
  peer.end();
  if (outcome !== null) tally.delaysMs.push(outcome);
  return outcome;
}

/** What goes over an open socket. Returns as `attempt` does. */
async function exchange(peer: RawClient, tally: Tally, random: Random, part: Part): Promise<number | null> {
  const { isInitiator, says, hears } = part;
  let isReady = false;
  let heard = 0;
  let saying: Promise<void> | null = null;
  while (saying === null || heard < hears.length) {
    const next = await peer.next();
    const text = next?.payload.toString() ?? "";
    const lost = (what: string) => new Error(`${isReady ? "a pair was lost" : "a peer was lost"}: ${what} ${text}`);
    if (next?.opcode === OP.ping) peer.write(frame(OP.pong, next.payload));
    else if (next?.opcode !== OP.text) throw lost(next === null ? "its connection ended" : `opcode ${next.opcode}`);
    else if (isReady) {
      if (text !== hears[heard]) throw lost(`message ${heard} is not what was sent:`);
      if (++heard === 1 && !isInitiator) saying = say(peer, random, says);
    } else if (text === '{"type":"ready"}') {
      isReady = true;
      tally.underway++;
      if (isInitiator) saying = say(peer, random, says);
    } else if (!text.startsWith('{"type":"joined",')) {
      const { code, retryAfterMs } = JSON.parse(text);
      if (code !== "restarting" || !Number.isInteger(retryAfterMs)) throw lost("it heard");
      const end = await peer.text();
      if (end !== "close 1012") throw lost(`${end} after`);
      return retryAfterMs;
    }
  }
  await saying;
  tally.underway--;
  peer.write(CLOSE_NORMALLY);
  return null;
}

async function say(peer: RawClient, random: Random, texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    peer.write(frame(OP.text, text));
    await Bun.sleep(random.below(MOST_PAUSE_MS)); // candidates are found one by one
  }
}
