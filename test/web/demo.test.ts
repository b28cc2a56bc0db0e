/** How the page to try a relay is served: only where it is asked for, as one file, under a policy that names its parts. */
import { expect, test } from "bun:test";
import { demo } from "../../release/demo.ts";
import { spawnRelay, VARIANTS } from "../support/relays/relay.ts";

test.each(VARIANTS)(
  "--demo serves it from %s, with a policy that lets its own script and style run and nothing else",
  async (variant) => {
    await using relay = await spawnRelay(variant, "--demo", "--sandbox=require");
    const answer = await relay.get("/demo");
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    const html = await answer.text();
    expect(html).toBe(await demo()); // as the source has it now
    const hash = (tag: string) => {
      const parts = [...html.matchAll(new RegExp(`<${tag}\\b[^>]*>(.*?)</${tag}>`, "gs"))];
      expect(parts.length).toBe(1);
      return new Bun.CryptoHasher("sha256").update(parts[0]?.[1] ?? "").digest("base64");
    };
    expect(answer.headers.get("content-security-policy")).toBe(
      `default-src 'none'; script-src 'sha256-${hash("script")}'; style-src 'sha256-${hash("style")}'; connect-src 'self'; ` +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    );
    expect(answer.headers.get("referrer-policy")).toBe("no-referrer");
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const head = await fetch(`http://127.0.0.1:${relay.port}/demo`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  },
);

test("without --demo there is no such page", async () => {
  await using relay = await spawnRelay("binary");
  expect((await relay.get("/demo")).status).toBe(404);
});

test("it names nothing that a browser would load: no address, no source, no style sheet", async () => {
  const html = await demo();
  const body = html.replace(/<script.*<\/script>/s, "");
  expect(body).not.toMatch(/\b(?:src|href|srcset|action|poster)=|url\(|@import|\/\//);
  expect(html).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/);
  expect(html.match(/https?:\/\/\w[\w./]*/g)).toEqual(["http://www.w3.org/2000/svg"]); // a name, not a place
});
