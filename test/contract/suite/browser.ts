/**
 * Real browsers through the relay: two Chromium contexts with an RTCPeerConnection each, which know only the part
 * of the wire that clients in use speak. Where Chromium is missing this is skipped, but never under CI.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { resolve } from "node:path";
import type { Browser } from "playwright-core";
import { BrowserPeer, CHROMIUM, hasChromium, launchChromium, PATIENCE_MS } from "../../support/machines/chromium.ts";
import { equals, until } from "../../support/machines/until.ts";
import { newCode } from "../../support/peers/client.ts";
import { ROOT, type RunningRelay, type Start } from "../../support/relays/relay.ts";

/** @param start starts the relay that is tried */
export function browser(start: Start): void {
  setDefaultTimeout(3 * PATIENCE_MS); // a condition that never holds is then reported by its own name

  if (!hasChromium()) console.warn(`real browsers are not tested, there is no ${CHROMIUM}`);

  test.skipIf(!process.env["CI"])("CI has a Chromium to test with", () => {
    expect(hasChromium()).toBe(true);
  });

  describe.skipIf(!hasChromium())("real browsers", () => {
    let chromium: Browser;
    let site: Bun.Server<undefined>;

    beforeAll(async () => {
      const page = await Bun.file(resolve(ROOT, "test/support/machines/page.html")).text();
      const headers = { "Content-Type": "text/html" };
      site = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(page, { headers }) });
      chromium = await launchChromium();
    });

    afterAll(async () => {
      await chromium?.close();
      await site?.stop(true);
    });

    test.each(["joiner", "initiator"])("two browsers meet when the %s joins first", async (first) => {
      await using relay = await start();
      await using alice = await BrowserPeer.open(chromium, site.url.href);
      await using bob = await BrowserPeer.open(chromium, site.url.href);
      const code = newCode();
      const joins = [() => alice.join(relay.url, code, true), () => bob.join(relay.url, code, false)];
      if (first === "joiner") joins.reverse();
      await joins[0]?.();
      await untilSessions(relay, 1);
      await joins[1]?.();
      await expectToTalk(alice, bob);
      await untilSessions(relay, 0);
    });

    test.each(["joiner", "initiator"])("the %s reloads before the answer and the pair still meets", async (role) => {
      await using relay = await start();
      await using alice = await BrowserPeer.open(chromium, site.url.href);
      await using bob = await BrowserPeer.open(chromium, site.url.href);
      const code = newCode();
      await bob.run("peer.answers = false");
      await alice.join(relay.url, code, true);
      await bob.join(relay.url, code, false);
      await bob.until('peer.received.includes("offer")');

      const [reloading, staying] = role === "joiner" ? [bob, alice] : [alice, bob];
      await reloading.reload();
      await bob.run("peer.answers = true");
      await reloading.join(relay.url, code, role === "initiator");
      await expectToTalk(alice, bob);
      expect(await staying.run('peer.received.filter((type) => type === "ready").length')).toBe(2);
      expect(await reloading.run('peer.received.filter((type) => type === "ready").length')).toBe(1);
      await untilSessions(relay, 0);
    });

    test("a pair that has met and hung up meets again under the same code after a reload", async () => {
      await using relay = await start();
      await using alice = await BrowserPeer.open(chromium, site.url.href);
      await using bob = await BrowserPeer.open(chromium, site.url.href);
      const code = newCode();
      async function meetAndHangUp(): Promise<void> {
        await alice.join(relay.url, code, true);
        await bob.join(relay.url, code, false);
        await expectToTalk(alice, bob);
        await untilSessions(relay, 0);
      }
      await meetAndHangUp();
      await bob.reload();
      await meetAndHangUp();
    });
  });
}

/** That a data channel opens between the two and carries a text each way. */
async function expectToTalk(alice: BrowserPeer, bob: BrowserPeer): Promise<void> {
  await Promise.all([alice.until("peer.isOpen"), bob.until("peer.isOpen")]);
  await Promise.all([alice.run('peer.say("hello bob")'), bob.run('peer.say("hello alice")')]);
  await Promise.all([alice.until("peer.heard.length > 0"), bob.until("peer.heard.length > 0")]);
  expect(await alice.run("peer.heard")).toEqual(["hello alice"]);
  expect(await bob.run("peer.heard")).toEqual(["hello bob"]);
}

const untilSessions = (relay: RunningRelay, expected: number) =>
  until(`${expected} sessions`, () => relay.sessions(), equals(expected));
