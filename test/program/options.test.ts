/** How options are written and read, tried on those of the relay. */

import { describe, expect, test } from "bun:test";
import { readConfig } from "../../src/program/config.ts";
import { refusal } from "../support/machines/refusal.ts";

test("a flag wins over the environment, which wins over the default", () => {
  const env = { WHISPER_PORT: "9000", WHISPER_SESSION_TTL: "90s", PORT: "1" };
  expect(readConfig(["--port", "9001"], env)).toMatchObject({ port: 9001, sessionTtlMs: 90_000 });
  expect(readConfig(["--session-ttl=1h"], env)).toMatchObject({ port: 9000, sessionTtlMs: 3_600_000 });
});

test("units are read as they are written", () => {
  const read = (ttl: string, size: string) => readConfig(["--session-ttl", ttl, "--max-message", size], {});
  expect(read("2000ms", "2048B")).toMatchObject({ sessionTtlMs: 2_000, maxMessageBytes: 2_048 });
  expect(read("24h", "1MiB")).toMatchObject({ sessionTtlMs: 86_400_000, maxMessageBytes: 1_048_576 });
});

test("a list is a repeated flag, or one text with commas; none and any empty it", () => {
  const cidrs = (...args: string[]) => readConfig(args, {}).trustProxy.length;
  expect(cidrs("--trust-proxy", "10.0.0.0/8", "--trust-proxy", "fd00::/8")).toBe(2);
  expect(cidrs("--trust-proxy=10.0.0.1, ::1")).toBe(2);
  expect(readConfig([], { WHISPER_EXEMPT: "none" }).exempt).toEqual([]);
  const { origins } = readConfig(["--origin=https://a.example", "--origin=http://b.example:81"], {});
  expect(origins.map(({ example }) => example)).toEqual(["https://a.example", "http://b.example:81"]);
  expect(readConfig(["--origin", "any"], { WHISPER_ORIGIN: "https://a.example" }).origins).toEqual([]);
});

test("a switch is on when it is named, and can be set by the environment", () => {
  expect(readConfig(["--reuse-port", "--port", "1"], {})).toMatchObject({ reusePort: true, port: 1 });
  expect(readConfig(["--reuse-port=off"], { WHISPER_REUSE_PORT: "on" }).reusePort).toBeFalse();
  expect(readConfig([], { WHISPER_REUSE_PORT: "on" }).reusePort).toBeTrue();
});

describe("a bad value is refused in one line that names the option, the value and the bounds", () => {
  test.each([
    [["--port", "65536"], '--port "65536" is not a whole number from 0 to 65535'],
    [["--port", "-1"], '--port "-1" is not a whole number from 0 to 65535'],
    [["--port="], '--port "" is not a whole number from 0 to 65535'],
    [["--port", "80 "], '--port "80 " is not'],
    [["--port", "8e3"], '--port "8e3" is not'],
    [["--session-ttl", "10"], '--session-ttl "10" is not a whole number with a unit (ms, s, m, h) from 1s to 24h'],
    [["--session-ttl", "999ms"], '--session-ttl "999ms" is not'],
    [["--session-ttl", "25h"], '--session-ttl "25h" is not'],
    [["--session-ttl", "10toString"], '--session-ttl "10toString" is not'],
    [
      ["--max-message", "64kb"],
      '--max-message "64kb" is not a whole number with a unit (B, KiB, MiB) from 1KiB to 1MiB',
    ],
    [["--host", "a\nb"], '--host "a\\nb" is not an address'],
    [["--host="], '--host "" is not an address'],
    [["--reuse-port=yes"], '--reuse-port "yes" is not on or off'],
    [["--trust-proxy", "10.0.0.0/33"], '--trust-proxy "10.0.0.0/33" is not an address or a range'],
    [["--exempt", "::1,localhost"], '--exempt "::1,localhost" is not an address or a range'],
    [
      ["--origin", "https://a.example/"],
      '--origin "https://a.example/" never matches, for the slash at its end: browsers send "https://a.example"',
    ],
    [["--prot", "80"], 'unknown option "--prot"; the nearest is --port, and --help lists them'],
    [
      ["--max-per-adress=1"],
      'unknown option "--max-per-adress=1"; the nearest is --max-per-address, and --help lists them',
    ],
    [["--xyz"], 'unknown option "--xyz"; --help lists them'],
    [["-p"], 'unknown option "-p"; --help lists them'],
    [["serve"], '"serve" is one word too many; --help says what is taken'],
    [["--port=1", "--port=2"], "--port is given twice"],
    [["--port"], "--port needs a value"],
    [["--port", "x".repeat(500)], `--port "${"x".repeat(80)}…" is not`],
  ])("%j", (args, message) => {
    expect(refusal(args)).toStartWith(message);
    expect(refusal(args)).not.toContain("\n");
  });

  test("from the environment it is named as it was set", () => {
    expect(refusal([], { WHISPER_JOIN_TIMEOUT: "0s" })).toStartWith('WHISPER_JOIN_TIMEOUT "0s" is not');
  });
});
