/**
 * A program of its own that holds the sockets of peers, so that they can be stopped with it. It joins one session for
 * each code and prints how the messages begin that its peers hear, "N TEXT", and "N closed CODE"; N counts the codes.
 *   peer-process.ts URL CODES ROLE [MESSAGES BYTES]
 * With MESSAGES, each peer that hears `ready` sends as many of that size, until it hears that the other has left.
 */
const [url = "", codes = "", role, messages = "0", bytes = "0"] = Bun.argv.slice(2);
/** So many messages may be on their way before the relay must have said that it took them. */
const IN_FLIGHT = 8;
/** As much as any message of the relay's own has, and much less than an offer. */
const SHOWN = 200;

function peer(n: number, sessionCode: string): void {
  const socket = new WebSocket(url);
  const print = (text: string) => process.stdout.write(`${n} ${text.slice(0, SHOWN)}\n`);
  const offer = JSON.stringify({ type: "offer", sessionCode, offer: { sdp: "x".repeat(Number(bytes)) } });
  let toSend = Number(messages);
  let left = toSend;
  function flood(): void {
    for (let i = 0; i < IN_FLIGHT && left > 0; i++, left--) socket.send(offer);
    socket.send('{"type":"ping"}');
  }
  socket.onopen = () => socket.send(JSON.stringify({ type: "join", sessionCode, isInitiator: role === "initiator" }));
  socket.onclose = ({ code }) => print(`closed ${code}`);
  socket.onmessage = ({ data }) => {
    const text = String(data);
    if (text !== '{"type":"pong"}') print(text);
    if (toSend === 0) return;
    if (text === '{"type":"peer-left"}') left = toSend = 0;
    else if (text === '{"type":"ready"}' || (text === '{"type":"pong"}' && left > 0)) flood();
    else if (text === '{"type":"pong"}') {
      toSend = 0;
      print("done");
    }
  };
}

for (const [n, code] of codes.split(",").entries()) peer(n, code);
