/** The browsers' library as the relay serves it: to whom, in which form, how long it is kept, and what pins it. */
import { describe, expect, test } from "bun:test";
import { cp, symlink } from "node:fs/promises";
import { resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { newFolder } from "../support/machines/folder.ts";
import { command, ROOT, type RunningRelay, run, spawnProgram, spawnRelay, VARIANTS } from "../support/relays/relay.ts";

const SCRIPTS = ["client.js", "channel.js", "words.js"];
const built = (name: string) => Bun.file(resolve(ROOT, "dist", name)).text();

/** GET, or another method, without what `fetch` adds of its own: as a browser that takes no encoding. */
function ask(relay: RunningRelay, name: string, headers: Record<string, string> = {}, method = "GET") {
  const url = `http://127.0.0.1:${relay.port}/${name}`;
  return fetch(url, { method, headers: { "Accept-Encoding": "identity", ...headers }, decompress: false });
}

describe.each([...VARIANTS])("the relay from %s", (variant) => {
  test("serves each script as it was built, to pages of any origin, with a policy that fits", async () => {
    await using relay = await spawnRelay(variant);
    for (const name of SCRIPTS) {
      const response = await ask(relay, name);
      expect(response.status).toBe(200);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        "access-control-allow-origin": "*",
        "cache-control": "no-cache",
        "content-type": "text/javascript; charset=utf-8",
        "cross-origin-resource-policy": "cross-origin",
        vary: "Accept-Encoding",
        "x-content-type-options": "nosniff",
      });
      expect(await response.text()).toBe(await built(name));
    }
  });

  test("prints the hashes by which pages pin what it serves", async () => {
    await using relay = await spawnRelay(variant);
    const lines = await Promise.all(
      SCRIPTS.map(async (name) => {
        const served = await (await ask(relay, name)).bytes();
        return `sha384-${Bun.SHA384.hash(served, "base64")}  /${name}\n`;
      }),
    );
    expect(await run(command(variant, "print", "integrity"))).toEqual({
      exitCode: 0,
      stdout: lines.join(""),
      stderr: "",
    });
  });
});

test("a browser that has a script asks whether it is new, and gets it only then", async () => {
  await using relay = await spawnRelay("binary");
  const tag = (await ask(relay, "client.js")).headers.get("etag") ?? "";
  expect(tag).toMatch(/^"[\w-]{43}"$/);
  for (const known of [tag, `W/${tag}`, `"other", ${tag}`, "*"]) {
    const response = await ask(relay, "client.js", { "If-None-Match": known });
    expect([known, response.status, await response.text()]).toEqual([known, 304, ""]);
    expect(response.headers.get("etag")).toBe(tag);
  }
  for (const known of ['"other"', "", tag.slice(1)])
    expect([known, (await ask(relay, "client.js", { "If-None-Match": known })).status]).toEqual([known, 200]);
});

test("who takes gzip gets it, under a tag of its own; who would rather not does not", async () => {
  await using relay = await spawnRelay("binary");
  for (const accepted of ["gzip", "gzip, deflate, br, zstd", "br;q=1.0,gzip;q=0.5"]) {
    const response = await ask(relay, "client.js", { "Accept-Encoding": accepted });
    expect([accepted, response.headers.get("content-encoding")]).toEqual([accepted, "gzip"]);
    const bytes = await response.bytes();
    expect(gunzipSync(bytes).toString()).toBe(await built("client.js"));
    const tag = response.headers.get("etag") ?? "";
    expect(tag).not.toBe((await ask(relay, "client.js")).headers.get("etag") ?? "");
    expect((await ask(relay, "client.js", { "Accept-Encoding": accepted, "If-None-Match": tag })).status).toBe(304);
  }
  for (const accepted of ["identity", "br", "gzip;q=0", "gzip ; q=0.000, br", "x-notgzip"])
    expect([
      accepted,
      (await ask(relay, "client.js", { "Accept-Encoding": accepted })).headers.get("content-encoding"),
    ]).toEqual([accepted, null]);
});

test("HEAD, OPTIONS and what is not allowed are as for the page", async () => {
  await using relay = await spawnRelay("binary");
  const head = await ask(relay, "client.js", {}, "HEAD");
  expect([head.status, await head.text()]).toEqual([200, ""]);
  expect((await ask(relay, "client.js", {}, "OPTIONS")).status).toBe(204);
  expect((await ask(relay, "client.js", {}, "POST")).status).toBe(405);
  expect((await ask(relay, "client.js?x=1")).status).toBe(200);
  for (const name of ["client.jsx", "client.js/", "dist/client.js", "%63lient.js"])
    expect([name, (await ask(relay, name)).status]).toEqual([name, 404]);
});

test("from a source where nothing was built yet it says what to do", async () => {
  await using folder = await newFolder();
  for (const name of ["src", "package.json"]) await cp(resolve(ROOT, name), folder.file(name), { recursive: true });
  await symlink(resolve(ROOT, "node_modules"), folder.file("node_modules"));
  const main = [process.execPath, "--smol", folder.file("src/main.ts")];
  {
    await using relay = await spawnProgram(main);
    const response = await ask(relay, "client.js");
    expect([response.status, await response.text()]).toEqual([404, "Not built: bun run build:client\n"]);
  }
  expect(await run([...main, "print", "integrity"])).toMatchObject({
    exitCode: 2,
    stdout: "",
    stderr: expect.stringContaining('print "integrity" finds no /client.js: bun run build:client makes it'),
  });
});

test("the hashes in the docs are those of what was built", async () => {
  const docs = await Bun.file(resolve(ROOT, "docs/CLIENT.md")).text();
  const table = docs.slice(docs.indexOf("<!-- integrity:"), docs.indexOf("<!-- /integrity"));
  const rows = [...table.matchAll(/^\| `([\w.]+)` \| `(sha384-\S+)` \|$/gm)].map(([, name, hash]) => [name, hash]);
  const expected = SCRIPTS.map(async (name) => [name, `sha384-${Bun.SHA384.hash(await built(name), "base64")}`]);
  expect(rows).toEqual(await Promise.all(expected));
});
