/**
 * The browsers' side in figures: how large the library is beside others', and how long two pages in Chromium take from
 * the call to an open channel, beside PeerJS on its own server, and how long a chat is interrupted. `bun bench/client.ts`
 * prints them and writes them into docs/BENCHMARKS.md. It wants `bun run build`, Debian's Chromium, and root for a
 * network that can be changed.
 */
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { type Browser, chromium, type Page } from "playwright-core";
import { Roaming } from "../test/support/machines/roaming.ts";
import { run } from "./command.ts";
import { start } from "./servers.ts";

const ROOT = resolve(import.meta.dir, "..");
const DOCS = join(ROOT, "docs/BENCHMARKS.md");
const MODULES = join(import.meta.dir, "node_modules");
const PAIRS = 50;
const FREE_PORT = 18_733; // of the relay that is killed and started again
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns",
];

/** What each library weighs, as a page would load it: its own built file, or its default entry bundled by Bun. */
async function sizes(): Promise<string> {
  const files: [title: string, text: string][] = [
    ["`whisper-signaling/client`", await Bun.file(join(ROOT, "dist/client.js")).text()],
    [
      "the same, with `/channel`",
      await bundled(`export * from "${ROOT}/dist/client.js"; export * from "${ROOT}/dist/channel.js";`),
    ],
    [`PeerJS ${await version("peerjs")}`, await Bun.file(join(MODULES, "peerjs/dist/peerjs.min.js")).text()],
    [
      `simple-peer ${await version("simple-peer")}`,
      await Bun.file(join(MODULES, "simple-peer/simplepeer.min.js")).text(),
    ],
    [`trystero ${await version("trystero")}`, await bundled(`export { joinRoom, selfId } from "trystero";`)],
    [
      `partysocket ${await version("partysocket")}, which is a WebSocket only`,
      await bundled(`export { default } from "partysocket";`),
    ],
  ];
  const rows = files.map(([title, text]) => `| ${title} | ${text.length} | ${gzipSync(text, { level: 9 }).length} |`);
  return ["| library | minified, bytes | gzipped, bytes |", "| --- | ---: | ---: |", ...rows].join("\n");
}

async function version(name: string): Promise<string> {
  return (await Bun.file(join(MODULES, name, "package.json")).json()).version;
}

/** Bundled in a process of its own: this one has looked into the folder before its packages were there. */
async function bundled(text: string): Promise<string> {
  const entry = join(MODULES, ".entry.mjs");
  await Bun.write(entry, text);
  const command = [process.execPath, "build", entry, "--target=browser", "--minify"];
  const { stdout, exited } = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const built = await stdout.text();
  if ((await exited) !== 0) throw new Error("a library could not be bundled");
  await Bun.file(entry).delete();
  return built.trimEnd();
}

/** How two pages meet: what each is told to do, as an expression that promises an open channel. */
interface Way {
  readonly title: string;
  readonly server: "relay" | "peerjs";
  open(url: string, code: string, isFirst: boolean): string;
}

const WAYS: readonly Way[] = [
  ...[true, false].map((sealed) => ({
    title: sealed ? "this, sealed" : "this, on the plain wire",
    server: "relay" as const,
    open: (url: string, code: string) =>
      `(session = client.connect({ url: "${url}", code: "${code}", sealed: ${sealed} })).connected`,
  })),
  {
    title: "PeerJS, on its own server",
    server: "peerjs",
    open(url, code, isFirst) {
      const { hostname, port } = new URL(url);
      const at = JSON.stringify({ host: hostname, port: Number(port), path: "/", secure: false, config: {} });
      return isFirst
        ? `new Promise((resolve) => { (session = new Peer("${code}", ${at})).on("connection", (other) => other.on("open", resolve)); })`
        : `new Promise((resolve, reject) => {
            (session = new Peer(${at})).on("open", () => {
              (function dial() { const other = session.connect("${code}"); other.on("open", resolve); })();
            });
            session.on("error", () => setTimeout(() => session.connect("${code}").on("open", resolve), 20));
          })`;
    },
  },
];

/** The times of one way, in ms: from the call, on both sides at the same moment, until both have an open channel. */
async function times(browser: Browser, site: string, way: Way): Promise<number[]> {
  await using server = await start(way.server, null);
  const open = async (): Promise<Page> => {
    const page = await (await browser.newContext({ permissions: ["microphone"] })).newPage();
    await page.goto(site);
    await page.waitForFunction("globalThis.client");
    return page;
  };
  const pages = [await open(), await open()];
  const measured: number[] = [];
  for (let pair = 0; pair <= PAIRS; pair++) {
    const code = newCode();
    const took = await Promise.all(
      pages.map((page, index) =>
        page.evaluate(
          `(async () => { const since = performance.now(); await ${way.open(server.url, code, index === 0)}; return performance.now() - since; })()`,
        ),
      ),
    );
    if (pair > 0) measured.push(Math.max(...took.map(Number))); // the first warms up
    await Promise.all(pages.map((page) => page.evaluate("void (session.close ?? session.destroy).call(session)")));
  }
  for (const page of pages) await page.context().close();
  return measured.sort((a, b) => a - b);
}

/** What is done to a chat that works, and the ms for which nobody could talk. */
const HARDSHIPS: readonly { title: string; pause(relay: Kept, pages: readonly Page[]): Promise<number> }[] = [
  {
    title: "one page is reloaded: until both have a channel again",
    async pause(_relay, [alice, bob]) {
      await alice?.evaluate(
        "void (globalThis.again = new Promise((r) => session.addEventListener('connected', r)).then(() => {}))",
      );
      const since = performance.now();
      await bob?.reload();
      await alice?.evaluate("again");
      await bob?.evaluate("session.connected.then(() => {})");
      return performance.now() - since;
    },
  },
  {
    title: "the relay is killed and started again: the longest gap between messages that are sent every 10 ms",
    async pause(relay, [alice, bob]) {
      await talk(alice, bob);
      await relay.restart();
      await alice?.waitForTimeout(SEEN_MS);
      await alice?.evaluate("clearInterval(talk)");
      return Number(await bob?.evaluate("gap"));
    },
  },
];
/** From now on the one sends a message every 10 ms, and the other measures the gaps. */
async function talk(alice: Page | undefined, bob: Page | undefined): Promise<void> {
  await bob?.evaluate("void (globalThis.heardAt = performance.now(), globalThis.gap = 0)");
  await alice?.evaluate("void (globalThis.talk = setInterval(() => channel.send('.'), 10))");
}

const CHANGED = "one of the two loses its network and is in another: the longest gap between such messages";

/** The gaps that a change of network makes, in ms, each of another pair: the one that changes sends, the other hears. */
async function changes(browser: Browser, port: number): Promise<number[]> {
  await using roaming = await Roaming.create();
  const origin = `http://${roaming.address}:${port}`;
  const far = await roaming.launchChromium(origin);
  const relay = new Kept(FREE_PORT, roaming.address);
  await relay.restart();
  const measured: number[] = [];
  for (let n = 0; n < TRIES; n++) {
    const at = `#${relay.url},${newCode()}`;
    const pages = await Promise.all([opened(far, origin + at), opened(browser, `http://127.0.0.1:${port}${at}`)]);
    const [alice, bob] = pages;
    await talk(alice, bob);
    await bob?.waitForFunction("gap > 0");
    await roaming.change();
    // A gap of what a busy machine makes by itself is none.
    await bob?.waitForFunction("gap > 200 && performance.now() - heardAt < 100");
    measured.push(Number(await bob?.evaluate("gap")));
    for (const page of pages) await page.context().close();
  }
  await far.close();
  await relay.end();
  return measured.sort((a, b) => a - b);
}

function newCode(): string {
  return crypto.getRandomValues(new Uint8Array(13)).toHex().toUpperCase();
}

/** A page that is connected. */
async function opened(browser: Browser, url: string): Promise<Page> {
  const page = await (await browser.newContext({ permissions: ["microphone"] })).newPage();
  await page.goto(url);
  await page.waitForFunction("globalThis.channel");
  return page;
}

const TRIES = 20;
/** For so long a chat is watched after a restart: both have dialled again by then. */
const SEEN_MS = 1_000;

/** A relay that may be killed and come back where it was. */
class Kept {
  readonly url: string;
  readonly #port: string;
  readonly #host: string;
  #process: Bun.Subprocess | null = null;

  constructor(port: number, host = "127.0.0.1") {
    this.#port = `${port}`;
    this.#host = host;
    this.url = `ws://${host}:${port}`;
  }

  async restart(): Promise<void> {
    await this.end();
    const args = ["--host", this.#host, "--port", this.#port, "--exempt", "127.0.0.1,198.18.0.0/16"];
    this.#process = Bun.spawn([join(ROOT, "dist/whisper-signaling"), ...args], { stdout: "ignore", stderr: "inherit" });
    const isUp = () =>
      fetch(`http://${this.#host}:${this.#port}/health`).then(
        ({ ok }) => ok,
        () => false,
      );
    while (!(await isUp())) await Bun.sleep(5);
  }

  async end(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }
}

/** The pauses that one hardship makes, in ms, each of another pair. */
async function pauses(browser: Browser, site: string, { pause }: (typeof HARDSHIPS)[number]): Promise<number[]> {
  const relay = new Kept(FREE_PORT);
  await relay.restart();
  const measured: number[] = [];
  for (let n = 0; n < TRIES; n++) {
    const url = `${site}#${relay.url},${newCode()}`;
    const pages = await Promise.all([opened(browser, url), opened(browser, url)]);
    measured.push(await pause(relay, pages));
    for (const page of pages) await page.context().close();
  }
  await relay.end();
  return measured.sort((a, b) => a - b);
}

const PAGE = `<!doctype html><script src="/peerjs.js"></script><script type="module">
import * as client from "/client.js"; globalThis.client = client; globalThis.session = null;
const [url, code] = location.hash.slice(1).split(",");
if (code) {
  session = client.connect({ url, code });
  session.addEventListener("connected", ({ detail: { channel } }) => {
    channel.onmessage = () => {
      const now = performance.now();
      globalThis.gap = Math.max(globalThis.gap ?? 0, now - (globalThis.heardAt ?? now));
      globalThis.heardAt = now;
    };
    globalThis.channel = channel;
  });
}</script>`;

await run(["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"], import.meta.dir);
const site = Bun.serve({
  hostname: "0.0.0.0",
  port: 0,
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/client.js") return new Response(Bun.file(join(ROOT, "dist/client.js")));
    if (pathname === "/peerjs.js") return new Response(Bun.file(join(MODULES, "peerjs/dist/peerjs.min.js")));
    return new Response(PAGE, { headers: { "Content-Type": "text/html" } });
  },
});
const own = `http://127.0.0.1:${site.port}/`; // a name by which a page may encrypt
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
const row = (title: string, sorted: readonly number[]) => {
  const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
  return `| ${title} | ${at(0.5)} | ${at(0.95)} |`;
};
const rows: string[] = [];
for (const way of WAYS) rows.push(row(way.title, await times(browser, own, way)));
const again: string[] = [];
for (const hardship of HARDSHIPS) again.push(row(hardship.title, await pauses(browser, own, hardship)));
again.push(row(CHANGED, await changes(browser, site.port ?? 0)));
await browser.close();
await site.stop(true);
const table = (title: string, lines: readonly string[]) =>
  [`| ${title} | p50, ms | p95, ms |`, "| --- | ---: | ---: |", ...lines].join("\n");
const text = [
  await sizes(),
  table(`from the call to an open channel, ${PAIRS} pairs`, rows),
  table(`to chat again, ${TRIES} pairs that were connected, sealed`, again),
].join("\n\n");
process.stdout.write(`${text}\n`);
const docs = await Bun.file(DOCS).text();
await Bun.write(
  DOCS,
  docs.replace(/(<!-- browsers:[^\n]*\n).*?(?=\n<!-- \/browsers -->)/s, (_, head) => head + text),
);
