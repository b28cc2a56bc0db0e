/** The page to try a relay, served by the binary, in Chromium: used as people use it. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Browser } from "playwright-core";
import { begin, openPage, startSite } from "../client/pages.ts";
import { Authority } from "../support/machines/certificates.ts";
import { hasChromium, launchChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { hasCoturn, startCoturn } from "../support/machines/coturn.ts";
import { DemoPage, untilTalking } from "../support/machines/demo.ts";
import { equals, until } from "../support/machines/until.ts";
import { ROOT, type RunningRelay, spawnRelay } from "../support/relays/relay.ts";

setDefaultTimeout(4 * PATIENCE_MS);

/** A name that is no localhost, and leads to this machine in the browser. */
const ELSEWHERE = "relay.test";

if (!hasChromium()) console.warn("demo.long.ts: the page is not tried, there is no Chromium");

describe.skipIf(!hasChromium() && !process.env["CI"])("the page to try a relay", () => {
  let browser: Browser;
  let relay: RunningRelay;
  let url: string;

  beforeAll(async () => {
    const flags = ["--ignore-certificate-errors", `--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1`];
    [browser, relay] = await Promise.all([launchChromium(flags), spawnRelay("binary", "--demo")]);
    url = `http://127.0.0.1:${relay.port}/demo`;
  });
  afterAll(async () => {
    await browser?.close();
    await relay?.[Symbol.asyncDispose]();
  });

  test("brings two together by a link, and asks nobody for anything but the relay, which never gets the code", async () => {
    await using alice = await DemoPage.open(browser, url);
    const link = await alice.invite();
    const [, code = ""] = link.split("#");
    expect(code).toMatch(/^[0-9A-Z]{26}$/);
    expect(await alice.page.locator("#qr path").getAttribute("d")).toMatch(/^M4 4h1v1h-1z/); // the corner of a finder
    await using bob = await DemoPage.open(browser, link);
    await untilTalking(alice, bob);
    await alice.says("#how", "Encrypted from end to end, directly, from device to device.");
    for (const { page, asked } of [alice, bob]) {
      expect(
        await page.locator("#steps li").evaluateAll((all) => all.map((one) => one.getAttribute("data-state"))),
      ).toEqual(Array(8).fill("done"));
      expect(await page.locator('[data-step="keys"]').textContent()).toContain("DTLS 1.3");
      expect(new Set(asked.map((one) => new URL(one).host))).toEqual(new Set([`127.0.0.1:${relay.port}`]));
      expect(asked.filter((one) => one.split("#")[0]?.includes(code))).toEqual([]);
      expect(asked.filter((one) => /^ws:/.test(one))).not.toEqual([]);
    }
  });

  test("by a code that one reads out and the other types, as people type", async () => {
    await using alice = await DemoPage.open(browser, url);
    await alice.page.click("#by-voice");
    await alice.says("#status", "Waiting for the other person");
    const code = (await alice.page.textContent("#typed")) ?? "";
    expect(code).toMatch(/^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$/);
    await alice.says("#address", `127.0.0.1:${relay.port}/demo`);
    await using bob = await DemoPage.open(browser, url);
    await bob.page.fill("#code", ` ${code.toLowerCase().replaceAll("-", " ")} `);
    await bob.page.press("#code", "Enter");
    await untilTalking(alice, bob);
  });

  test("a file of some MB arrives as it was sent, while they go on talking", async () => {
    await using alice = await DemoPage.open(browser, url);
    await using bob = await DemoPage.open(browser, await alice.invite());
    await untilTalking(alice, bob);
    const buffer = Buffer.from(crypto.getRandomValues(new Uint8Array(60_000)))
      .toString("latin1")
      .repeat(100);
    const sent = Buffer.from(buffer, "latin1");
    await alice.page.setInputFiles("#file", {
      name: "harbour & <b>boat</b>.jpg",
      mimeType: "image/jpeg",
      buffer: sent,
    });
    await bob.say("in between");
    const link = bob.page.locator("#log a");
    await link.waitFor();
    expect(await link.textContent()).toBe("Save harbour & <b>boat</b>.jpg (5.7 MB)");
    const [download] = await Promise.all([bob.page.waitForEvent("download"), link.click()]);
    const got = readFileSync(await download.path());
    expect(got.length).toBe(sent.length);
    expect(got.equals(sent)).toBe(true);
    await alice.says("#log .mine", "File sent: harbour");
    await alice.says("#log .theirs", "in between");
    await bob.page.setInputFiles("#file", { name: "empty.txt", mimeType: "text/plain", buffer: Buffer.alloc(0) });
    await alice.says("#log a", "Save empty.txt (0 KB)");
    await untilTalking(alice, bob);
  });

  test("texts run from left or right by themselves, names from the left, and neither turns what is around it", async () => {
    await using alice = await DemoPage.open(browser, url);
    await using bob = await DemoPage.open(browser, await alice.invite());
    await untilTalking(alice, bob);
    const direction = (page: DemoPage, selector: string) =>
      page.page.evaluate(`getComputedStyle([...document.querySelectorAll("${selector}")].at(-1)).direction`);
    for (const [text, way] of [
      ["שלום, how are you?", "rtl"],
      ["how are you, שלום?", "ltr"],
    ] as const) {
      await alice.page.fill("#text", text);
      expect(await direction(alice, "#text")).toBe(way);
      await alice.page.press("#text", "Enter");
      await bob.says("#log .theirs", text);
      expect(await direction(alice, "#log .mine .said")).toBe(way);
      expect(await direction(bob, "#log .theirs .said")).toBe(way);
    }
    const file = { name: "תמונה.jpg", mimeType: "image/jpeg", buffer: Buffer.alloc(9) };
    await alice.page.setInputFiles("#file", file);
    await bob.says("#log a", "Save תמונה.jpg (1 KB)");
    await alice.says("#log .mine", "File sent: תמונה.jpg (1 KB)");
    expect([await direction(bob, "#log a"), await direction(bob, "#log a bdi")]).toEqual(["ltr", "ltr"]);
    expect(await direction(alice, "#log .mine .said")).toBe("ltr");
  });

  describe("of one who sends without end, or what is not as it was announced,", () => {
    let site: Bun.Server<undefined>;
    beforeAll(() => {
      site = startSite();
    });
    afterAll(() => site.stop(true));

    /** Alice at the page, and opposite the library, which says what it is told. */
    async function meetMallory() {
      const alice = await DemoPage.open(browser, url);
      const [, code = ""] = (await alice.invite()).split("#");
      const mallory = await openPage(browser, site);
      await begin(mallory, { url: relay.url, code });
      await alice.shows("chat");
      await mallory.until("page.isConnected()");
      await alice.page.evaluate("revoked = []; URL.revokeObjectURL = (url) => revoked.push(url)");
      const end = async () => {
        await mallory[Symbol.asyncDispose]();
        await alice[Symbol.asyncDispose]();
      };
      return { alice, mallory, [Symbol.asyncDispose]: end };
    }
    /** What a page runs to send a file: so many bytes, announced as so many. */
    const file = (name: string, size: number, announced: unknown = size, pieceBytes = 16_384) => `(async () => {
      await page.channel.send(page.session, ${JSON.stringify(JSON.stringify({ file: { name, size: announced } }))});
      const piece = new Uint8Array(${pieceBytes});
      for (let sent = 0; sent < ${size}; sent += piece.length)
        await page.channel.send(page.session, piece.subarray(0, ${size} - sent));
    })()`;

    test("2,000 lines are kept, and no file whose line is gone", async () => {
      await using pair = await meetMallory();
      const { alice, mallory } = pair;
      await mallory.run(file("first.txt", 10));
      const link = await alice.page.locator("#log a").getAttribute("href");
      await mallory.run(
        "(() => { for (let n = 1; n <= 2_000; n++) page.say(JSON.stringify({ say: 'line ' + n })); })()",
      );
      await alice.says("#log p:last-child", "line 2000");
      const log = "[...document.querySelectorAll('#log p .said')].map((one) => one.textContent)";
      const lines = await alice.page.evaluate<string[]>(log);
      expect([lines.length, lines[0], lines.at(-1)]).toEqual([2_000, "line 1", "line 2000"]);
      expect(await alice.page.evaluate<unknown>("revoked")).toEqual([link]);
    });

    test("200 MB of files are kept: the oldest makes room, and its line says so", async () => {
      await using pair = await meetMallory();
      const { alice, mallory } = pair;
      const MEBIBYTE = 1_048_576;
      for (const name of ["a", "b", "c"]) {
        await mallory.run(file(`${name}.bin`, 80 * MEBIBYTE));
        await alice.says("#log", `Save ${name}.bin (80.0 MB)`);
      }
      expect(await alice.page.locator("#log a").allTextContents()).toEqual([
        "Save b.bin (80.0 MB)",
        "Save c.bin (80.0 MB)",
      ]);
      await alice.says("#log p:first-child", "An older file is no longer here: newer ones took its room.");
      expect(await alice.page.evaluate<string[]>("revoked")).toHaveLength(1);
    });

    test("there is nothing to save, and the conversation goes on", async () => {
      await using pair = await meetMallory();
      const { alice, mallory } = pair;
      const huge = 100 * 1_048_576 + 1;
      for (const announced of [huge, -1, 0.5, "10", null, [10], 1e308, 9])
        await mallory.run(file("no.txt", 10, announced));
      for (const pieceBytes of [1, 16_385]) await mallory.run(file("no.txt", 20_000, 20_000, pieceBytes));
      const odd = [
        "",
        "null",
        "[]",
        "{",
        '{"file":1}',
        '{"file":{"name":1,"size":1}}',
        '{"say":1}',
        '{"say":{"length":9}}',
      ];
      await mallory.run(`(() => { for (const one of ${JSON.stringify(odd)}) page.say(one); })()`);
      await mallory.run(`page.say(${JSON.stringify(JSON.stringify({ say: "x".repeat(30_000) }))})`);
      await mallory.run(file("\u202etxt.exe\u0000".padEnd(300, "y"), 10));
      await alice.says("#log a", "Save txt.exe");
      const log = "[...document.querySelectorAll('#log p .said')].map((one) => one.textContent)";
      const [text = "", saved = "", ...more] = await alice.page.evaluate<string[]>(log);
      expect([text, more]).toEqual(["x".repeat(20_000), []]);
      expect(saved).toMatch(/^Save txt\.exey{191} \(1 KB\)$/);
    });
  });

  test("a third is told in plain words that two are talking, and they go on", async () => {
    await using alice = await DemoPage.open(browser, url);
    const link = await alice.invite();
    await using bob = await DemoPage.open(browser, link);
    await untilTalking(alice, bob);
    await using mallory = await DemoPage.open(browser, link);
    await mallory.shows("over");
    await mallory.says("#over-title", "Two people are talking already");
    await mallory.says("#over-text", "This code is in use by two others");
    await mallory.says("#over-step", "Find the other person");
    await untilTalking(alice, bob);
    await mallory.page.click("#anew");
    await mallory.shows("start");
  });

  test("half a code is refused at once; a wrong one waits, and says that it may be wrong", async () => {
    await using bob = await DemoPage.open(browser, url);
    await bob.page.fill("#code", "7K3M-9QX2");
    await bob.page.click("#join button");
    await bob.says("#code-error", "That is no whole code");
    expect(await bob.page.getAttribute("#code", "aria-invalid")).toBe("true");
    expect(await bob.page.getAttribute("#code", "maxlength")).toBe("400"); // a whole link fits
    await bob.page.fill("#code", "7K3M-9QX2-W4TB");
    await bob.page.click("#join button");
    await bob.says("#wait-text", "Nobody else is there yet");
    await bob.page.click("#wait .end");
    await bob.shows("start");
    expect(await bob.page.evaluate("location.hash")).toBe("");
    await using broken = await DemoPage.open(browser, `${url}#7K3M`);
    await broken.says("#over-title", "The code in this link is not whole");
  });

  test("who loads it anew comes back to the same conversation, and to the same invitation", async () => {
    await using alice = await DemoPage.open(browser, url);
    const link = await alice.invite();
    await alice.page.reload();
    await alice.shows("invite");
    expect(await alice.page.inputValue("#link")).toBe(link);
    await using bob = await DemoPage.open(browser, link);
    await untilTalking(alice, bob);
    await bob.page.reload();
    await untilTalking(alice, bob);
  });

  test("who ends it leaves nothing on the page, and the other is told", async () => {
    await using alice = await DemoPage.open(browser, url);
    await using bob = await DemoPage.open(browser, await alice.invite());
    await untilTalking(alice, bob);
    await bob.page.setInputFiles("#file", { name: "a.txt", mimeType: "text/plain", buffer: Buffer.from("secret") });
    const kept = await alice.page.locator("#log a").getAttribute("href");
    await alice.page.evaluate("revoked = []; URL.revokeObjectURL = (url) => revoked.push(url)");
    await alice.page.click("#chat .end");
    expect(await alice.page.evaluate<string[]>("revoked")).toEqual([kept ?? ""]);
    await alice.says("#status", "The conversation is over");
    expect(await alice.page.evaluate("[location.hash, document.querySelector('#log').textContent]")).toEqual(["", ""]);
    await bob.says("#status", "The other person is gone");
    expect(await bob.page.isDisabled("#text")).toBe(true);
  });

  test("by the keyboard alone", async () => {
    await using alice = await DemoPage.open(browser, url);
    const press = async ({ page }: DemoPage, ...keys: string[]) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await press(alice, "Tab", "Tab", "Enter"); // the second way to invite
    await alice.says("#status", "Waiting for the other person");
    const code = (await alice.page.textContent("#typed")) ?? "";
    await using bob = await DemoPage.open(browser, url);
    await press(bob, "Tab", "Tab", "Tab");
    await bob.page.keyboard.type(code);
    await press(bob, "Enter");
    await Promise.all([alice.shows("chat"), bob.shows("chat")]);
    await alice.page.keyboard.type("no mouse"); // the keyboard is where one writes
    await press(alice, "Enter");
    await bob.says("#log .theirs", "no mouse");
    await press(alice, "Tab", "Tab");
    expect(await alice.page.evaluate("document.activeElement.id")).toBe("file");
    await press(alice, "Tab", "Enter");
    await alice.shows("start");
    expect(await alice.page.evaluate("document.activeElement.id")).toBe("start-title");
  });

  describe.each(["light", "dark"] as const)("in %s colours", (colorScheme) => {
    test.each([320, 360, 1200])(
      "%d pixels wide has nothing that axe finds wrong, in any of its parts",
      async (width) => {
        const options = { colorScheme, viewport: { width, height: 740 }, bypassCSP: true };
        const axe = readFileSync(resolve(ROOT, "node_modules/axe-core/axe.min.js"), "utf8");
        const check = async ({ page }: DemoPage, part: string) => {
          await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true");
          await page.evaluate(axe);
          const found = "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html]))";
          expect([part, await page.evaluate(found)]).toEqual([part, []]);
          expect([part, await page.evaluate("document.documentElement.scrollWidth")]).toEqual([part, width]);
        };
        await using alice = await DemoPage.open(browser, url, options);
        await check(alice, "start");
        await alice.page.click("#by-voice");
        await check(alice, "a code to read out");
        await alice.page.click("#invite .end");
        const link = await alice.invite();
        await check(alice, "a link");
        await using bob = await DemoPage.open(browser, link, options);
        await untilTalking(alice, bob);
        await check(alice, "the conversation");
        await using mallory = await DemoPage.open(browser, link, options);
        await mallory.shows("over");
        await check(mallory, "over");
      },
    );
  });

  test("over TLS, from a name", async () => {
    await using authority = await Authority.create();
    await using secure = await spawnRelay("binary", "--demo", ...(await authority.issue()).args);
    await using alice = await DemoPage.open(browser, `https://${ELSEWHERE}:${secure.port}/demo`);
    await using bob = await DemoPage.open(browser, await alice.invite());
    await untilTalking(alice, bob);
    expect(bob.asked.find((one) => one.startsWith("wss:"))).toStartWith(`wss://${ELSEWHERE}:${secure.port}/`);
    await alice.says('[data-step="server"]', "encrypted on the way (TLS)");
  });

  test("where the browser lets no page encrypt, for want of HTTPS, it says so", async () => {
    await using alice = await DemoPage.open(browser, `http://${ELSEWHERE}:${relay.port}/demo`);
    await alice.page.click("#by-link");
    await alice.says("#over-title", "This page can’t encrypt");
    await alice.says("#over-text", "https://");
  });

  test("a relay that is gone before they met is told as that, and they meet when it is back", async () => {
    const port = relay.port + 1 > 65_000 ? relay.port - 1 : relay.port + 1;
    const start = () => spawnRelay("binary", "--demo", `--port=${port}`);
    const first = await start();
    await using alice = await DemoPage.open(browser, `http://127.0.0.1:${port}/demo`);
    const link = await alice.invite();
    await first.stop("SIGKILL");
    await using second = await start();
    await using bob = await DemoPage.open(browser, link);
    await untilTalking(alice, bob);
    await until("both to sit at the new relay", () => second.sessions(), equals(1));
  });

  test.skipIf(!hasCoturn() && !process.env["CI"])(
    "through TURN, where nothing else is let through, and it says so",
    async () => {
      await using authority = await Authority.create();
      const secret = "the-secret-of-both-servers";
      const file = await authority.folder.write("secret", secret);
      await using coturn = await startCoturn([secret], await authority.issue());
      const turn = [`--turn-url=${coturn.urls.udp}`, `--turn-secret-file=${file}`];
      await using turning = await spawnRelay("binary", "--demo", ...turn);
      const from = `http://127.0.0.1:${turning.port}/demo`;
      await using alice = await DemoPage.open(browser, "about:blank");
      await using bob = await DemoPage.open(browser, "about:blank");
      for (const { page } of [alice, bob])
        await page.addInitScript(`
        const Direct = RTCPeerConnection;
        const only = (configuration) => ({ ...configuration, iceTransportPolicy: "relay" });
        RTCPeerConnection = class extends Direct {
          constructor(configuration) { super(only(configuration)); }
          setConfiguration(configuration) { super.setConfiguration(only(configuration)); }
        };`);
      await alice.page.goto(from);
      await bob.page.goto(await alice.invite());
      await untilTalking(alice, bob);
      await alice.says("#how", "through a TURN server, which passes on what it can’t read");
      await alice.says('[data-step="ways"]', /from here: \d by TURN; from there: \d by TURN/);
    },
  );
});
