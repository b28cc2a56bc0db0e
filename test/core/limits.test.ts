import { describe, expect, test } from "bun:test";
import { clientAddress, isIn, parseAddress, parseCidr } from "../../src/core/addresses.ts";
import { AddressTable, Bucket, EXEMPT, type Limits } from "../../src/core/limits.ts";
import { UpgradePolicy } from "../../src/core/upgrades.ts";
import { readConfig } from "../../src/program/config.ts";
import { Metrics } from "../../src/program/metrics.ts";

const ranges = (...texts: string[]) => readConfig(["--trust-proxy", texts.join()], {}).trustProxy;
const address = (text: string) => parseAddress(text) ?? [];

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
    expect(parseAddress(text)).toEqual(groups);
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
  const client = (remote: string, header: string) => clientAddress(address(remote), header, trusted);

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

describe("a bucket", () => {
  /** How many of `asked` tokens it gives at `now`, one at a time. */
  function give(bucket: Bucket, start: number, now: number, asked: number): { given: number; fullAt: number } {
    let [given, fullAt] = [0, start];
    for (; given < asked; given++) {
      const next = bucket.take(fullAt, now, 1);
      if (bucket.overdrawnMs(next, now) > 0) break;
      fullAt = next;
    }
    return { given, fullAt };
  }

  test("gives its burst and then what comes back, and says when", () => {
    const bucket = new Bucket(20, 100);
    const { given, fullAt } = give(bucket, 0, 1_000, 1_000);
    expect(given).toBe(100);
    expect(bucket.overdrawnMs(bucket.take(fullAt, 1_000, 1), 1_000)).toBe(50);
    expect(give(bucket, fullAt, 1_049, 1_000).given).toBe(0);
    expect(give(bucket, fullAt, 1_050, 1_000).given).toBe(1);
    expect(give(bucket, fullAt, 2_000, 1_000).given).toBe(20);
    expect(give(bucket, fullAt, 1_000_000, 1_000).given).toBe(100);
  });
});

/** A table of addresses with these limits, and the defaults for the rest. */
const newTable = (limits: Partial<Limits>, seed = 7) => new AddressTable({ ...readConfig([], {}), ...limits }, seed);

describe("the table of addresses", () => {
  test("counts connections at once, and gives their places back", () => {
    const table = newTable({ maxPerAddress: 3, connectRate: 1_000, connectBurst: 1_000 }, 7);
    const place = table.place(address("192.0.2.1"));
    expect([1, 2, 3].map(() => table.enter(place, 0))).toEqual([0, 0, 0]);
    expect(table.enter(place, 0)).toBeGreaterThan(0);
    table.exit(place);
    expect(table.enter(place, 0)).toBe(0);
  });

  test("a refused connection is not counted, in neither way", () => {
    const table = newTable({ maxPerAddress: 10, connectRate: 1, connectBurst: 2 }, 7);
    const place = table.place(address("192.0.2.1"));
    expect([0, 0, 0, 0].map((at) => table.enter(place, at))).toEqual([0, 0, 1_000, 1_000]);
    expect(table.enter(place, 1_000)).toBe(0);
  });

  test("an abuse is paid for by the address and not by the connection", () => {
    const table = newTable({ maxPerAddress: 10, connectRate: 1, connectBurst: 10 }, 7);
    const place = table.place(address("192.0.2.1"));
    table.enter(place, 0);
    table.charge(place, 0, 10);
    table.exit(place);
    expect(table.enter(place, 0)).toBe(2_000);
  });

  test("joins that failed are paid for one by one, and then no join is left until one has come back", () => {
    const table = newTable({ failedJoinRate: 1, failedJoinBurst: 3 });
    const place = table.place(address("192.0.2.1"));
    for (let failures = 0; failures < 3; failures++) {
      expect(table.failureWaitMs(place, 0)).toBe(0);
      table.failed(place, 0);
    }
    expect([table.failureWaitMs(place, 0), table.failureWaitMs(place, 999)]).toEqual([1_000, 1]);
    expect(table.failureWaitMs(place, 1_000)).toBe(0);
    expect(table.failureWaitMs(table.place(address("192.0.2.2")), 0)).toBe(0);
  });

  test("only so many of one address may wait, and one more when one has met or left", () => {
    const table = newTable({ maxWaitingPerAddress: 2 });
    const place = table.place(address("192.0.2.1"));
    table.waits(place, 1);
    expect(table.mayWait(place)).toBe(true);
    table.waits(place, 1);
    expect(table.mayWait(place)).toBe(false);
    table.waits(place, -1);
    expect(table.mayWait(place)).toBe(true);
  });

  test("an exempt address has no limit, whatever it did", () => {
    const table = newTable({ maxPerAddress: 1, connectBurst: 1, failedJoinBurst: 1, maxWaitingPerAddress: 1 });
    for (let i = 0; i < 100; i++) {
      expect(table.enter(EXEMPT, 0)).toBe(0);
      expect([table.failureWaitMs(EXEMPT, 0), table.mayWait(EXEMPT)]).toEqual([0, true]);
      table.charge(EXEMPT, 0, 1_000);
      table.failed(EXEMPT, 0);
      table.waits(EXEMPT, 1);
    }
    expect(table.enter(table.place(address("192.0.2.1")), 0)).toBe(0);
  });

  test("IPv6 counts by /64, IPv4 by address, also where it comes mapped", () => {
    const table = newTable({ maxPerAddress: 1, connectRate: 1, connectBurst: 1 }, 7);
    const place = (text: string) => table.place(address(text));
    expect(place("2001:db8:1:2::1")).toBe(place("2001:db8:1:2:ffff::9"));
    expect(place("2001:db8:1:2::1")).not.toBe(place("2001:db8:1:3::1"));
    expect(place("192.0.2.1")).toBe(place("::ffff:192.0.2.1"));
    expect(place("192.0.2.1")).not.toBe(place("192.0.2.2"));
  });

  test("who shares a place differs with the seed", () => {
    const places = (seed: number) => {
      const table = newTable({ maxPerAddress: 1, connectRate: 1, connectBurst: 1 }, seed);
      return Array.from({ length: 50 }, (_, i) => table.place(address(`192.0.2.${i}`)));
    };
    expect(places(1)).not.toEqual(places(2));
    expect(new Set(places(1)).size).toBeGreaterThan(45);
  });
});

describe("the door", () => {
  /** What an upgrade from `remote` with these headers comes to: exempt, counted, or the status of the refusal. */
  function knock(door: UpgradePolicy, remote: string, headers: Record<string, string> = {}): string | number {
    const place = door.enter(new Request("http://relay/", { headers }), remote, 0, "ok", 0, true);
    if (place instanceof Response) return place.status;
    return place === EXEMPT ? "exempt" : "counted";
  }
  function newDoor(...args: string[]): { door: UpgradePolicy; table: AddressTable; warnings: string[] } {
    const warnings: string[] = [];
    const limits = readConfig(args, {});
    const table = newTable(limits);
    const door = new UpgradePolicy(
      limits,
      table,
      new Metrics(),
      (line) => warnings.push(line),
      () => false,
    );
    return { door, table, warnings };
  }
  const forwarded = (value: string) => ({ "X-Forwarded-For": value });

  test("exempts nobody, unless it is told whom", () => {
    expect(["127.0.0.1", "::1", "192.0.2.1"].map((from) => knock(newDoor().door, from))).toEqual(
      Array(3).fill("counted"),
    );
    const { door, warnings } = newDoor("--exempt=127.0.0.0/8,::1");
    const seen = ["127.0.0.1", "::1", "::ffff:127.0.0.9", "192.0.2.1", "2001:db8::1", ""].map((from) =>
      knock(door, from),
    );
    expect(seen).toEqual(["exempt", "exempt", "exempt", "counted", "counted", "counted"]);
    expect(warnings).toEqual([]);
  });

  test("does not exempt an address that forwards for others without being trusted, and says so", () => {
    const { door, warnings } = newDoor("--exempt=127.0.0.1");
    expect(knock(door, "127.0.0.1", forwarded("203.0.113.9"))).toBe("counted");
    expect(warnings.length).toBe(1);
    expect(warnings[0]).toContain("--trust-proxy");
    expect(warnings[0]).not.toMatch(/\d/);
  });

  test("does not exempt a trusted proxy that names nobody, nor whom a stranger names", () => {
    const { door, warnings } = newDoor("--trust-proxy=127.0.0.1", "--exempt=127.0.0.1");
    expect(knock(door, "127.0.0.1")).toBe("counted"); // as a check on the same machine does
    expect(knock(door, "127.0.0.1", forwarded("unknown"))).toBe("counted");
    expect(knock(door, "127.0.0.1", forwarded("127.0.0.1, 203.0.113.9"))).toBe("counted");
    expect(warnings).toEqual([]);
    expect(knock(door, "203.0.113.9", forwarded("127.0.0.1"))).toBe("counted");
    expect(warnings).toEqual([expect.stringContaining("an address that is not trusted sends X-Forwarded-For")]);
  });

  test("says that a trusted proxy names nobody, once it has more connections than a check", () => {
    const { door, warnings } = newDoor("--trust-proxy=127.0.0.1");
    for (let n = 0; n < 3; n++) knock(door, "127.0.0.1");
    for (let n = 0; n < 9; n++) knock(door, "127.0.0.1", forwarded(`203.0.113.${n}`));
    expect(warnings).toEqual([]);
    knock(door, "127.0.0.1");
    expect(warnings).toEqual([expect.stringContaining("a trusted proxy sends no X-Forwarded-For")]);
  });

  test("says that exempt addresses have more connections than one may, and counts those that ended out", () => {
    const { door, table, warnings } = newDoor("--exempt=127.0.0.1", "--max-per-address=5");
    for (let n = 0; n < 20; n++) {
      for (let m = 0; m < 5; m++) expect(knock(door, "127.0.0.1")).toBe("exempt");
      for (let m = 0; m < 5; m++) table.exit(EXEMPT);
    }
    expect(warnings).toEqual([]);
    for (let n = 0; n < 6; n++) knock(door, "127.0.0.1");
    expect(warnings).toEqual([expect.stringContaining("addresses in --exempt have more connections than")]);
  });

  test("lets only the pages in that it is told of", () => {
    const { door } = newDoor("--origin=https://*.example.org", "--origin=tauri://localhost,null");
    const status = (Origin: string) => knock(door, "192.0.2.1", { Origin });
    expect(["https://a.example.org", "tauri://localhost", "null"].map(status)).toEqual(Array(3).fill("counted"));
    expect(["https://example.org", "https://a.example.com", "tauri://localhost:1", ""].map(status)).toEqual(
      Array(4).fill(403),
    );
  });

  test("counts the clients of a trusted proxy one by one", () => {
    const { door } = newDoor("--trust-proxy=127.0.0.1", "--max-per-address=1");
    expect(knock(door, "127.0.0.1", forwarded("203.0.113.1"))).toBe("counted");
    expect(knock(door, "127.0.0.1", forwarded("203.0.113.1"))).toBe(429);
    expect(knock(door, "127.0.0.1", forwarded("6.6.6.6, 203.0.113.1"))).toBe(429);
    expect(knock(door, "127.0.0.1", forwarded("203.0.113.2"))).toBe("counted");
  });

  test("lets in the origins that it was told, and any where it was told none", () => {
    const origin = (value: string) => ({ Origin: value });
    expect(knock(newDoor().door, "192.0.2.1", origin("https://evil.example"))).toBe("counted");
    const { door } = newDoor("--origin=https://chat.example", "--origin=http://localhost:3000");
    expect(knock(door, "192.0.2.1", origin("https://chat.example"))).toBe("counted");
    expect(knock(door, "192.0.2.1", origin("http://localhost:3000"))).toBe("counted");
    for (const other of ["https://evil.example", "https://chat.example.evil.example", "http://chat.example", "null"])
      expect(knock(door, "192.0.2.1", origin(other))).toBe(403);
    expect(knock(door, "127.0.0.1")).toBe(403);
  });
});
