/** The ten lines of the README, as they stand there. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { hasChromium, launchChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { newFolder } from "../support/machines/folder.ts";
import { ROOT, spawnRelay } from "../support/relays/relay.ts";

setDefaultTimeout(3 * PATIENCE_MS);

test.skipIf(!hasChromium() && !process.env["CI"]).each(["a file", "a site"])(
  "the README's ten lines are a chat, also after a reload, from %s",
  async (from) => {
    const readme = await Bun.file(resolve(ROOT, "README.md")).text();
    const [, lines = ""] = /<!-- chat:[^\n]*\n```html\n(.*?)```/s.exec(readme) ?? [];
    expect(lines.trim().split("\n").length).toBe(10);
    await using relay = await spawnRelay("binary");
    const html = `<!doctype html>\n${lines.replaceAll("127.0.0.1:8000", `127.0.0.1:${relay.port}`)}`;
    const site = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response(html, { headers: { "Content-Type": "text/html" } }),
    });
    await using folder = await newFolder();
    const page = from === "a site" ? site.url.href : pathToFileURL(await folder.write("chat.html", html)).href;
    const browser = await launchChromium();
    try {
      const open = async (url: string) => {
        const page = await (await browser.newContext({ permissions: ["microphone"] })).newPage();
        await page.goto(url);
        return page;
      };
      const alice = await open(page);
      await alice.waitForFunction("location.hash.length > 1");
      const bob = await open(alice.url());
      const talk = async (from: Page, to: Page, text: string) => {
        await from.waitForFunction("document.querySelector('input').onchange");
        await from.fill("input", text);
        await from.press("input", "Enter");
        await to.waitForFunction(`document.body.textContent.includes("${text}")`);
      };
      await talk(alice, bob, "hello bob");
      await talk(bob, alice, "hello alice");
      await bob.reload();
      await talk(bob, alice, "here again");
      await talk(alice, bob, "welcome back");
    } finally {
      await browser.close();
      await site.stop(true);
    }
  },
);
