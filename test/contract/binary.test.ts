/** The contract, kept by the binary as it is released: all of it. */
import { type Start, spawnRelay } from "../support/relays/relay.ts";
import { additions } from "./suite/additions.ts";
import { browser } from "./suite/browser.ts";
import { bystanders } from "./suite/bystanders.ts";
import { drain } from "./suite/drain.ts";
import { independent } from "./suite/independent.ts";
import { quotas } from "./suite/quotas.ts";
import { seats } from "./suite/seats.ts";
import { wire } from "./suite/wire.ts";

const start: Start = (...args) => spawnRelay("binary", ...args);

wire(start);
additions(start);
seats(start);
quotas(start);
bystanders(start);
drain(start);
independent(start);
browser(start);
