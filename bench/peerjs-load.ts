/** The load tester with the wire of PeerJS's server in place of the relay's: same scenarios, same options. */
import { front } from "../src/load/front.ts";
import { peerjs } from "./peerjs-wire.ts";

await front(peerjs);
