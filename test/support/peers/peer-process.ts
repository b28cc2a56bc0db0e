/**
 * A program of its own that holds the sockets of peers, so that they can be stopped with it. It joins one session for
 * each code and prints how the messages begin that its peers hear, "N TEXT", and "N closed CODE"; N counts the codes.
 *   peer-process.ts URL CODES ROLE [MESSAGES BYTES]
 * With MESSAGES, each peer that hears `ready` sends as many of that size, until it hears that the other has left.
 */
import { Client } from "./client.ts";
import { PING, PONG } from "./inbox.ts";

const [url = "", codes = "", role, messages = "0", bytes = "0"] = Bun.argv.slice(2);
/** So many messages may be on their way before the relay must have said that it took them. */
const IN_FLIGHT = 8;
/** As much as any message of the relay's own has, and much less than an offer. */
const SHOWN = 200;

async function play(n: number, sessionCode: string): Promise<void> {
  const print = (text: string) => process.stdout.write(`${n} ${text.slice(0, SHOWN)}\n`);
  const offer = JSON.stringify({ type: "offer", sessionCode, offer: { sdp: "x".repeat(Number(bytes)) } });
  let toSend = Number(messages);
  let left = toSend;
  const peer = await Client.connect(url);
  function flood(): void {
    for (let i = 0; i < IN_FLIGHT && left > 0; i++, left--) peer.send(offer);
    peer.send(PING);
  }
  peer.send({ type: "join", sessionCode, isInitiator: role === "initiator" });
  for (;;) {
    const text = await peer.nextOrEnd();
    if (typeof text !== "string") return void print(`closed ${text.code}`);
    if (text !== PONG) print(text);
    if (toSend === 0) continue;
    if (text === '{"type":"peer-left"}') left = toSend = 0;
    else if (text === '{"type":"ready"}' || (text === PONG && left > 0)) flood();
    else if (text === PONG) {
      toSend = 0;
      print("done");
    }
  }
}

for (const [n, code] of codes.split(",").entries()) void play(n, code);
