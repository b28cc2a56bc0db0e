/**
 * The binary under fire: mutated messages, streams of bad frames and bad HTTP heads, 100,000 and more, while honest
 * pairs go on. A failure names the seed and the run; FUZZ_SEED repeats it.
 */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import {
  ERRORS,
  type ErrorName,
  error,
  type Field,
  PAYLOADS,
  PEER_LEFT,
  PONG,
  PROBE,
  ready,
} from "../../src/core/protocol.ts";
import { Random } from "../support/machines/random.ts";
import { atMost, equals, until } from "../support/machines/until.ts";
import { head, MARK, mutant, stream, wellFormed } from "../support/marks/mutants.ts";
import { Client, expectUndisturbed, newCode, newPair } from "../support/peers/client.ts";
import { framesOf, pour, type Said } from "../support/peers/pour.ts";
import { frame, OP, UPGRADE } from "../support/peers/raw.ts";
import { LIMITS_ALONE, printedToTheEnd, spawnRelay } from "../support/relays/relay.ts";

const SEED = Number(process.env["FUZZ_SEED"] ?? crypto.getRandomValues(new Uint32Array(1))[0]);
/** So many mutated inputs are heard out by the relay: text frames, streams of frames and HTTP heads. */
const INPUTS = 120_000;
/** Fuzzers at once, and honest pairs that shake hands beside them. */
const FUZZERS = 24;
const PAIRS = 2;
const MOST_TEXTS_A_RUN = 24;

/** All that can be wrong with a message: a closed list, so that the relay repeats nothing of it. */
const FIELDS: Field[] = [
  ...(["json", "type", "sessionCode", "isInitiator", "token", "instance", "answers"] as const),
  ...Object.values(PAYLOADS),
  "pairing",
];
const READY = ready(null, null);
const FIXED = new Set([
  ...[READY, PEER_LEFT, PONG, PROBE],
  ...Object.keys(ERRORS).map((name) => error(name as ErrorName)),
  ...FIELDS.map((field) => error("bad-message", null, field)),
]);
const JOINED = /^\{"type":"joined","token":"[0-9a-f]{32}","expiresInMs":600000,"opposite":(?:true|false)\}$/;
/** The accomplice names no instance, and so nobody hears of one. */
const READY_ASKED = /^\{"type":"ready","pairing":\d+,"peer":null\}$/;

/** How HTTP may be answered: nothing is the relay's own fault, and nobody on the loopback is turned away. */
const STATUSES = [100, 101, 200, 204, 400, 404, 405, 413, 426, 431, 505];
/** What comes of every test, whatever its seed: the fuzzers reach as far in as this. */
const SEEN: string[] = [
  ...[
    "joined",
    "ready",
    "pong",
    "relayed",
    "bad-message",
    "not-joined",
    "already-joined",
    "wrong-session",
    "no-peer",
    "stale",
  ],
  ...[
    "too-large",
    "HTTP 101",
    "HTTP 200",
    "HTTP 400",
    "HTTP 404",
    "HTTP 405",
    "close 4505",
    "close 1002",
    "close 1007",
  ],
];

const tally = new Map<string, number>();
const count = (what: string) => void tally.set(what, (tally.get(what) ?? 0) + 1);

/** That the relay said nothing but what it says of its own accord. */
function judge({ texts, close }: Said): void {
  for (const text of texts) {
    if (!FIXED.has(text) && !JOINED.test(text) && !READY_ASKED.test(text))
      throw new Error(`it said ${text.slice(0, 500)}`);
    count(text.startsWith('{"type":"error"') ? JSON.parse(text).code : JSON.parse(text).type);
  }
  if (close) count(`close ${close.code}`);
}

/** That no two parsers can read it in two ways: every name once and none of them a trap, no half characters. */
function isPlain(text: string): boolean {
  let names = -1; // the whole is handed over under a name too
  let isFine = true;
  JSON.parse(text, function (this: unknown, name: string, value: unknown) {
    if (!Array.isArray(this)) names++;
    isFine &&= name !== "__proto__" && name.isWellFormed() && (typeof value !== "string" || value.isWellFormed());
    return value;
  });
  const written = [...text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)].filter(([, colon]) => colon !== undefined);
  return isFine && names === written.length;
}

/** What came after the answer to the upgrade; null where there was none. */
function upgraded(received: Buffer): Said | null {
  const at = received.indexOf("HTTP/1.1 101 ");
  return at < 0 ? null : framesOf(received.subarray(received.indexOf("\r\n\r\n", at) + 4));
}

/** A fuzzer, and its accomplice opposite, to whom well-formed messages may come, and come as they were sent. */
class Fuzzer {
  readonly #port: number;
  readonly #code: string;
  readonly #accomplice: Client;

  private constructor(port: number, code: string, accomplice: Client) {
    this.#port = port;
    this.#code = code;
    this.#accomplice = accomplice;
  }

  static async arrive(url: string, port: number): Promise<Fuzzer> {
    const code = newCode();
    return new Fuzzer(port, code, await Client.join(url, code, false));
  }

  /** Sends mutated messages over one socket, at times well-formed ones among them. Returns how many mutated were heard. */
  async texts(random: Random): Promise<number> {
    const join = Buffer.from(JSON.stringify({ type: "join", sessionCode: this.#code, isInitiator: true }));
    const joins = random.below(4) > 0 ? [join] : [];
    const isCareful = random.below(2) === 0; // it lasts longer: the sixth bad message ends it
    const all: Buffer[] = [...joins];
    let mutants = 0;
    for (let left = 1 + random.below(MOST_TEXTS_A_RUN); left > 0; left--) {
      const isMutant = !isCareful || random.below(3) === 0;
      all.push(isMutant ? mutant(random, this.#code) : Buffer.from(wellFormed(random, this.#code)));
      if (isMutant) mutants++;
    }
    const sent = new Set(all.map((input) => input.toString()));
    const frames = all.map((input) => frame(OP.text, input));
    const pieces = [Buffer.from(UPGRADE), Buffer.concat(frames), frame(OP.ping, "all")];
    const said = upgraded(await pour(this.#port, pieces, "FIN"));
    if (!said) throw new Error("it did not upgrade");
    judge(said);
    for (const text of await this.#accomplice.drain()) {
      if (text === READY || text === PEER_LEFT) continue;
      if (!sent.has(text)) throw new Error(`it relayed what nobody had sent: ${text.slice(0, 500)}`);
      const { type, sessionCode } = JSON.parse(text);
      if (!/^(offer|answer|ice-candidate|signal)$/.test(type) || sessionCode !== this.#code || !isPlain(text))
        throw new Error(`it relayed ${text}`);
      count("relayed");
    }
    if (said.pongs.includes("all")) return mutants;
    return isCareful ? 0 : Math.max(0, said.texts.filter((text) => text !== READY).length - joins.length);
  }

  /** Sends bad frames over one connection. */
  async streams(random: Random): Promise<number> {
    const ending = random.below(4) > 0 ? "FIN" : "RST";
    const said = upgraded(await pour(this.#port, [Buffer.from(UPGRADE), ...stream(random, newCode())], ending));
    if (said) judge(said);
    else if (ending === "FIN") throw new Error("it did not upgrade");
    return 1;
  }

  /** Sends a bad HTTP head over one connection, or several, or none. */
  async heads(random: Random): Promise<number> {
    const received = await pour(this.#port, head(random, newCode()), random.below(8) > 0 ? "FIN" : "RST");
    const said = upgraded(received);
    if (said) judge(said);
    const text = received.toString("latin1");
    if (text.includes(MARK)) throw new Error(`it repeated what it was sent: ${text.slice(0, 500)}`);
    for (const [, status = ""] of text.matchAll(/HTTP\/1\.1 (\d+) /g)) {
      if (!STATUSES.includes(Number(status))) throw new Error(`it answered ${text.slice(0, 500)}`);
      count(`HTTP ${status}`);
    }
    return 1;
  }

  async depart(): Promise<void> {
    this.#accomplice.close();
    await this.#accomplice.closed;
  }
}

/** All that two browsers do, from end to end; nothing else may come to either. */
async function shakeHands(url: string): Promise<void> {
  const pair = await newPair(url);
  const { code, alice, bob } = pair;
  await expectUndisturbed(pair);
  for (let n = 0; n < 3; n++) {
    for (const [from, to] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      const sent = from.send({
        type: "ice-candidate",
        sessionCode: code,
        candidate: { candidate: `${n}`, sdpMid: "0" },
      });
      const got = await to.next();
      if (got !== sent) throw new Error(`an honest peer got ${got}`);
    }
  }
  alice.close();
  const last = await bob.next();
  if (last !== PEER_LEFT) throw new Error(`an honest peer got ${last}`);
  bob.close();
  await Promise.all([alice.closed, bob.closed]);
}

test("a hundred thousand bad inputs harm nobody, and nothing is printed, kept or repeated of them", async () => {
  console.log(`fuzz.long.ts: FUZZ_SEED=${SEED} repeats this run`);
  await using relay = await spawnRelay("binary");
  const { url, port } = relay;
  expect(await relay.sessions()).toBe(0);
  const openFiles = () => readdirSync(`/proc/${relay.process.pid}/fd`).length;
  const openAtFirst = openFiles();
  const steady = await newPair(url);
  const fuzzers = await Promise.all(Array.from({ length: FUZZERS }, () => Fuzzer.arrive(url, port)));
  const heard = { texts: 0, streams: 0, heads: 0 };
  const total = () => heard.texts + heard.streams + heard.heads;
  let runs = 0;
  let handshakes = 0;
  let hasFailed = false;
  const isOver = () => hasFailed || total() >= INPUTS;

  async function fuzz(fuzzer: Fuzzer): Promise<void> {
    while (!isOver()) {
      const run = runs++;
      const random = new Random(SEED + Math.imul(run, 0x9e3779b1)); // all that this run does follows from it
      const kind = random.pick(["texts", "texts", "texts", "streams", "heads"] as const);
      try {
        const inputs = await fuzzer[kind](random);
        heard[kind] += inputs;
      } catch (failure) {
        hasFailed = true;
        throw new Error(`FUZZ_SEED=${SEED}, run ${run} (${kind}): ${failure}`);
      }
    }
  }
  async function goOn(): Promise<void> {
    for (; !isOver(); handshakes++) await shakeHands(url);
  }

  const since = performance.now();
  await Promise.all([...fuzzers.map(fuzz), ...Array.from({ length: PAIRS }, goOn)]);
  const seconds = (performance.now() - since) / 1_000;
  console.log(
    `fuzz.long.ts: ${total()} inputs ${JSON.stringify(heard)} in ${seconds.toFixed(1)} s,`,
    `${Math.round(total() / seconds)} a second, beside ${handshakes} whole handshakes`,
  );
  console.log(
    `fuzz.long.ts: answers: ${[...tally]
      .sort()
      .map(([what, times]) => `${what}: ${times}`)
      .join(", ")}`,
  );

  expect([await steady.alice.drain(), await steady.bob.drain()]).toEqual([[], []]);
  await expectUndisturbed(steady);
  expect(handshakes).toBeGreaterThan(100);
  for (const inputs of Object.values(heard)) expect(inputs).toBeGreaterThan(INPUTS / 100);
  for (const seen of SEEN) expect(`${seen}: ${tally.has(seen)}`).toBe(`${seen}: true`);
  for (const fuzzer of fuzzers) await fuzzer.depart();
  for (const peer of [steady.alice, steady.bob]) peer.close();
  await until("the last session to end", () => relay.sessions(), equals(0));
  expect(await (await relay.get("/health")).json()).toEqual({ status: "ok", sessions: 0 });
  await until("its files to be closed", openFiles, atMost(openAtFirst));
  expect(await relay.stop()).toEqual({
    exitCode: 0,
    stdout: printedToTheEnd(port),
    stderr: expect.stringMatching(LIMITS_ALONE),
  });
});
