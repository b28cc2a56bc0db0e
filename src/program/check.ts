/**
 * A deployment tried from outside: plays both peers of one session, and a third, over the public wire.
 * It judges only what a client can see, and prints what happened and how long it took, never what was said. A relay that
 * keeps to its limits, or drains, is well: whoever restarts it for that would cut every pair.
 */
import { connect } from "node:net";
import { HEARD_MS } from "../core/admission.ts";
import { ERRORS, PROBE, ready } from "../core/protocol.ts";
import { Caller, CheckFailed, fieldsOf } from "./caller.ts";
import { diagnose, type Hello, PATIENCE_MS } from "./diagnosis.ts";

const CANDIDATES_EACH_WAY = 3;
/** Of a session description: as many as the smallest --max-message takes. */
const LINES = 30;
/** A limit that is over by the time that it is asked about is met no more often than this. */
const TRIES = 3;
/** Between two tries of a check that waits for all to be well. */
const PAUSE_MS = 250;
/** A holder is asked once it was silent for so long; meanwhile the other one keeps the shortest session alive. */
const SILENT_MS = HEARD_MS + 100;
const SIGN_MS = 800;

/** How a check is to be done. */
export interface Plan {
  readonly hello: Hello;
  /** Whether a silent peer is to be asked for, too, which takes some 2 s. */
  readonly hasProbe: boolean;
  /** For how many ms to try again, until all is well. */
  readonly waitMs: number;
  /** Where given, the servers for STUN and TURN that peers are told of are tried too. */
  readonly tryServers: TryServers | null;
}

/** Tries what one `ready` names; see turn-check.ts. */
export type TryServers = (
  ready: string,
  seen: (what: string) => void,
  failed: (why: string) => void,
) => Promise<number>;

/** The relay works, and takes no more of this now. */
class Limited extends Error {}

/** @returns the first of `hosts`, as they stand in URLs, at which something takes a connection; else the first */
export async function reachable(hosts: readonly [string, ...string[]], port: number): Promise<string> {
  for (const host of hosts)
    if (hosts.length > 1 && (await isListening(host.replace(/^\[(.*)\]$/, "$1"), port))) return host;
  return hosts[0];
}

function isListening(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port, timeout: PATIENCE_MS });
  for (const [event, answer] of [
    ["connect", true],
    ["error", false],
    ["timeout", false],
  ] as const)
    socket.once(event, () => resolve(answer));
  return promise.finally(() => socket.destroy());
}

/**
 * Checks the relay at a URL (ws: or wss:).
 * @param locate gives the URL, each time that it is tried
 * @param print takes one line per thing seen; of several tries those of the last
 * @returns whether all that it could see was as docs/PROTOCOL.md says; limits are
 */
export async function check(
  locate: () => Promise<string>,
  plan: Plan,
  print: (line: string) => void,
): Promise<boolean> {
  const until = performance.now() + plan.waitMs;
  for (;;) {
    const lines: string[] = [];
    const isWell = await checkOnce(await locate(), plan, plan.waitMs > 0 ? (line) => lines.push(line) : print);
    if (!isWell && performance.now() < until) {
      await Bun.sleep(PAUSE_MS);
      continue;
    }
    for (const line of lines) print(line);
    return isWell;
  }
}

async function checkOnce(
  url: string,
  { hello, hasProbe, tryServers }: Plan,
  print: (line: string) => void,
): Promise<boolean> {
  const callers: Caller[] = [];
  let since = performance.now();
  function seen(what: string): void {
    const at = performance.now();
    print(`ok    ${what.padEnd(48)} ${(at - since).toFixed(1).padStart(8)} ms`);
    since = at;
  }
  const { promise: limited, reject } = Promise.withResolvers<never>();
  async function call(): Promise<Caller> {
    for (let tries = 1; ; tries++) {
      const caller = new Caller(url, hello, (name) => reject(new Limited(name)));
      callers.push(caller);
      try {
        await caller.opened();
        return caller;
      } catch {
        const { is, why } = await diagnose(url, hello);
        if (is === "busy") throw new Limited(why);
        if (is === "wrong") throw new CheckFailed(why);
        if (tries === TRIES) throw new Limited("new connections, of which it cut some");
      }
    }
  }
  try {
    const readies = await Promise.race([tryAll(call, seen, hasProbe), limited]);
    return tryServers === null || (await tryTold(readies, tryServers, seen, print));
  } catch (failure) {
    if (failure instanceof Limited) {
      print(`ok    it answers, and takes no more now: ${failure.message}`);
      return true;
    }
    print(`FAIL  ${failure instanceof CheckFailed ? failure.message : "the URL can't be connected to"}`);
    return false;
  } finally {
    for (const caller of callers) caller.close();
  }
}

async function tryTold(
  [first, second]: readonly [string, string],
  tryServers: TryServers,
  seen: (what: string) => void,
  print: (line: string) => void,
): Promise<boolean> {
  let isWell = true;
  const failed = (why: string) => {
    isWell = false;
    print(`FAIL  ${why}`);
  };
  if ((await tryServers(first, seen, failed)) === 0 && isWell)
    throw new CheckFailed("peers are told of no server: see --turn-url");
  const [credential, other] = [first, second].map((text) => /"credential":"[^"]*"/.exec(text)?.[0]);
  if (credential !== undefined && credential === other)
    throw new CheckFailed("both peers were told the same credential");
  return isWell;
}

const candidateOf = (i: number) => ({
  candidate: `candidate:${i} 1 udp 1 192.0.2.1 9 typ host`,
  sdpMid: "0",
  sdpMLineIndex: 0,
});

/** @returns the `ready` of each of the two peers */
async function tryAll(
  call: () => Promise<Caller>,
  seen: (what: string) => void,
  hasProbe: boolean,
): Promise<[string, string]> {
  const sessionCode = crypto.getRandomValues(new Uint8Array(6)).toHex().toUpperCase();
  const [alices, bobs] = [newName(), newName()];
  const [initiator, joiner] = [await call(), await call()];
  seen("two peers connect");
  initiator.send({ type: "join", sessionCode, isInitiator: true });
  expectIn("joined", await initiator.next("joined"), { opposite: false });
  joiner.send({ type: "join", sessionCode, isInitiator: false, instance: bobs });
  expectIn("joined", await joiner.next("joined"), { opposite: true });
  seen("both join one session");
  const plain = await initiator.next("ready");
  const { pairing: none, peer: nobody, iceServers } = fieldsOf(plain); // whoever named no page is told of none
  if (none !== undefined || nobody !== undefined || (iceServers === undefined && plain !== ready(null, null)))
    throw new CheckFailed("the ready of a plain client is another text");
  const named = await joiner.next("ready");
  const { pairing } = expectIn("ready", named, { peer: null });
  seen("both are told that they are ready");

  async function relayed(from: Caller, to: Caller, type: string, payload: object): Promise<void> {
    const sent = from.send({ type, sessionCode, ...payload });
    if ((await to.next(type)) !== sent) throw new CheckFailed(`the ${type} did not arrive byte for byte`);
  }
  const sdp = `v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n${"a=check: \u00e9 \u{1f511}\r\n".repeat(LINES)}`;
  const offer = { offer: { type: "offer", sdp } };
  await relayed(initiator, joiner, "offer", offer);
  seen("an offer arrives byte for byte");
  await relayed(joiner, initiator, "answer", { answer: { type: "answer", sdp } });
  seen("an answer arrives byte for byte");
  for (let i = 0; i < CANDIDATES_EACH_WAY; i++) {
    await relayed(initiator, joiner, "ice-candidate", { candidate: candidateOf(i) });
    await relayed(joiner, initiator, "ice-candidate", { candidate: candidateOf(i) });
  }
  seen("candidates arrive both ways");

  await expectRefused(await call(), sessionCode);
  seen("a third peer is refused");
  await relayed(initiator, joiner, "offer", offer);
  seen("the pair did not notice");
  initiator.send({ type: "leave" });
  await Promise.all([initiator.closed(), joiner.next("peer-left")]);
  seen("a peer leaves and the other is told");

  const again = await call();
  again.send({ type: "join", sessionCode, isInitiator: true, instance: alices, answers: true });
  const next = Number(pairing) + 1;
  expectIn("ready", await again.next("ready"), { pairing: next, peer: bobs });
  expectIn("ready", await joiner.next("ready"), { pairing: next, peer: alices });
  seen("it comes back, and both are told who is opposite");
  joiner.send({ type: "answer", sessionCode, answer: { type: "answer", sdp }, pairing });
  expectIn("error", await joiner.next("error"), { code: "stale" });
  seen("what was meant for the pairing before is refused");
  await relayed(joiner, again, "signal", { data: { wants: "offer" }, pairing: next });
  seen("a signal arrives byte for byte");
  if (!hasProbe) return [plain, named];

  for (let silentMs = 0; silentMs < SILENT_MS; silentMs += SIGN_MS) {
    await Bun.sleep(Math.min(SIGN_MS, SILENT_MS - silentMs));
    joiner.send({ type: "signal", sessionCode, data: null });
  }
  const refused = expectRefused(await call(), sessionCode, true);
  // None comes where the holder was heard just now: it answers the relay's own pings.
  await Promise.race([again.next(fieldsOf(PROBE).type as string), refused]);
  again.send({ type: "pong" });
  await refused;
  seen("a silent peer is asked, answers and keeps its seat");
  return [plain, named];
}

function newName(): string {
  return crypto.getRandomValues(new Uint8Array(9)).toBase64({ alphabet: "base64url" });
}

/** That a message has these fields; returns all that are looked at here. */
function expectIn(type: string, text: string, expected: ReturnType<typeof fieldsOf>): ReturnType<typeof fieldsOf> {
  const fields = fieldsOf(text);
  for (const [name, value] of Object.entries(expected))
    if (new Map(Object.entries(fields)).get(name) !== value)
      throw new CheckFailed(`"${name}" in the "${type}" is not what docs/PROTOCOL.md says`);
  return fields;
}

async function expectRefused(caller: Caller, sessionCode: string, isInitiator = false): Promise<void> {
  caller.send({ type: "join", sessionCode, isInitiator });
  const code = await caller.closed();
  if (code !== ERRORS["session-full"].close) throw new CheckFailed(`a third peer was not refused: close code ${code}`);
}
