/** The contract, kept by the relay as it is run from its source: the part in which that could differ from the binary. */
import { type Start, spawnRelay } from "../support/relays/relay.ts";
import { additions } from "./suite/additions.ts";
import { seats } from "./suite/seats.ts";
import { wire } from "./suite/wire.ts";

const start: Start = (...args) => spawnRelay("source", ...args);

wire(start);
additions(start);
seats(start);
