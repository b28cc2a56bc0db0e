/**
 * Finds Chromium, starts it so that WebRTC works between two pages on one machine, and opens peers in it. The
 * profile is new with each start; closing the browser ends its processes and removes the profile.
 */
import { existsSync } from "node:fs";
import { type Browser, type CDPSession, chromium, type Page } from "playwright-core";

/** Where Debian's package puts it. */
export const CHROMIUM = "/usr/bin/chromium";

/** How long one condition in a page may take to come true, in ms: a hundredth of that on an idle machine. */
export const PATIENCE_MS = 20_000;

const FLAGS = [
  "--no-sandbox", // it opens no page but ours, often as root in a container
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns", // nobody here resolves .local names
];

export function hasChromium(): boolean {
  return existsSync(CHROMIUM);
}

/**
 * A browser without a window, with `more` flags; whoever launches it closes it.
 * @param without flags that Playwright would give it
 * @param executablePath what starts it, where that is more than itself
 */
export function launchChromium(
  more: readonly string[] = [],
  without: readonly string[] = [],
  executablePath = CHROMIUM,
): Promise<Browser> {
  const args = [...FLAGS, ...more];
  return chromium.launch({ executablePath, args, ignoreDefaultArgs: [...without], timeout: PATIENCE_MS });
}

/** The processes that pages of this browser run in. */
export async function renderersOf(browser: Browser): Promise<number[]> {
  const { processInfo } = await (await browser.newBrowserCDPSession()).send("SystemInfo.getProcessInfo");
  return processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
}

/** A page.html in a context of its own, as in a browser of its own. */
export class BrowserPeer implements AsyncDisposable {
  readonly #page: Page;
  #cdp: Promise<CDPSession> | undefined;
  /** Rejects when something in the page goes wrong: then no condition need be waited for. */
  readonly #failed: Promise<never>;

  private constructor(page: Page) {
    this.#page = page;
    this.#failed = new Promise((_, reject) => page.once("pageerror", reject));
    this.#failed.catch(() => {}); // nobody may be waiting at that moment
  }

  /** @param url where page.html is served */
  static async open(browser: Browser, url: string): Promise<BrowserPeer> {
    // Who may use the microphone is shown all network interfaces, the loopback too: no other need be up.
    const context = await browser.newContext({ permissions: ["microphone"] });
    const peer = new BrowserPeer(await context.newPage());
    await peer.#page.goto(url);
    return peer;
  }

  async join(relayUrl: string, sessionCode: string, isInitiator: boolean): Promise<void> {
    await this.run(`peer.join(${JSON.stringify(relayUrl)}, ${JSON.stringify(sessionCode)}, ${isInitiator})`);
  }

  /** What `expression` is in the page. */
  run(expression: string): Promise<unknown> {
    return this.#page.evaluate(expression);
  }

  /** Waits until `condition`, an expression, holds in the page. */
  async until(condition: string): Promise<void> {
    await Promise.race([this.#page.waitForFunction(condition, null, { timeout: PATIENCE_MS }), this.#failed]);
  }

  /** Tells the browser something about this page, by Chrome's DevTools protocol. */
  async tell(method: Parameters<CDPSession["send"]>[0], params: object = {}): Promise<void> {
    this.#cdp ??= this.#page.context().newCDPSession(this.#page);
    await (await this.#cdp).send(method, params as never);
  }

  async goto(url: string): Promise<void> {
    await this.#page.goto(url);
  }

  /** Back in the history, where what was there may have been kept. */
  async goBack(): Promise<void> {
    await this.#page.goBack({ waitUntil: "commit" });
  }

  /** Loads the page anew: its socket is gone, and all that it knew. */
  async reload(): Promise<void> {
    await this.#page.reload();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#page.context().close();
  }
}
