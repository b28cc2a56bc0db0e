/** Buckets, and what each address has of them. */

import { describe, expect, test } from "bun:test";
import { parseAddress, UNKNOWN } from "../../src/core/addresses.ts";
import { Bucket, type Limits, newAddressTable } from "../../src/core/limits.ts";
import { readConfig } from "../../src/program/config.ts";
import { Random } from "../support/machines/random.ts";

const address = (text: string) => parseAddress(text) ?? UNKNOWN;

describe("a bucket", () => {
  /** How many of `asked` tokens it gives at `now`, one at a time. */
  function give(bucket: Bucket, now: number, asked: number): number {
    let given = 0;
    for (; given < asked && bucket.waitMs(now) === 0; given++) bucket.take(now);
    return given;
  }

  test("gives the whole of its burst at any time, also where times are fractions", () => {
    const random = new Random(1);
    for (const [perSecond, burst] of [
      [20, 1],
      [30, 120],
      [7, 3],
    ] as const)
      for (let trial = 0; trial < 1_000; trial++)
        expect(give(new Bucket(perSecond, burst), random.below(1e9) / 997, burst + 1)).toBe(burst);
  });

  test("gives its burst and then what comes back, and says when", () => {
    const bucket = new Bucket(20, 100);
    expect(give(bucket, 1_000, 1_000)).toBe(100);
    expect(bucket.waitMs(1_000)).toBe(50);
    expect([1_049, 1_050, 2_000, 1_000_000].map((now) => give(bucket, now, 1_000))).toEqual([0, 1, 19, 100]);
  });

  test("that nothing empties has no wait", () => {
    const bucket = new Bucket(20, Number.POSITIVE_INFINITY);
    expect(give(bucket, 0, 1_000)).toBe(1_000);
  });
});

/** A table of addresses with these limits, and the defaults for the rest. */
const newTable = (limits: Partial<Limits>, seed = 7) => newAddressTable({ ...readConfig([], {}), ...limits }, seed);

describe("the table of addresses", () => {
  test("counts connections at once, and gives them back", () => {
    const table = newTable({ maxPerAddress: 3, connectRate: 1_000, connectBurst: 1_000 }, 7);
    const account = table.accountOf(address("192.0.2.1"));
    expect([1, 2, 3].map(() => account.enter(0))).toEqual([0, 0, 0]);
    expect(account.enter(0)).toBeGreaterThan(0);
    account.connections--;
    expect(account.enter(0)).toBe(0);
  });

  test("a refused connection is not counted, in neither way", () => {
    const table = newTable({ maxPerAddress: 10, connectRate: 1, connectBurst: 2 }, 7);
    const account = table.accountOf(address("192.0.2.1"));
    expect([0, 0, 0, 0].map((at) => account.enter(at))).toEqual([0, 0, 1_000, 1_000]);
    expect(account.enter(1_000)).toBe(0);
  });

  test("an abuse is paid for by the address and not by the connection", () => {
    const table = newTable({ maxPerAddress: 10, connectRate: 1, connectBurst: 10 }, 7);
    const account = table.accountOf(address("192.0.2.1"));
    account.enter(0);
    account.connects.take(0, 10);
    account.connections--;
    expect(account.enter(0)).toBe(2_000);
  });

  test("joins that failed are paid for one by one, and then no join is left until one has come back", () => {
    const table = newTable({ failedJoinRate: 1, failedJoinBurst: 3 });
    const account = table.accountOf(address("192.0.2.1"));
    for (let failures = 0; failures < 3; failures++) {
      expect(account.failures.waitMs(0)).toBe(0);
      account.failures.take(0);
    }
    expect([account.failures.waitMs(0), account.failures.waitMs(999)]).toEqual([1_000, 1]);
    expect(account.failures.waitMs(1_000)).toBe(0);
    expect(table.accountOf(address("192.0.2.2")).failures.waitMs(0)).toBe(0);
  });

  test("an exempt address has no limit, whatever it did", () => {
    const table = newTable({ maxPerAddress: 1, connectBurst: 1, failedJoinBurst: 1 });
    for (let i = 0; i < 100; i++) {
      expect(table.exempt.enter(0)).toBe(0);
      expect(table.exempt.failures.waitMs(0)).toBe(0);
      table.exempt.connects.take(0, 1_000);
      table.exempt.failures.take(0);
    }
    expect(table.accountOf(address("192.0.2.1")).enter(0)).toBe(0);
  });

  test("IPv6 counts by /64, IPv4 by address, also where it comes mapped", () => {
    const table = newTable({ maxPerAddress: 1, connectRate: 1, connectBurst: 1 }, 7);
    const account = (text: string) => table.accountOf(address(text));
    expect(account("2001:db8:1:2::1")).toBe(account("2001:db8:1:2:ffff::9"));
    expect(account("2001:db8:1:2::1")).not.toBe(account("2001:db8:1:3::1"));
    expect(account("192.0.2.1")).toBe(account("::ffff:192.0.2.1"));
    expect(account("192.0.2.1")).not.toBe(account("192.0.2.2"));
  });

  test("who shares an account differs with the seed", () => {
    const shared = (seed: number) => {
      const table = newTable({}, seed);
      const addresses = Array.from({ length: 2_000 }, (_, i) => BigInt(i) << 64n);
      const groups = Map.groupBy(addresses, (address) => table.accountOf(address)).values();
      return [...groups].filter(({ length }) => length > 1);
    };
    expect(shared(1)).not.toEqual(shared(2));
    expect([shared(1), shared(2)].map(({ length }) => length < 100)).toEqual([true, true]);
  });

  test("no flood of addresses makes more accounts than there are", () => {
    const table = newTable({});
    const accounts = new Set(Array.from({ length: 300_000 }, (_, i) => table.accountOf(BigInt(i) << 64n)));
    expect(accounts.size).toBeWithin(60_000, 65_537);
  });
});
