/**
 * The load tester's entry: it loads relays that speak docs/PROTOCOL.md. All else is in the front.
 */
import { front } from "./front.ts";
import { whisper } from "./wire.ts";

await front(whisper);
