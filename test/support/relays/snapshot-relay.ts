/**
 * A program of its own: a relay whose heap can be looked at, with the clock in the test's hand, as main.ts runs it. It says its port, then does what a test tells it: a number is the time from now on, in ms, and is swept at; a path
 * is where to write what is in the heap, garbage collected. What a test looks for, it never hears of.
 */

import { Scrubber } from "../../../src/lockdown/scrubber.ts";
import { gauges } from "../../../src/program/books.ts";
import { Metrics } from "../../../src/program/metrics.ts";
import { ANSWER } from "./asked.ts";
import { startHandRelay } from "./in-process.ts";

const metrics = new Metrics();
const scrubber = await Scrubber.open(null, (line) => process.stderr.write(line));
const { relay, clock } = startHandRelay(["--exempt=127.0.0.1"], { events: metrics });

console.log(`listening on ${relay.address}`);

for await (const line of console) {
  const told: unknown = JSON.parse(line);
  if (typeof told === "number") {
    clock.at = told;
    relay.sweep();
  } else {
    for (let turn = 0; turn < 3; turn++) await scrubber.turn(metrics.activity); // one amid traffic, two once all is quiet
    Bun.gc(true);
    await Bun.write(String(told), Bun.generateHeapSnapshot("v8")); // the other formats leave the texts of strings out
  }
  console.log(`${ANSWER}${gauges(relay.state).sockets}`);
}
