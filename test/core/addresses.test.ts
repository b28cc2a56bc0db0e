/** Addresses as sockets, proxies and options write them. */
import { describe, expect, test } from "bun:test";
import { isIn, namedClient, parseAddress, UNKNOWN } from "../../src/core/addresses.ts";
import { readConfig } from "../../src/program/config.ts";
import { parseCidr } from "../../src/program/options.ts";

const ranges = (...texts: string[]) => readConfig(["--trust-proxy", texts.join()], {}).trustProxy;
const address = (text: string) => parseAddress(text) ?? UNKNOWN;

describe("an address", () => {
  test.each([
    ["192.0.2.1", [0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]],
    ["::ffff:192.0.2.1", [0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]],
    ["::FFFF:c000:201", [0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]],
    ["192.0.2.1:8080", [0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]],
    ["::", [0, 0, 0, 0, 0, 0, 0, 0]],
    ["::1", [0, 0, 0, 0, 0, 0, 0, 1]],
    ["[2001:DB8::0001]:443", [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]],
    ["2001:db8:1:2:3:4:5:6", [0x2001, 0xdb8, 1, 2, 3, 4, 5, 6]],
    ["fe80::1%eth0", [0xfe80, 0, 0, 0, 0, 0, 0, 1]],
    [" 192.0.2.1 ", [0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]],
  ])("%j is read", (text, groups) => {
    expect(parseAddress(text)).toBe(groups.reduce((bits, group) => (bits << 16n) | BigInt(group), 0n));
  });

  test.each([
    "",
    "localhost",
    "256.0.0.1",
    "1.2.3",
    "1.2.3.4.5",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "12345::",
    ":::",
    "g::",
    "1:2:3:4:5:6:7::8",
    "unknown",
    "_hidden",
    "127.0.0.1, 10.0.0.1",
  ])("%j is none", (text) => {
    expect(parseAddress(text)).toBeNull();
  });

  test.each([
    ["10.0.0.0/8", "10.255.255.255", "11.0.0.0"],
    ["192.0.2.1", "192.0.2.1", "192.0.2.2"],
    ["0.0.0.0/0", "255.1.2.3", "::1"],
    ["::/0", "1.2.3.4", null],
    ["2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"],
    ["::ffff:10.0.0.0/8", "10.1.1.1", "11.1.1.1"],
    ["127.0.0.0/8", "::ffff:127.1.2.3", "::1"],
  ])("%s holds %s and not %p", (range, inside, outside) => {
    expect(isIn(address(inside), ranges(range))).toBeTrue();
    if (outside !== null) expect(isIn(address(outside), ranges(range))).toBeFalse();
  });

  test.each(["10.0.0.0/33", "::/129", "10.0.0.0/", "/8", "10.0.0.0/8/8", "10.0.0.0/-1", ""])(
    "%j is no range",
    (text) => {
      expect(parseCidr(text)).toBeNull();
    },
  );
});

describe("behind a proxy", () => {
  const trusted = ranges("10.0.0.0/8", "127.0.0.1");
  const client = (remote: string, header: string) => namedClient(address(remote), header, trusted) ?? address(remote);

  test("the header is read from the right, past trusted proxies, and no further than they are trusted", () => {
    expect(client("10.0.0.1", "203.0.113.9")).toEqual(address("203.0.113.9"));
    expect(client("10.0.0.1", "6.6.6.6, 203.0.113.9")).toEqual(address("203.0.113.9"));
    expect(client("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2")).toEqual(address("203.0.113.9"));
    expect(client("10.0.0.1", "127.0.0.1, 203.0.113.9,10.0.0.2 , 127.0.0.1")).toEqual(address("203.0.113.9"));
    expect(client("10.0.0.1", "10.0.0.3, 10.0.0.2")).toEqual(address("10.0.0.3"));
  });

  test("from one that is not trusted it is not read at all", () => {
    expect(client("203.0.113.1", "6.6.6.6")).toEqual(address("203.0.113.1"));
  });

  test("what is no address ends the reading", () => {
    expect(client("10.0.0.1", "6.6.6.6, unknown, 10.0.0.2")).toEqual(address("10.0.0.2"));
    expect(client("10.0.0.1", "")).toEqual(address("10.0.0.1"));
    expect(client("10.0.0.1", ",".repeat(10_000))).toEqual(address("10.0.0.1"));
  });
});
