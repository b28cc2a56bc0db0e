// One peer in Node.js or Deno, with werift's RTCPeerConnection: node --experimental-websocket node-peer.mjs URL CODE [asks]
// It says what becomes of it in its first line, and answers whatever it hears; one that asks says hello, and what it hears.
import process from "node:process";
import { RTCPeerConnection } from "werift";
import { connect } from "../../dist/client.js";

const [url, code, role] = process.argv.slice(2);
const session = connect({ url, code, RTCPeerConnection, rtc: { iceAdditionalHostAddresses: ["127.0.0.1"] } });
session.addEventListener("failed", ({ detail }) => {
  console.log(detail.reason);
  process.exit(1);
});
const { channel } = await session.connected;
if (role === "asks") {
  channel.addEventListener("message", ({ data }) => console.log(data));
  channel.send("hello");
} else {
  channel.addEventListener("message", ({ data }) => channel.send(`back: ${data}`));
  console.log("connected");
}
