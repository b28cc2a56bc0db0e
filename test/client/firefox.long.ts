/** The library in Firefox, with Chromium opposite: what differs from browser to browser is negotiation. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser } from "playwright-core";
import { newCode } from "../../src/client/client.ts";
import { type BrowserPeer, hasChromium, launchChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { FIREFOX, type Firefox, type FirefoxPage, hasFirefox, launchFirefox } from "../support/machines/firefox.ts";
import { freePort } from "../support/machines/free-port.ts";
import { equals, until } from "../support/machines/until.ts";
import { type RunningRelay, spawnRelay } from "../support/relays/relay.ts";
import { begin, openPage, startSite, untilTalking } from "./pages.ts";

setDefaultTimeout(3 * PATIENCE_MS);

const isHere = hasFirefox() && hasChromium();
if (!isHere) console.warn(`client/firefox: the library is not tried there, there is no ${FIREFOX}`);

describe.skipIf(!isHere && !process.env["CI"])("a page in Firefox and one in Chromium", () => {
  let chromium: Browser;
  let firefox: Firefox;
  let site: Bun.Server<undefined>;
  let relay: RunningRelay;
  let alice: FirefoxPage;
  let bob: BrowserPeer;
  let options: { url: string; code: string };

  beforeAll(async () => {
    site = startSite();
    [firefox, chromium, relay] = await Promise.all([launchFirefox(), launchChromium(), spawnRelay("binary")]);
    [alice, bob] = await Promise.all([firefox.open(site.url.href), openPage(chromium, site)]);
    await alice.until("globalThis.page");
  });

  beforeEach(async () => {
    await Promise.all([alice.run("page.reset()"), bob.run("page.reset()")]);
    options = { url: relay.url, code: newCode() };
  });

  afterAll(async () => {
    await chromium?.close();
    await firefox?.[Symbol.asyncDispose]();
    await site?.stop(true);
    await relay?.[Symbol.asyncDispose]();
  });

  test.each([
    ["Firefox first", ["initiator", "joiner"]],
    ["Chromium first", ["joiner", "initiator"]],
  ])("meet and talk, sealed; %s", async (_, [alices, bobs]) => {
    await begin(alice, { ...options, role: alices });
    await begin(bob, { ...options, role: bobs });
    await untilTalking(alice, bob);
    expect(await alice.run("page.channel.path(page.session.connection)")).toMatchObject({
      relayed: false,
      protocol: "udp",
    });
  });

  test.each(["initiator", "joiner"])("on the plain wire, Firefox as %s", async (role) => {
    await begin(alice, { ...options, sealed: false, role });
    await begin(bob, { ...options, sealed: false, role: role === "joiner" ? "initiator" : "joiner" });
    await untilTalking(alice, bob);
  });

  test("again after Firefox reloads", async () => {
    await begin(alice, options);
    await begin(bob, options);
    await untilTalking(alice, bob);
    await alice.reload();
    await alice.until("globalThis.page");
    await begin(alice, options);
    await untilTalking(alice, bob);
  });

  test.each(["Firefox", "Chromium"])("find another path in the same connection when %s looks for it", async (which) => {
    await begin(alice, options);
    await begin(bob, options);
    await untilTalking(alice, bob);
    const ufrag = "/ice-ufrag:(.*)/.exec(page.session.connection.localDescription.sdp)[1]";
    const before = JSON.stringify(await bob.run(ufrag));
    await (which === "Firefox" ? alice : bob).run("page.session.restart()");
    const isStable = "page.session.connection.signalingState === 'stable'";
    await Promise.all([alice.until(isStable), bob.until(`${ufrag} !== ${before} && ${isStable}`)]);
    await untilTalking(alice, bob);
    for (const page of [alice, bob]) expect(await page.run("page.connections.length")).toBe(1);
  });

  test.each(["initiator", "joiner"])("add tracks one after the other; Firefox is the %s", async (role) => {
    await begin(alice, { ...options, sealed: false, role });
    await begin(bob, { ...options, sealed: false, role: role === "joiner" ? "initiator" : "joiner" });
    await untilTalking(alice, bob);
    for (const [index, page] of [alice, bob].entries()) {
      await page.run("void page.session.connection.addTransceiver('audio')");
      const made = "page.session.connection.getTransceivers().filter(({ mid }) => mid).length";
      const both = `page.session.connection.signalingState === 'stable' && ${made} === ${index + 1}`;
      await Promise.all([alice.until(both), bob.until(both)]);
      await untilTalking(alice, bob);
    }
  });

  test("stay connected while the relay is gone", async () => {
    const port = freePort();
    await using first = await spawnRelay("binary", "--port", `${port}`);
    options = { ...options, url: first.url };
    await begin(alice, options);
    await begin(bob, options);
    await untilTalking(alice, bob);
    await first.stop("SIGKILL");
    await alice.until("page.count('retrying') > 0");
    await untilTalking(alice, bob);
    await using second = await spawnRelay("binary", "--port", `${port}`);
    await until("1 sessions", () => second.sessions(), equals(1));
    expect(await alice.run("[page.connections.length, page.count('interrupted')]")).toEqual([1, 0]);
  });
});
