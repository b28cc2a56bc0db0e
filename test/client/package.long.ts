/** The built files: how small they are, what they touch, and that a peer in Node.js meets one in a browser. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import packageJson from "../../package.json" with { type: "json" };
import { newCode } from "../../src/client/client.ts";
import { hasChromium, launchChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { newFolder } from "../support/machines/folder.ts";
import { Output, ROOT, run, spawnRelay } from "../support/relays/relay.ts";
import { BUILT, begin, openPage, startSite } from "./pages.ts";

setDefaultTimeout(3 * PATIENCE_MS);

/** What all of the default may weigh, in bytes of gzip: docs/CLIENT.md says so. */
const LIMIT_BYTES = 4_096;

const built = (name: string) => resolve(ROOT, "dist", name);

test("all of the default weighs no more than its document says", async () => {
  expect(gzipSync(await Bun.file(built("client.js")).bytes(), { level: 9 }).length).toBeLessThanOrEqual(LIMIT_BYTES);
});

test("a file imports nothing, and touches nothing global when it is imported", async () => {
  // Every global but the language's own is a trap. What is read only within a function is not touched by the import.
  const traps = `
    const touched = [];
    for (const name of ["window", "document", "location", "navigator", "crypto", "WebSocket", "RTCPeerConnection",
      "EventTarget", "CustomEvent", "AbortController", "TextEncoder", "TextDecoder", "addEventListener", "setTimeout",
      "localStorage", "sessionStorage", "fetch", "URL", "btoa", "atob"])
      Object.defineProperty(globalThis, name, { configurable: true, get: () => void touched.push(name) });
  `;
  for (const name of BUILT) {
    const text = await Bun.file(built(name)).text();
    expect(text).not.toMatch(/\bimport\b/);
    const folder = await newFolder();
    const file = await folder.write(
      "module.mjs",
      `${traps}\n${text.replace(/export\{[^}]*\};?\s*$/, "")}\nglobalThis.touched = touched;`,
    );
    const main = await folder.write(
      "main.mjs",
      `await import(${JSON.stringify(file)}); process.stdout.write(JSON.stringify(touched));`,
    );
    expect([name, await run(["node", main])]).toEqual([name, { exitCode: 0, stdout: "[]", stderr: "" }]);
    await folder[Symbol.asyncDispose]();
  }
});

test("every file that the package names is there, with its types", async () => {
  const named = Object.values(packageJson.exports).flatMap((entry) => Object.values(entry));
  expect(named.length).toBe(2 * BUILT.length);
  for (const path of named) expect([path, await Bun.file(resolve(ROOT, path)).exists()]).toEqual([path, true]);
});

test("publint and arethetypeswrong find nothing to say against the package", async () => {
  const bin = (name: string) => resolve(ROOT, "node_modules/.bin", name);
  const env = { HOME: process.env["HOME"] ?? "" };
  expect(await run([bin("publint"), "--strict"], env)).toMatchObject({ exitCode: 0 });
  expect(await run([bin("attw"), "--pack", ".", "--profile", "esm-only"], env)).toMatchObject({ exitCode: 0 });
});

test("what is packed is imported by its name in Node.js, in Bun and by a bundler, and no more than that is packed", async () => {
  await using folder = await newFolder();
  const env = { HOME: process.env["HOME"] ?? "" };
  const packed = await run([process.execPath, "pm", "pack", "--destination", folder.path, "--quiet"], env);
  expect(packed.exitCode).toBe(0);
  const at = folder.file("node_modules/whisper-signaling");
  await mkdir(at, { recursive: true });
  const [tarball = ""] = await Array.fromAsync(new Bun.Glob("*.tgz").scan(folder.path));
  expect((await run(["tar", "-xzf", folder.file(tarball), "-C", at, "--strip-components=1"])).exitCode).toBe(0);
  const files = await Array.fromAsync(new Bun.Glob("**/*").scan(at));
  expect(
    files.filter(
      (file) =>
        !/^(dist\/(types\/[\w-]+\.d\.ts|\w+\.js)|docs\/CLIENT\.md|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(
          file,
        ),
    ),
  ).toEqual([]);
  const main = await folder.write(
    "main.mjs",
    `import { connect, newCode } from "whisper-signaling/client";
     import { drain, path, send } from "whisper-signaling/channel";
     import { newWords } from "whisper-signaling/words";
     console.log([connect, newCode, drain, path, send, newWords].map((one) => typeof one).join());`,
  );
  const said = { exitCode: 0, stdout: `${Array(6).fill("function").join()}\n`, stderr: "" };
  expect(await run(["node", main])).toEqual(said);
  expect(await run([process.execPath, main])).toEqual(said);
  const bundled = await Bun.build({
    entrypoints: [main],
    target: "browser",
    outdir: folder.path,
    naming: "bundled.mjs",
  });
  expect(bundled.success).toBe(true);
  expect(await run(["node", folder.file("bundled.mjs")])).toEqual(said);
});

/** Fetched when they are tried, since nothing else needs them. */
const [VITE, DENO] = ["vite@7.3.8", "deno@2.9.6"];

test("Vite builds a page with it, by its name in a package", async () => {
  await using folder = await newFolder();
  const env = { HOME: process.env["HOME"] ?? "" };
  const at = folder.file("node_modules/whisper-signaling");
  await mkdir(at, { recursive: true });
  for (const what of ["package.json", "dist"])
    expect((await run(["cp", "-r", resolve(ROOT, what), at])).exitCode).toBe(0);
  await folder.write("index.html", '<!doctype html><title>x</title><script type="module" src="/main.js"></script>');
  await folder.write("main.js", 'import { connect } from "whisper-signaling/client"; globalThis.connect = connect;');
  const built = await run(["npx", "-y", VITE, "build", folder.path], env);
  expect([built.exitCode, built.stderr]).toEqual([0, expect.not.stringMatching(/error|warn/i)]);
  const [bundle = ""] = await Array.fromAsync(new Bun.Glob("dist/assets/*.js").scan(folder.path));
  const size = (await Bun.file(folder.file(bundle)).bytes()).length;
  expect(size).toBeGreaterThan((await Bun.file(resolve(ROOT, "dist/client.js")).bytes()).length / 2);
});

test("two in Deno, with werift's connection handed in, talk with each other", async () => {
  await using relay = await spawnRelay("source");
  const code = newCode();
  const env = { ...process.env, HOME: process.env["HOME"] ?? "" };
  /** In a group of its own: npx starts what starts Deno, and to end the first ends no more than that. */
  const deno = (role: string) => {
    const program = resolve(import.meta.dir, "node-peer.mjs");
    const command = ["setsid", "npx", "-y", DENO, "run", "--allow-all", program, relay.url, code, role];
    return Bun.spawn(command, { cwd: ROOT, env, stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  };
  const peers = [deno("answers"), deno("asks")];
  try {
    const said = await Promise.all(peers.map(({ stdout }) => new Output(stdout).firstLine()));
    expect(said).toEqual(["connected\n", "back: hello\n"]);
  } finally {
    for (const { pid } of peers) process.kill(-pid, "SIGKILL");
    await Promise.all(peers.map(({ exited }) => exited));
  }
});

test.skipIf(!hasChromium() && !process.env["CI"])(
  "a peer in Node.js, with werift, talks with one in Chromium",
  async () => {
    await using relay = await spawnRelay("source");
    const site = startSite();
    const browser = await launchChromium();
    const alice = await openPage(browser, site);
    const code = newCode();
    const node = Bun.spawn(
      ["node", "--experimental-websocket", resolve(import.meta.dir, "node-peer.mjs"), relay.url, code],
      { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    );
    try {
      await begin(alice, { url: relay.url, code });
      await alice.until("page.isConnected()");
      expect(await new Output(node.stdout).firstLine()).toBe("connected\n");
      await alice.run('page.say("hello node")');
      await alice.until('page.heard.includes("back: hello node")');
    } finally {
      node.kill("SIGKILL");
      await node.exited;
      await browser.close();
      await site.stop(true);
    }
  },
);
