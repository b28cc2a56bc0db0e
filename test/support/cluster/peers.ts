/** Peers at certain nodes, and what they are told when things go wrong. */
import { expect } from "bun:test";
import { Client, newCode, type Pair } from "../peers/client.ts";
import type { RunningRelay } from "../relays/relay.ts";

/** A pair whose peers sit at these nodes; the session's home is the first's. */
export async function newPairAt(first: RunningRelay, second: RunningRelay, code = newCode()): Promise<Pair> {
  const alice = await Client.join(first.url, code, true);
  const bob = await Client.join(second.url, code, false);
  await Promise.all([alice.expect("ready"), bob.expect("ready")]);
  return { code, alice, bob };
}

/** How a join ended: "joined", or the error. */
export async function tryJoin(relay: RunningRelay, code: string, isInitiator: boolean): Promise<[string, Client]> {
  const client = await Client.connect(relay.url);
  client.send({ type: "join", sessionCode: code, isInitiator });
  const { type, code: error } = JSON.parse(await client.next());
  return [type === "error" ? error : type, client];
}

/** Waits until this seat can be had there. @returns after how many ms, and who has it */
export async function untilSeated(relay: RunningRelay, code: string, isInitiator: boolean): Promise<[number, Client]> {
  const since = performance.now();
  for (;;) {
    const [how, client] = await tryJoin(relay, code, isInitiator);
    if (how === "joined") return [performance.now() - since, client];
    client.close();
    if (performance.now() - since > 20_000) throw new Error(`20 s in vain for a seat: ${how}`);
    await Bun.sleep(100);
  }
}

/** Waits until a peer is told that it may come back. @returns after how many ms */
export async function untilSentBack(peer: Client): Promise<number> {
  const since = performance.now();
  for (;;) {
    const heard = await peer.nextOrEnd();
    if (typeof heard === "string") {
      const { type, code, retry } = JSON.parse(heard);
      if (type === "peer-left") continue;
      expect([type, code, retry]).toEqual(["error", "restarting", true]);
    } else {
      expect(heard).toEqual({ code: 1012, reason: "restarting" });
      return performance.now() - since;
    }
  }
}

/** The process that speaks to the engine for a relay. */
export async function helperOf(relay: RunningRelay): Promise<number> {
  const { pid } = relay.process;
  const children = await Bun.file(`/proc/${pid}/task/${pid}/children`).text();
  return Number(children.trim().split(" ")[0]);
}
