// One peer in Node.js, with werift's RTCPeerConnection: node --experimental-websocket node-peer.mjs URL CODE
// It says what it hears back, and what it runs on in its first line.
import { RTCPeerConnection } from "werift";
import { connect } from "../../dist/client.js";

const [url, code] = process.argv.slice(2);
const session = connect({ url, code, RTCPeerConnection, rtc: { iceAdditionalHostAddresses: ["127.0.0.1"] } });
session.addEventListener("failed", ({ detail }) => {
  console.log(detail.reason);
  process.exit(1);
});
const { channel } = await session.connected;
channel.addEventListener("message", ({ data }) => channel.send(`back: ${data}`));
console.log("connected");
