/** Pages in Chromium that have loaded the built library, and the site they come from. */
import { resolve } from "node:path";
import type { Browser } from "playwright-core";
import { BrowserPeer } from "../support/machines/chromium.ts";
import { ROOT } from "../support/relays/relay.ts";

/** What `bun run build` leaves for browsers; `bun run test` builds it first. */
export const BUILT = ["client.js", "channel.js", "words.js"] as const;

export function startSite(): Bun.Server<undefined> {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const path = new URL(request.url).pathname.slice(1);
      const built = BUILT.find((name) => name === path);
      if (built) return new Response(Bun.file(resolve(ROOT, "dist", built)));
      return new Response(Bun.file(resolve(import.meta.dir, "page.html")));
    },
  });
}

/** A page that is ready to be told `page.begin(…)`, in a context of its own. */
export async function openPage(browser: Browser, site: Bun.Server<undefined>): Promise<BrowserPeer> {
  const peer = await BrowserPeer.open(browser, site.url.href);
  await peer.until("globalThis.page");
  return peer;
}

/** Begins a session in the page. `options`: as of `connect`, and what JSON can hold. */
export async function begin(page: Pick<BrowserPeer, "run">, options: object): Promise<void> {
  await page.run(`page.begin(${JSON.stringify(options)})`);
}

type Talker = Pick<BrowserPeer, "run" | "until">;

/** That the two are connected, and that a text goes each way. */
export async function untilTalking(alice: Talker, bob: Talker): Promise<void> {
  await Promise.all([alice.until("page.isConnected()"), bob.until("page.isConnected()")]);
  const texts = [crypto.randomUUID(), crypto.randomUUID()];
  await Promise.all([alice.run(`page.say("${texts[0]}")`), bob.run(`page.say("${texts[1]}")`)]);
  await Promise.all([
    alice.until(`page.heard.includes("${texts[1]}")`),
    bob.until(`page.heard.includes("${texts[0]}")`),
  ]);
}
