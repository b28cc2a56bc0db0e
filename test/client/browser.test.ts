/** The library in two real browsers, through the relay. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser } from "playwright-core";
import { newCode } from "../../src/client/client.ts";
import { CHROMIUM, hasChromium, launchChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { type RunningRelay, spawnRelay } from "../support/relays/relay.ts";
import { begin, openPage, startSite, untilTalking } from "./pages.ts";

setDefaultTimeout(3 * PATIENCE_MS);

if (!hasChromium()) console.warn(`client/browser.test.ts: the library is not tried, there is no ${CHROMIUM}`);

describe.skipIf(!hasChromium() && !process.env["CI"])("two pages", () => {
  let browser: Browser;
  let site: Bun.Server<undefined>;
  let relay: RunningRelay;

  beforeAll(async () => {
    site = startSite();
    [browser, relay] = await Promise.all([launchChromium(), spawnRelay("binary")]);
  });

  afterAll(async () => {
    await browser?.close();
    await site?.stop(true);
    await relay?.[Symbol.asyncDispose]();
  });

  test.each([
    ["with roles of their own finding", {}, {}],
    ["with roles, the joiner first", { role: "joiner" }, { role: "initiator" }],
    ["on the plain wire", { sealed: false }, { sealed: false }],
    ["without a hint for balancers", { hint: false }, { hint: false }],
  ])("meet %s", async (_, alices, bobs) => {
    await using alice = await openPage(browser, site);
    await using bob = await openPage(browser, site);
    const code = newCode();
    await begin(alice, { url: relay.url, code, ...alices });
    await begin(bob, { url: relay.url, code, ...bobs });
    await untilTalking(alice, bob);
  });
});
