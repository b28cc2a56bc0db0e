/** Every way in which the life of a peer can end, played to its end: for tests of what is left behind. */
import { Client, expectUndisturbed, newCode, newPair } from "../peers/client.ts";
import { PeerProcess } from "../peers/peers.ts";
import { pour } from "../peers/pour.ts";
import { frame, OP, UPGRADE } from "../peers/raw.ts";

/** A relay with `--join-timeout 1s` and a short `--session-ttl`. */
export interface Place {
  readonly url: string;
  readonly port: number;
}
type Ending = (place: Place) => Promise<void>;

const MAX_MESSAGE_BYTES = 64 * 1024;

async function gone(...clients: Client[]): Promise<void> {
  for (const client of clients) client.close();
  await Promise.all(clients.map((client) => client.closed));
}

/** A peer that waits in a session of its own, as the bytes it sends. */
function joined(): Buffer {
  const join = frame(OP.text, JSON.stringify({ type: "join", sessionCode: newCode() }));
  return Buffer.concat([Buffer.from(UPGRADE), join]);
}

async function refused(place: Place, sessionCode: string, isInitiator: boolean, error: string): Promise<void> {
  const mallory = await Client.connect(place.url);
  mallory.send({ type: "join", sessionCode, isInitiator });
  await mallory.expectError(error);
  await mallory.closed;
}

/** Those that take no longer than the messages take. */
export const QUICK: readonly Ending[] = [
  async function handshakeAndClose({ url }) {
    const pair = await newPair(url);
    for (let n = 0; n < 4; n++) await expectUndisturbed(pair);
    pair.alice.send({ type: "offer", sessionCode: pair.code, offer: { sdp: "x".repeat(10_000) } });
    await pair.bob.expect("offer");
    pair.alice.close();
    await pair.bob.expect("peer-left");
    await gone(pair.alice, pair.bob);
  },
  async function bothLeave({ url }) {
    const { alice, bob } = await newPair(url);
    alice.send({ type: "leave" });
    await bob.expect("peer-left");
    bob.send({ type: "leave" });
    await Promise.all([alice.closed, bob.closed]);
  },
  async function finWithoutClose({ port }) {
    await pour(port, [joined()], "FIN");
  },
  async function finAmidAFrame({ port }) {
    await pour(port, [joined(), frame(OP.text, "x".repeat(60_000)).subarray(0, 40_000)], "FIN");
  },
  async function finBeforeTheJoin({ port }) {
    await pour(port, [Buffer.from(UPGRADE)], "FIN");
  },
  async function finAmidTheHead({ port }) {
    await pour(port, [Buffer.from(UPGRADE.slice(0, 60))], "FIN");
  },
  async function reset({ port }) {
    await pour(port, [joined(), frame(OP.text, "x".repeat(60_000)).subarray(0, 40_000)], "RST");
  },
  async function resetOfAPair({ url }) {
    const { alice, bob } = await newPair(url);
    bob.terminate();
    await alice.expect("peer-left");
    alice.terminate();
    await Promise.all([alice.closed, bob.closed]);
  },
  async function refusals(place) {
    const { code, alice, bob } = await newPair(place.url);
    await refused(place, code, true, "session-full");
    await gone(bob);
    await alice.expect("peer-left");
    await refused(place, code, true, "role-taken");
    await gone(alice);
  },
  async function withdrawnNewcomer({ url }) {
    const { code, alice, bob } = await newPair(url);
    const mallory = await Client.connect(url);
    mallory.send({ type: "join", sessionCode: code, isInitiator: true });
    mallory.terminate();
    await gone(alice, bob, mallory);
  },
  async function takeover({ url }) {
    const code = newCode();
    const bob = await Client.join(url, code, false);
    const alice = await Client.connect(url);
    alice.send({ type: "join", sessionCode: code, isInitiator: true });
    const { token } = await alice.expect("joined");
    const again = await Client.connect(url);
    again.send({ type: "join", sessionCode: code, isInitiator: true, token });
    await again.expect("joined");
    await alice.closed;
    await gone(again, bob);
  },
  async function badMessages({ url }) {
    const mallory = await Client.connect(url);
    for (let n = 0; n < 6; n++) mallory.send("rubbish");
    await mallory.closed;
  },
  async function tooLarge({ url }) {
    const [large, huge] = await Promise.all([Client.connect(url), Client.connect(url)]);
    large.send("x".repeat(MAX_MESSAGE_BYTES + 1));
    huge.send("x".repeat(4 * MAX_MESSAGE_BYTES));
    await Promise.all([large.closed, huge.closed]);
  },
  async function badFrame({ port }) {
    await pour(port, [joined(), frame(3, "x")], "FIN");
  },
  async function badHead({ port }) {
    await pour(port, [Buffer.from("GET /\r\nUpgrade\r\n\r\n")], "FIN");
  },
  async function plainRequests({ url }) {
    for (const path of ["/", "/health", "/nothing"]) {
      const response = await fetch(`${url.replace("ws", "http")}${path}`, { headers: { Connection: "close" } });
      await response.text();
    }
  },
];

/** Those that the relay itself brings about in its own time, or that take a process. */
export const SLOW: readonly Ending[] = [
  async function joinTimeout({ url }) {
    const mallory = await Client.connect(url);
    await mallory.expectError("join-timeout");
    await mallory.closed;
  },
  async function expiryOfAPair({ url }) {
    const { alice, bob } = await newPair(url);
    await Promise.all([alice.expectError("session-expired"), bob.expectError("session-expired")]);
    await Promise.all([alice.closed, bob.closed]);
  },
  async function expiryAlone({ url }) {
    const alice = await Client.join(url, newCode(), true);
    await alice.expectError("session-expired");
    await alice.closed;
  },
];

/** A process with so many peers is ended with SIGKILL. */
export async function killed({ url }: Place, peers: number): Promise<void> {
  const codes = Array.from({ length: peers }, newCode);
  await using _peers = await PeerProcess.join(url, codes, { isInitiator: true });
}
