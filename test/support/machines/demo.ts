/** The page to try a relay, in Chromium, used as people use it. */
import { expect } from "bun:test";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { PATIENCE_MS } from "./chromium.ts";

/** What Chromium says in its console of what a policy forbids. */
const FORBIDDEN = /content security policy|trusted type|TrustedHTML|refused to/i;

/** A page in a context of its own, that keeps what it asked for and what went wrong in it. */
export class DemoPage implements AsyncDisposable {
  readonly page: Page;
  /** The URL of each request and WebSocket. */
  readonly asked: string[] = [];
  readonly #wrong: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("request", (request) => this.asked.push(request.url()));
    page.on("websocket", (socket) => this.asked.push(socket.url()));
    page.on("pageerror", (error) => this.#wrong.push(String(error)));
    page.on("console", (message) => {
      if (FORBIDDEN.test(message.text())) this.#wrong.push(message.text());
    });
  }

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<DemoPage> {
    const context = await browser.newContext({ permissions: ["microphone"], ...options });
    const demo = new DemoPage(await context.newPage());
    await demo.page.goto(url);
    return demo;
  }

  /** Waits until this part of the page is shown. */
  async shows(view: "start" | "invite" | "wait" | "chat" | "over"): Promise<void> {
    await this.page.waitForSelector(`#${view}:not([hidden])`);
  }

  /** Waits until an element says this. */
  async says(selector: string, text: string | RegExp): Promise<void> {
    await this.page.locator(selector).filter({ hasText: text }).first().waitFor();
  }

  /** Invites by a link. Returns it. */
  async invite(): Promise<string> {
    await this.page.click("#by-link");
    await this.says("#status", "Waiting for the other person");
    return this.page.inputValue("#link");
  }

  async say(text: string): Promise<void> {
    await this.page.fill("#text", text);
    await this.page.press("#text", "Enter");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
    expect(this.#wrong).toEqual([]);
  }
}

/** That the two are connected, and that a text goes each way. */
export async function untilTalking(alice: DemoPage, bob: DemoPage): Promise<void> {
  await Promise.all([alice.shows("chat"), bob.shows("chat")]);
  const texts = [crypto.randomUUID(), crypto.randomUUID()] as const;
  await Promise.all([alice.say(texts[0]), bob.say(texts[1])]);
  await Promise.all([alice.says("#log .theirs", texts[1]), bob.says("#log .theirs", texts[0])]);
}
