/** The relay's look at its own books, with a fault planted: without one, every other test expects to find none. */

import { expect, spyOn, test } from "bun:test";
import { startRelay } from "../../src/core/relay.ts";
import { Sessions } from "../../src/core/sessions.ts";
import { readConfig } from "../../src/program/config.ts";
import { Metrics } from "../../src/program/metrics.ts";
import { answer } from "../../src/web/http.ts";
import { failed } from "../support/machines/failed.ts";
import { until } from "../support/machines/until.ts";
import { expectUndisturbed, newPair } from "../support/peers/client.ts";

test("a seat that is not given back is found on the next sweep, counted, logged once, and seen in health", async () => {
  const warnings: string[] = [];
  const relay = startRelay(readConfig(["--host=127.0.0.1", "--port=0"], {}), {
    events: new Metrics(),
    http: answer,
    warn: (line) => warnings.push(line),
    failed,
    now: () => performance.now(),
  });
  const url = `ws://127.0.0.1:${relay.port}`;
  const health = async () => (await fetch(`http://127.0.0.1:${relay.port}/health`)).json();
  const { code, alice, bob } = await newPair(url);
  relay.sweep();
  expect([relay.gauges().differences, await health()]).toEqual([0, { status: "ok", sessions: 1 }]);

  using leave = spyOn(Sessions.prototype, "leave");
  leave.mockImplementationOnce(() => null);
  alice.close();
  await until(() => relay.gauges().sockets === 1);
  relay.sweep();
  expect(relay.gauges().differences).toBe(2); // a socket too few for the seats, a subscriber too few for the session
  expect(await health()).toEqual({ status: "degraded", sessions: 1 });
  relay.sweep();
  expect(relay.gauges().differences).toBe(4);
  expect(new Set(warnings)).toEqual(
    new Set(["the self-check found a difference between sockets, seats, sessions and topics"]),
  );
  expect(warnings.join()).not.toContain(code);
  await expectUndisturbed(await newPair(url)); // it goes on
  bob.close();
  await relay.stop();
});
