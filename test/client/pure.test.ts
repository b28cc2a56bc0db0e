/** Codes as people type them, and when a lost socket comes back. */
import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { mayRetry, pause } from "../../src/client/backoff.ts";
import { newCode, normaliseCode } from "../../src/client/code.ts";
import { ERRORS } from "../../src/core/protocol.ts";
import { ROOT } from "../support/relays/relay.ts";

describe("a code", () => {
  test("for a link has 26 characters, one to type 12 in groups of four; no two are alike", () => {
    expect(newCode()).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
    expect(newCode("typed")).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/);
    expect(new Set(Array.from({ length: 1_000 }, () => newCode("typed"))).size).toBe(1_000);
  });

  test("uses every character about as often as every other", () => {
    const counts = new Map<string, number>();
    for (const character of Array.from({ length: 2_000 }, () => newCode()).join(""))
      counts.set(character, (counts.get(character) ?? 0) + 1);
    expect(counts.size).toBe(32);
    const expected = (2_000 * 26) / 32;
    for (const count of counts.values()) expect(Math.abs(count - expected)).toBeLessThan(expected / 4);
  });

  test.each(["7K3M-9QX2-W4T0", "7k3m9qx2w4to", " 7K3M 9QX2 W4TO\n", "7-k-3-m-9-q-x-2-w-4-t-0"])(
    "typed as %j is read",
    (typed) => expect(normaliseCode(typed)).toBe("7K3M9QX2W4T0"),
  );

  test("takes I and L for 1", () => expect(normaliseCode("iIlL1iIlL1iI")).toBe("111111111111"));

  test.each(["", "7K3M9QX2W4T", "7K3M9QX2W4T00", "7K3M9QX2W4TU", "7K3M9QX2W4T!", "é".repeat(12)])(
    "can't be %j, and the error doesn't repeat it",
    (typed) => {
      const wrong = caught(() => normaliseCode(typed));
      expect(wrong).toMatchObject({ reason: "bad-code", retry: false });
      if (typed) expect(String(wrong)).not.toContain(typed);
    },
  );

  test("as it is made is read back", () => {
    for (const code of [newCode(), newCode("typed")]) expect(normaliseCode(code)).toBe(code.replaceAll("-", ""));
  });
});

describe("a lost socket", () => {
  test.each(
    Object.entries(ERRORS).flatMap(([name, { close, retry }]) =>
      close === null ? [] : [[name, close, retry] as const],
    ),
  )("closed for %s (%i) comes back as the relay would say: %p", (_, close, retry) =>
    expect(mayRetry(close, undefined)).toBe(retry),
  );

  test("without a code comes back; and what the relay says of it counts more than any code", () => {
    expect([1000, 1001, 1005, 1006].map((code) => mayRetry(code, undefined))).toEqual([true, true, true, true]);
    expect([mayRetry(4501, true), mayRetry(1013, false)]).toEqual([true, false]);
  });

  test("waits up to twice as long each time, up to half a minute, by chance, and never shorter than it was told", () => {
    expect([0, 1, 2, 5, 6, 50].map((tries) => pause(tries, 0, 1))).toEqual([500, 1_000, 2_000, 16_000, 30_000, 30_000]);
    expect(pause(5, 0, 0)).toBe(0);
    expect(pause(0, 5_000, 0.5)).toBe(5_250);
  });
});

function caught(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

test("every reason that a session may fail for has an action in the docs", async () => {
  const docs = await Bun.file(resolve(ROOT, "docs/CLIENT.md")).text();
  const table = docs.slice(docs.indexOf("<!-- reasons:"), docs.indexOf("<!-- /reasons"));
  const listed = [...table.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, reason]) => reason);
  const types = await Bun.file(resolve(ROOT, "src/client/types.ts")).text();
  const own = [...types.slice(types.indexOf("export type Reason")).matchAll(/^ {2}\| "([\w-]+)"$/gm)];
  const refused = Object.entries(ERRORS).filter(([, { close }]) => close !== null && !mayRetry(close, undefined));
  expect(listed.toSorted()).toEqual(
    [...own.map(([, reason]) => reason ?? ""), ...refused.map(([name]) => name)].toSorted(),
  );
});
