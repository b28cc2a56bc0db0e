/**
 * Sets a running relay up for a marked run, and judges what came of it. Owns the rule of what may be in what the relay
 * says: nothing that anybody gave it, but what it was to pass on or to hand back, to one, once.
 */
import type { ConnectionOptions } from "node:tls";
import { parseMetrics, type Samples } from "../machines/metrics.ts";
import { Markers } from "../marks/markers.ts";
import type { Stage } from "../peers/marked-peer.ts";
import { openRecorder, type Recorder } from "./recorder.ts";
import type { RunningRelay } from "./relay.ts";

const JOINED = /\{"type":"joined","token":"([0-9a-f]{32})","expiresInMs":\d+,"opposite":(?:true|false)\}/g;

export interface OpenStage extends Stage, AsyncDisposable {
  /** For peers that choose for themselves what they say: their codes and tokens are noted when they are passed. */
  readonly unmarked: Recorder;
  /** What /metrics says now. */
  scrape(): Promise<Samples>;
  /** The secrets in all that was said to peers and operator, and in what was `printed`: where, and what. */
  leaks(printed: readonly Said[]): string[];
}

/** Where something was said, and what: one character for each byte. */
export type Said = readonly [where: string, text: string];

/** @param origin the only one that the relay lets in, or null; `isTls`: whether it speaks TLS to peers */
export async function openStage(relay: RunningRelay, origin: string | null, isTls: boolean): Promise<OpenStage> {
  const markers = new Markers();
  const owed: string[] = [];
  const tls = isTls ? { servername: `${markers.make("a server name")}.example`, rejectUnauthorized: false } : null;
  const operatorPort = Number(new URL((await relay.admin("/livez")).url).port);
  await using recorders = new AsyncDisposableStack();
  const open = async (port: number, low: number, tls: ConnectionOptions | null) =>
    recorders.use(await openRecorder(port, () => loopback(low), tls));
  const exempt = await open(relay.port, 100, tls);
  const counted = await open(relay.port, 128, tls);
  const unmarked = await open(relay.port, 100, tls);
  const operator = await open(operatorPort, 100, null);
  const kept = recorders.move();
  return {
    ...{ markers, exempt, counted, unmarked, operator, origin, owed },
    async scrape() {
      const url = `http://127.0.0.1:${operator.port}/metrics`;
      return parseMetrics(await (await fetch(url, { headers: { Connection: "close" } })).text());
    },
    leaks(printed) {
      const toPeers = [...exempt.talks, ...counted.talks].map((talk): Said => ["to a peer", talk.heard()]);
      const toOperator = operator.talks.map((talk): Said => ["to the operator", talk.heard()]);
      const said = [...toPeers, ...toOperator];
      for (const { from, port } of [exempt, counted, unmarked, operator].flatMap(({ talks }) => talks)) {
        markers.add("the address of a socket", from);
        if (port !== relay.port && port !== operatorPort) markers.addPort("the port of a socket", port); // the log names these
      }
      const toUnmarked = unmarked.talks.map((talk) => talk.heard());
      const joined = [...toUnmarked, ...said.map(([, text]) => text)].flatMap((text) => [...text.matchAll(JOINED)]);
      const tokens = new Set(joined.map(([, token = ""]) => token));
      for (const token of tokens) markers.add("a token", token);
      for (const text of toUnmarked)
        for (const [, code = ""] of text.matchAll(/"sessionCode":"(\w+)"/g)) markers.add("an unmarked code", code);
      const { rest, tooOften } = settle(said, owed);
      const found = [...rest, ...printed].flatMap(([where, text]) =>
        markers.find(text).map((what) => `${where}: ${what}`),
      );
      if (tokens.size < joined.length) found.push("to a peer: the token of another");
      return [...new Set([...found, ...tooOften])].sort();
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Takes out of what was said what was owed, as often as it was, and the tokens of those who joined. */
function settle(said: readonly Said[], owed: readonly string[]) {
  const debts = new Map<string, number>();
  for (const text of owed) {
    const bytes = Buffer.from(text).toString("latin1");
    debts.set(bytes, (debts.get(bytes) ?? 0) + 1);
  }
  const longestFirst = [...debts.keys()].sort((one, other) => other.length - one.length);
  const rest = said.map(([where, text]): Said => {
    let left = text.replace(JOINED, "");
    for (const debt of longestFirst) {
      const pieces = left.split(debt);
      left = pieces.join("\n");
      debts.set(debt, (debts.get(debt) ?? 0) - pieces.length + 1);
    }
    return [where, left];
  });
  const tooOften = longestFirst.filter((debt) => (debts.get(debt) ?? 0) < 0);
  return { rest, tooOften: tooOften.map((debt) => `to a peer, more often than owed: ${debt.slice(0, 100)}`) };
}

/** An address of 127.0.0.0/8, with its second byte in the 28 numbers from `low` on; each byte has three digits. */
function loopback(low: number): string {
  const [a = 0, b = 0, c = 0] = crypto.getRandomValues(new Uint8Array(3));
  return ["127", low + (a % 28), 100 + (b % 150), 100 + (c % 150)].join(".");
}
