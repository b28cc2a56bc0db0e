/**
 * A baseline: PeerJS's server as its package exports it, with the options that a measurement needs and no others. Its
 * own command line would print a line for each peer that comes and goes; this one doesn't, which is in its favour.
 *
 * It listens on a free port of the loopback, with TLS where TLS_CERT and TLS_KEY name files.
 */
import { readFileSync } from "node:fs";
import { PeerServer } from "peer";

const { TLS_CERT, TLS_KEY } = process.env;

const options = {
  host: "127.0.0.1",
  port: 0,
  // 5,000 peers by default: fewer than are measured. Nothing grows with the limit itself.
  concurrent_limit: 1_000_000,
  // 90 s by default, and clients send a heartbeat every 5 s to stay. The load tester's send none, so none is parsed.
  alive_timeout: 3_600_000,
  ...(TLS_CERT ? { ssl: { cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) } } : {}),
};

const peerServer = PeerServer(options, (server) => {
  console.log(`listening on ${TLS_CERT ? "https" : "http"}://127.0.0.1:${server.address().port}`);
});
peerServer.on("error", () => {}); // a socket that broke; without a listener it would end the process
