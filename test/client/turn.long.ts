/**
 * Two pages that have no way but TURN: coturn, the relay that hands out credentials, and Chromium. Where a program is
 * missing this is skipped, but never under CI.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser } from "playwright-core";
import { newCode } from "../../src/client/client.ts";
import { newCredential } from "../../src/program/turn.ts";
import { Authority } from "../support/machines/certificates.ts";
import { type BrowserPeer, hasChromium, launchChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { type Coturn, hasCoturn, startCoturn } from "../support/machines/coturn.ts";
import { newFolder } from "../support/machines/folder.ts";
import { spawnRelay } from "../support/relays/relay.ts";
import { begin, openPage, startSite, untilTalking } from "./pages.ts";
import { startScriptedRelay } from "./scripted-relay.ts";

setDefaultTimeout(3 * PATIENCE_MS);

const SECRETS = { old: "the-secret-of-last-year", new: "the-secret-of-this-year" };
/** The page leaves out whatever is no relayed candidate, as a network would that lets nothing else through. */
const ONLY_RELAYED = { rtc: { iceTransportPolicy: "relay" } };

const canRun = hasChromium() && hasCoturn();
if (!canRun) console.warn("client/turn.long.ts: nothing is tried: there is no Chromium, or no coturn");

describe.skipIf(!canRun && !process.env["CI"])("two who have no way but TURN", () => {
  let authority: Authority;
  let coturn: Coturn;
  let browser: Browser;
  let site: Bun.Server<undefined>;
  let alice: BrowserPeer;
  let bob: BrowserPeer;

  beforeAll(async () => {
    authority = await Authority.create();
    coturn = await startCoturn(Object.values(SECRETS), await authority.issue());
    site = startSite();
    // Who trusts coturn's certificate is not what is tried here: check --turn is, in program/turn-check.
    browser = await launchChromium(["--ignore-certificate-errors"]);
    [alice, bob] = await Promise.all([openPage(browser, site), openPage(browser, site)]);
  });
  beforeEach(async () => {
    await Promise.all([alice.run("page.reset()"), bob.run("page.reset()")]);
  });
  afterAll(async () => {
    await browser?.close();
    await site?.stop(true);
    await coturn?.[Symbol.asyncDispose]();
    await authority?.[Symbol.asyncDispose]();
  });

  /** A relay that knows the secrets, in this order, and tells of these servers. */
  async function startRelay(secrets: readonly string[], ...urls: string[]) {
    const folder = await newFolder();
    const file = await folder.write("secrets", secrets.join("\n"));
    const relay = await spawnRelay("binary", `--turn-url=${urls}`, `--turn-secret-file=${file}`);
    await folder[Symbol.asyncDispose](); // it is read once
    return relay;
  }

  const path = "page.channel.path(page.session.connection)";

  test.each(["udp", "tcp", "tls"] as const)("meet over %s", async (transport) => {
    await using relay = await startRelay([SECRETS.new], coturn.urls[transport]);
    const options = { url: relay.url, code: newCode(), ...ONLY_RELAYED };
    await Promise.all([begin(alice, options), begin(bob, options)]);
    await untilTalking(alice, bob);
    for (const page of [alice, bob])
      expect(await page.run(path)).toMatchObject({
        relayed: true,
        protocol: transport,
        local: "relay",
        remote: "relay",
      });
  });

  test("meet where one of them is behind it, and the other has a way of its own", async () => {
    await using relay = await startRelay([SECRETS.new], coturn.urls.udp);
    const options = { url: relay.url, code: newCode() };
    await Promise.all([begin(alice, { ...options, ...ONLY_RELAYED }), begin(bob, options)]);
    await untilTalking(alice, bob);
    expect(await alice.run(path)).toMatchObject({ relayed: true, local: "relay" });
    expect(await bob.run(path)).toMatchObject({ relayed: true, remote: "relay" });
  });

  test("find a path again with credentials that are fresh in both", async () => {
    await using relay = await startRelay([SECRETS.new], coturn.urls.udp);
    const options = { url: relay.url, code: newCode(), ...ONLY_RELAYED };
    await Promise.all([begin(alice, options), begin(bob, options)]);
    await untilTalking(alice, bob);
    const username = "page.session.connection.getConfiguration().iceServers[0].username";
    const before = [await alice.run(username), await bob.run(username)];
    // Both come back to the relay on new sockets, and so to a new ready, before one of them looks for a path.
    for (const page of [alice, bob]) await page.run("page.sockets.at(-1).close()");
    await Promise.all(
      [alice, bob].map((page) => page.until("page.sockets.length > 1 && page.sockets.at(-1).readyState === 1")),
    );
    const ufrag = "/ice-ufrag:(.*)/.exec(page.session.connection.localDescription.sdp)[1]";
    const ufrags = [await alice.run(ufrag), await bob.run(ufrag)];
    await bob.run("page.session.restart()");
    for (const [i, page] of [alice, bob].entries())
      await page.until(`${ufrag} !== "${ufrags[i]}" && page.session.connection.iceConnectionState === "connected"`);
    await untilTalking(alice, bob);
    for (const [i, page] of [alice, bob].entries()) {
      expect(await page.run(username)).not.toBe(before[i]);
      expect(await page.run(path)).toMatchObject({ relayed: true });
      expect(await page.run("page.connections.length")).toBe(1);
    }
  });

  test("meet while the secret is changed: coturn takes both, the relay signs with its first", async () => {
    for (const secrets of [[SECRETS.old], [SECRETS.new, SECRETS.old]]) {
      await using relay = await startRelay(secrets, coturn.urls.udp);
      const options = { url: relay.url, code: newCode(), ...ONLY_RELAYED };
      await Promise.all([begin(alice, options), begin(bob, options)]);
      await untilTalking(alice, bob);
      await Promise.all([alice.run("page.reset()"), bob.run("page.reset()")]);
    }
  });

  test("don't meet with a credential that has expired, and are told that TURN was no way either", async () => {
    const expired = newCredential(SECRETS.new, 0, Date.now() - 60_000);
    await using relay = startScriptedRelay({ ready: { iceServers: [{ urls: [coturn.urls.udp], ...expired }] } });
    const options = { url: relay.url, code: newCode(), ...ONLY_RELAYED, connectMs: 4_000 };
    await Promise.all([begin(alice, options), begin(bob, options)]);
    await alice.until("page.last.failed");
    expect(await alice.run("page.last.failed")).toMatchObject({
      reason: "no-path",
      message: "no-path, TURN tried",
    });
    expect(coturn.log()).toContain(`check_stun_auth: Cannot find credentials of user <${expired.username}>`);
  });
});
