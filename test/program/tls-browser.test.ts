/**
 * What a real browser makes of a relay that speaks TLS itself: how it is encrypted, and the page for people. Where
 * Chromium is missing this is skipped, but never under CI (see browser.test.ts).
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser, CDPSession, Page } from "playwright-core";
import { Authority, type Files } from "../support/machines/certificates.ts";
import { hasChromium, launchChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { newFolder } from "../support/machines/folder.ts";
import { openTap, X25519MLKEM768 } from "../support/machines/tap.ts";
import { openTunnel } from "../support/machines/tunnel.ts";
import { Client, newCode } from "../support/peers/client.ts";
import { RELEASED, spawnRelay } from "../support/relays/relay.ts";

setDefaultTimeout(3 * PATIENCE_MS); // a condition that never holds is then reported by its own name

test.skipIf(!process.env["CI"])("CI has a Chromium to test with", () => {
  expect(hasChromium()).toBe(true);
});

describe.skipIf(!hasChromium())("a browser over TLS", () => {
  let authority: Authority;
  let files: Files;
  let browser: Browser;

  beforeAll(async () => {
    authority = await Authority.create();
    files = await authority.issue();
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await authority?.[Symbol.asyncDispose]();
  });

  /** A page in a profile of its own that takes any certificate. */
  async function openPage(): Promise<{ page: Page; cdp: CDPSession } & AsyncDisposable> {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    const cdp = await context.newCDPSession(page);
    await cdp.send("Network.enable");
    return { page, cdp, [Symbol.asyncDispose]: () => context.close() };
  }

  test.each(RELEASED)(
    "exchanges keys with the relay from %s so that a quantum computer won't find them",
    async (variant) => {
      await using relay = await spawnRelay(variant, ...files.args);
      await using tap = await openTap(relay.port);
      await using tunnel = await openTunnel(relay.port, { ca: await authority.root() });
      await using opened = await openPage();
      const { page, cdp } = opened;
      const seen = new Promise((resolve) => {
        cdp.once("Network.responseReceived", ({ response }) => resolve(response.securityDetails));
      });
      await page.goto(`https://127.0.0.1:${tap.port}/health`);
      expect(await seen).toMatchObject({ protocol: "TLS 1.3", keyExchangeGroup: "X25519MLKEM768" });

      // A WebSocket is no response of which the browser tells this, so it is read off the wire.
      const sessionCode = newCode();
      const alice = await Client.join(tunnel.url, sessionCode, true);
      await page.evaluate(`
      const socket = new WebSocket("wss://127.0.0.1:${tap.port}");
      socket.onopen = () => socket.send('{"type":"join","sessionCode":"${sessionCode}"}');
      new Promise((resolve) => (socket.onmessage = ({ data }) => data.includes('"ready"') && resolve()));
    `);
      await alice.expect("ready");
      expect(tap.groups.length).toBeGreaterThan(1);
      expect(new Set(tap.groups)).toEqual(new Set([X25519MLKEM768]));
    },
  );

  test.each(RELEASED)(
    "is shown a page by the relay from %s, which loads nothing and lets nothing run",
    async (variant) => {
      await using relay = await spawnRelay(variant, ...files.args);
      await using opened = await openPage();
      const { page, cdp } = opened;
      const url = `https://127.0.0.1:${relay.port}/`;
      const requested: string[] = [];
      cdp.on("Network.requestWillBeSent", ({ request }) => requested.push(request.url));
      const answer = await page.goto(url);
      expect(answer?.headers()["content-type"]).toBe("text/html; charset=utf-8");
      expect(await page.title()).toBe("whisper-signaling");
      expect(await page.textContent("body")).toContain("It is well.");
      expect(await page.evaluate("getComputedStyle(document.body).maxWidth")).not.toBe("none"); // its style is let in

      const violated = await page.evaluate(`new Promise((resolve) => {
      addEventListener("securitypolicyviolation", ({ effectiveDirective }) => resolve(effectiveDirective));
      const script = document.createElement("script");
      script.textContent = "globalThis.hasRun = true";
      document.body.append(script);
    })`);
      expect(violated).toBe("script-src-elem");
      expect(await page.evaluate("globalThis.hasRun")).toBeUndefined();
      const blocked = await page.evaluate(`fetch("/health").then(() => "let through", () => "blocked")`);
      expect(blocked).toBe("blocked");
      expect(requested).toEqual([url]);
    },
  );

  test.each(["light", "dark"] as const)(
    "paints the page in %s colours, as large as its window",
    async (colorScheme) => {
      await using relay = await spawnRelay("source", ...files.args);
      await using folder = await newFolder();
      await using opened = await openPage();
      const { page } = opened;
      await page.setViewportSize({ width: 360, height: 640 });
      await page.emulateMedia({ colorScheme });
      await page.goto(`https://127.0.0.1:${relay.port}/`);
      await page.screenshot({ path: folder.file("page.png") });
      expect(Bun.file(folder.file("page.png")).size).toBeGreaterThan(5_000);
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360); // a phone need not scroll sideways
      const [red = 0] =
        String(await page.evaluate("getComputedStyle(document.body).backgroundColor")).match(/\d+/) ?? [];
      expect(Number(red) > 127).toBe(colorScheme === "light");
    },
  );
});
