/** Pages in Chromium that have loaded the built library, and the site they come from. */
import { afterAll, beforeAll, beforeEach } from "bun:test";
import { resolve } from "node:path";
import type { Browser } from "playwright-core";
import { BrowserPeer, launchChromium } from "../support/machines/chromium.ts";
import { ROOT, type RunningRelay, spawnRelay } from "../support/relays/relay.ts";

/** What `bun run build` leaves for browsers; `bun run test` builds it first. */
export const BUILT = ["client.js", "channel.js", "words.js"] as const;

export function startSite(hostname = "127.0.0.1"): Bun.Server<undefined> {
  return Bun.serve({
    hostname,
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
export async function openPage(browser: Browser, site: { readonly url: URL }): Promise<BrowserPeer> {
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

/** What the tests of a group share: a browser with alice and bob in it, and a relay. */
export interface TwoPages {
  readonly browser: Browser;
  readonly site: Bun.Server<undefined>;
  readonly relay: RunningRelay;
  readonly alice: BrowserPeer;
  readonly bob: BrowserPeer;
  /** Where both can begin; with a new code for each test. */
  readonly options: { readonly url: string; readonly code: string };
  /** Both begin, each with its options, and talk. */
  meet(alices: object, bobs: object): Promise<void>;
}

/** Sets two pages up for the tests of this group, with what `launchChromium` takes, and ends them after it. */
export function twoPages(...flags: Parameters<typeof launchChromium>): TwoPages {
  const two = {
    async meet(alices, bobs) {
      await begin(two.alice, alices);
      await begin(two.bob, bobs);
      await untilTalking(two.alice, two.bob);
    },
  } as { -readonly [K in keyof TwoPages]: TwoPages[K] };
  beforeAll(async () => {
    two.site = startSite();
    [two.browser, two.relay] = await Promise.all([launchChromium(...flags), spawnRelay("binary")]);
    [two.alice, two.bob] = await Promise.all([openPage(two.browser, two.site), openPage(two.browser, two.site)]);
  });
  beforeEach(async () => {
    await Promise.all([two.alice.run("page.reset()"), two.bob.run("page.reset()")]);
    two.options = { url: two.relay.url, code: crypto.randomUUID().slice(-12) }; // hex is base32, too
  });
  afterAll(async () => {
    await two.browser?.close();
    await two.site?.stop(true);
    await two.relay?.[Symbol.asyncDispose]();
  });
  return two;
}
