/** The contract, kept by the binary as it is released: all of it, but what browsers do with it: see browsers.test.ts. */
import { describe, setDefaultTimeout } from "bun:test";
import { type Start, spawnRelay } from "../support/relays/relay.ts";
import { additions } from "./suite/additions.ts";
import { bystanders } from "./suite/bystanders.ts";
import { drain } from "./suite/drain.ts";
import { independent } from "./suite/independent.ts";
import { quotas } from "./suite/quotas.ts";
import { seats } from "./suite/seats.ts";
import { wire } from "./suite/wire.ts";

setDefaultTimeout(60_000); // some wait for 12 s, while 20 relays start at once on a machine that has other things to do

const start: Start = (...args) => spawnRelay("binary", ...args);

wire(start);
additions(start);
seats(start);
quotas(start);
independent(start);
drain(start);
// Each of these has a relay of its own, and most of them wait for a probe.
describe.concurrent("beside each other", () => bystanders(start));
