/** The contract's browsers, with the binary as it is released: in a file of its own, to run beside the rest. */
import { spawnRelay } from "../support/relays/relay.ts";
import { browser } from "./suite/browser.ts";

browser((...args) => spawnRelay("binary", ...args));
