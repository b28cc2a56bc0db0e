/** Which origins can be named, what each matches, and that what could never match is refused. */
import { expect, test } from "bun:test";
import { readConfig } from "../../src/program/config.ts";
import { readOrigin } from "../../src/program/origins.ts";
import { command, run, spawnRelay } from "../support/relays/relay.ts";

test.each([
  [
    "https://example.org",
    ["https://example.org"],
    ["http://example.org", "https://example.org:8443", "https://a.example.org"],
  ],
  ["http://localhost:5173", ["http://localhost:5173"], ["http://localhost", "https://localhost:5173"]],
  [
    "https://*.example.org",
    ["https://a.example.org", "https://a.b.example.org", "https://xn--bcher-kva.example.org"],
    [
      ...["https://example.org", "https://.example.org", "https://a..example.org", "https://aexample.org"],
      ...["http://a.example.org", "https://a.example.org:8443", "https://a.example.org.evil.example"],
      ...["https://evil.example/.example.org", "https://evil.example:1@a.example.org", "https://a b.example.org", ""],
    ],
  ],
  ["https://*.example.org:8443", ["https://a.example.org:8443"], ["https://a.example.org"]],
  ["capacitor://localhost", ["capacitor://localhost"], ["capacitor://localhost2", "https://localhost"]],
  ["tauri://localhost", ["tauri://localhost"], ["tauri://"]],
  ["ionic://localhost", ["ionic://localhost"], []],
  ["app://obsidian.md", ["app://obsidian.md"], []],
  [
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    ["chrome-extension://abcdefghijklmnopabcdefghijklmnop"],
    ["chrome-extension://bbcdefghijklmnopabcdefghijklmnop"],
  ],
  [
    "moz-extension://4f6f8e0a-0f0e-4d3c-9c3e-1a2b3c4d5e6f",
    ["moz-extension://4f6f8e0a-0f0e-4d3c-9c3e-1a2b3c4d5e6f"],
    [],
  ],
  ["file://", ["file://"], ["file:///", "null"]],
  ["null", ["null"], ["", "file://"]],
])("%s is matched by what it names, and by nothing else", (named, matching, others) => {
  const origin = readOrigin(named);
  expect([origin.example, ...matching].filter((text) => !origin.matches(text))).toEqual([]);
  expect(others.filter((text) => origin.matches(text))).toEqual([]);
});

test.each([
  ["https://example.org/", 'never matches, for the slash at its end: browsers send "https://example.org"'],
  ["https://example.org/app", 'never matches: browsers send "https://example.org"'],
  ["https://Example.org", 'never matches: browsers send "https://example.org"'],
  ["HTTPS://example.org", 'never matches: browsers send "https://example.org"'],
  ["https://example.org:443", 'never matches: browsers send "https://example.org"'],
  ["http://example.org:80", 'never matches: browsers send "http://example.org"'],
  ["https://bücher.example", 'never matches: browsers send "https://xn--bcher-kva.example"'],
  ["https://*.Example.org/", 'never matches: browsers send "https://*.example.org"'],
  ["https://*.example.org:443", 'never matches: browsers send "https://*.example.org"'],
  ...["wss://example.org", "ftp://example.org", "SFTP://x", "blob://x", "javascript://x"].map(
    (text): [string, string] => [text, "names no page"],
  ),
  ["example.org", "is not an origin such as"],
  ["*", "is not an origin such as"],
  ["tauri://Localhost", "is not an origin such as"],
  ["tauri://localhost/", "is not an origin such as"],
  ["chrome-extension://*", "is not an origin such as"],
  ["https://", "is not an origin such as"],
  ["https://*", 'has a "*" that is not all before'],
  ["https://*.", 'has a "*" that is not all before'],
  ["https://*example.org", 'has a "*" that is not all before'],
  ["https://a.*.org", 'has a "*" that is not all before'],
  ["https://*.*.org", 'has a "*" that is not all before'],
  ["https://example.org:*", 'has a "*" that is not all before'],
])("%s is refused, with the reason", (text, reason) => {
  expect(() => readConfig(["--origin", `https://a.example,${text}`], {})).toThrow(
    `--origin ${JSON.stringify(text)} ${reason}`,
  );
});

test("the longest origin that a head can hold is judged in no time", () => {
  const origin = readOrigin("https://*.example.org");
  const began = performance.now();
  for (const piece of ["a", "a.", ".", "-", "a-.", "aé"])
    expect(origin.matches(`https://${piece.repeat(16_384)}.example.org`)).toBeFalse();
  expect(performance.now() - began).toBeLessThan(50);
});

test("a relay lets in what a pattern names, and its own check does", async () => {
  await using relay = await spawnRelay("binary", "--origin=https://*.example.org", "--origin=capacitor://localhost");
  const status = async (Origin: string) => {
    const headers = { Origin, Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13" };
    const answer = await fetch(`http://127.0.0.1:${relay.port}/`, {
      headers: { ...headers, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" },
    });
    await answer.body?.cancel();
    return answer.status;
  };
  for (const origin of ["https://a.example.org", "https://a.b.example.org", "capacitor://localhost"])
    expect([origin, await status(origin)]).toEqual([origin, 101]);
  for (const origin of ["https://example.org", "https://a.example.com", "null"])
    expect([origin, await status(origin)]).toEqual([origin, 403]);
  const own = ["check", "--host=127.0.0.1", `--port=${relay.port}`, "--origin=https://*.example.org"];
  expect((await run(command("binary", ...own))).exitCode).toBe(0);
});
