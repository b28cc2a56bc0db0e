/** Buckets, and what each address has of them. */

import { describe, expect, test } from "bun:test";
import { parseAddress, UNKNOWN } from "../../src/core/addresses.ts";
import { AddressTable, Bucket, EXEMPT, type Limits } from "../../src/core/limits.ts";
import { readConfig } from "../../src/program/config.ts";
import { Random } from "../support/machines/random.ts";

const address = (text: string) => parseAddress(text) ?? UNKNOWN;

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

  test("gives the whole of its burst at any time, also where times are fractions", () => {
    const random = new Random(1);
    for (const [perSecond, burst] of [
      [20, 1],
      [30, 120],
      [7, 3],
    ] as const)
      for (let trial = 0; trial < 1_000; trial++)
        expect(give(new Bucket(perSecond, burst), 0, random.below(1e9) / 997, burst + 1).given).toBe(burst);
  });

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
    table.connections.add(place, -1);
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
    table.connects.charge(place, 0, 10);
    table.connections.add(place, -1);
    expect(table.enter(place, 0)).toBe(2_000);
  });

  test("joins that failed are paid for one by one, and then no join is left until one has come back", () => {
    const table = newTable({ failedJoinRate: 1, failedJoinBurst: 3 });
    const place = table.place(address("192.0.2.1"));
    for (let failures = 0; failures < 3; failures++) {
      expect(table.failures.waitMs(place, 0)).toBe(0);
      table.failures.charge(place, 0);
    }
    expect([table.failures.waitMs(place, 0), table.failures.waitMs(place, 999)]).toEqual([1_000, 1]);
    expect(table.failures.waitMs(place, 1_000)).toBe(0);
    expect(table.failures.waitMs(table.place(address("192.0.2.2")), 0)).toBe(0);
  });

  test("an exempt address has no limit, whatever it did", () => {
    const table = newTable({ maxPerAddress: 1, connectBurst: 1, failedJoinBurst: 1 });
    for (let i = 0; i < 100; i++) {
      expect(table.enter(EXEMPT, 0)).toBe(0);
      expect(table.failures.waitMs(EXEMPT, 0)).toBe(0);
      table.connects.charge(EXEMPT, 0, 1_000);
      table.failures.charge(EXEMPT, 0);
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
