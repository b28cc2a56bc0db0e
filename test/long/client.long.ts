/**
 * The library as others get it: packed, checked, imported by each kind of program; and how long two pages take from
 * `connect` to an open channel on one machine. What has to be fetched is skipped where the registry can't be reached.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { begin, openPage, startSite } from "../client/pages.ts";
import { hasChromium, launchChromium } from "../support/machines/chromium.ts";
import { type Folder, newFolder } from "../support/machines/folder.ts";
import { ROOT, run, spawnRelay } from "../support/relays/relay.ts";

const ENTRIES = ["client", "channel", "words"];
/** How often two pages meet to be timed. */
const MEETINGS = 40;
/** What 95 of 100 meetings on an idle machine stay far under, in ms: 170 of it are PBKDF2. */
const SLOW_MS = 5_000;
const VITE = "vite@7.1.12";

describe("the package", () => {
  let folder: Folder;
  let tarball: string;

  beforeAll(async () => {
    folder = await newFolder();
    const packed = await run(["npm", "pack", "--silent", "--pack-destination", folder.path]);
    expect(packed).toMatchObject({ exitCode: 0 });
    tarball = folder.file(packed.stdout.trim());
    await folder.write("package.json", '{"name":"user","version":"1.0.0","type":"module","private":true}');
    const installed = await inFolder("npm", "install", "--silent", "--no-audit", "--no-fund", tarball);
    expect(installed).toMatchObject({ exitCode: 0 });
  });

  afterAll(() => folder[Symbol.asyncDispose]());

  /** Runs a program in the user's folder. */
  function inFolder(...cmd: string[]) {
    return run(["sh", "-c", 'cd "$0" && exec "$@"', folder.path, ...cmd]);
  }

  test("holds the library, its types and what npm always adds; nothing of the relay", async () => {
    const { stdout } = await run(["tar", "-tf", tarball]);
    const files = stdout.trim().split("\n");
    expect(
      files.filter(
        (file) =>
          !/^package\/(dist\/(types\/)?\w+(\.d)?\.[tj]s|docs\/CLIENT\.md|package\.json|README\.md|LICENSE)$/.test(file),
      ),
    ).toEqual([]);
    for (const name of ENTRIES) expect(files).toContain(`package/dist/${name}.js`);
  });

  test("is well formed to publint and to arethetypeswrong", async () => {
    expect(await run(["bunx", "--bun", "publint", "run", tarball, "--strict"])).toMatchObject({ exitCode: 0 });
    expect(await run(["bunx", "attw", tarball, "--profile", "esm-only"])).toMatchObject({ exitCode: 0 });
  });

  test.each([["node"], [process.execPath]])("is imported by %s", async (program) => {
    const names = ENTRIES.map((name) => `...Object.keys(await import("whisper-signaling/${name}"))`);
    const file = await folder.write("main.js", `console.log([${names.join()}].sort().join());`);
    const expected = "connect,drain,newCode,newWords,normaliseCode,path,send\n";
    expect(await inFolder(program, file)).toEqual({ exitCode: 0, stdout: expected, stderr: "" });
  });

  test("is bundled by Vite, for browsers and for a server that renders", async () => {
    const fetched = await inFolder("npm", "install", "--silent", "--no-audit", "--no-fund", VITE);
    if (fetched.exitCode !== 0) {
      console.warn(`client.long.ts: Vite is not tried, npm can't fetch ${VITE}`);
      expect(process.env["CI"]).toBeUndefined();
      return;
    }
    await folder.write("index.html", '<script type="module" src="/page.js"></script>');
    await folder.write("page.js", 'import { connect } from "whisper-signaling/client"; globalThis.connect = connect;');
    expect(await inFolder("npx", "vite", "build", "--logLevel", "error")).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await inFolder("npx", "vite", "build", "--ssr", "page.js", "--logLevel", "error")).toMatchObject({
      exitCode: 0,
    });
  });
});

test.skipIf(!hasChromium() && !process.env["CI"])(
  "two pages are connected soon after both called connect",
  async () => {
    await using relay = await spawnRelay("binary");
    const site = startSite();
    const browser = await launchChromium();
    const pages = await Promise.all([openPage(browser, site), openPage(browser, site)]);
    const times: number[] = [];
    for (let meeting = 0; meeting < MEETINGS; meeting++) {
      const code = crypto.randomUUID().replaceAll("-", "").toUpperCase().slice(0, 26); // hex digits are characters of a code
      for (const page of pages) await page.run("page.reset()");
      const begun = performance.now();
      await Promise.all(pages.map((page) => begin(page, { url: relay.url, code })));
      await Promise.all(pages.map((page) => page.run("page.session.connected.then(() => true)")));
      times.push(performance.now() - begun);
    }
    await browser.close();
    await site.stop(true);
    times.sort((a, b) => a - b);
    const at = (share: number) => Math.round(times[Math.ceil(share * times.length) - 1] ?? Number.NaN);
    console.log(`from connect to an open channel, ${MEETINGS} meetings: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms`);
    expect(at(0.95)).toBeLessThan(SLOW_MS);
  },
);

test("a page without a bundler is served what the package holds", async () => {
  const site = startSite();
  for (const name of ENTRIES) {
    const served = await (await fetch(`${site.url.href}${name}.js`)).text();
    expect(served).toBe(await Bun.file(resolve(ROOT, "dist", `${name}.js`)).text());
  }
  await site.stop(true);
});
