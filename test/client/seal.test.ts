/** What is derived from a code, and that nothing opens that is not what, where and when it was sealed. */
import { beforeAll, describe, expect, test } from "bun:test";
import { rank } from "../../src/client/rank.ts";
import { newSeal, type Seal } from "../../src/client/seal.ts";

const CODE = "7K3M9QX2W4TB";
/** Made by Node.js' pbkdf2Sync and hkdfSync of the same inputs. */
const VECTOR = "d1344ab9a317b1f8ad984bd0c9308a18e16efd284eac5374";
const EXPORTED = "b7e14dec736da9e89b15770affd810f5";
let alice: Seal;
let bob: Seal;
let carol: Seal;

beforeAll(async () => {
  [alice, bob, carol] = await Promise.all([newSeal(CODE, "alice"), newSeal(CODE, "bob"), newSeal(CODE, "carol")]);
});

describe("the derivation", () => {
  test("gives these values in every version that calls itself 1", async () => {
    expect(alice._name).toBe(VECTOR);
    expect(Buffer.from(await alice._export("chat", 128)).toString("hex")).toBe(EXPORTED);
  });

  test("is the same in both peers, and another for another code", async () => {
    expect(bob._name).toBe(alice._name);
    expect(alice._name).toMatch(/^[0-9a-f]{48}$/);
    expect((await newSeal("7K3M9QX2W4TC", "alice"))._name).not.toBe(alice._name);
  });

  test("exports a key for each label, the same in both peers", async () => {
    expect(await alice._export("a", 256)).toEqual(await bob._export("a", 256));
    expect(await alice._export("a", 256)).not.toEqual(await alice._export("b", 256));
  });
});

describe("a sealed message", () => {
  test("opens for whom it was sealed, as often as there are messages", async () => {
    for (const value of [{ description: { type: "offer", sdp: "v=0" } }, { candidate: null }])
      expect(await bob._open("alice", "offer", await alice._seal("bob", "offer", value))).toEqual(value);
  });

  test("says nothing of its content, and no two are alike", async () => {
    const sealed = [await alice._seal("bob", "offer", "v=0"), await alice._seal("bob", "offer", "v=0")];
    expect(sealed[0]?.sealed).not.toBe(sealed[1]?.sealed);
    expect(Object.keys(sealed[0] ?? {})).toEqual(["iv", "sealed"]);
  });

  test.each([
    ["reflected to who sealed it", () => alice, "bob", "offer"],
    ["reflected under one's own name", () => alice, "alice", "offer"],
    ["under another type", () => bob, "alice", "answer"],
    ["told to another", () => carol, "alice", "offer"],
    ["as if another had sealed it", () => bob, "carol", "offer"],
  ])("does not open %s", async (_, reader, from, type) => {
    const sealed = await alice._seal("bob", "offer", { sdp: "v=0" });
    expect(await refused(reader()._open(from, type, sealed))).toBe(true);
    expect(await refused(bob._open("alice", "offer", sealed))).toBe(false);
  });

  test("does not open twice, nor after a later one, nor with another count", async () => {
    const [first, second] = [await alice._seal("bob", "offer", 1), await alice._seal("bob", "offer", 2)];
    expect(await refused(bob._open("alice", "offer", { ...first, iv: second.iv }))).toBe(true);
    expect(await bob._open("alice", "offer", second)).toBe(2);
    expect(await refused(bob._open("alice", "offer", second))).toBe(true);
    expect(await refused(bob._open("alice", "offer", first))).toBe(true);
  });

  test("does not open a second time when its iv is written in another way", async () => {
    const sealed = await alice._seal("bob", "offer", 1);
    expect(await bob._open("alice", "offer", sealed)).toBe(1);
    const ways = [
      `${sealed.iv} `,
      ` ${sealed.iv}`,
      `${sealed.iv}====`,
      [sealed.iv],
      Number(sealed.iv),
      `~${sealed.iv}`,
    ];
    for (const iv of ways)
      expect(await refused(bob._open("alice", "offer", { ...sealed, iv: iv as string }))).toBe(true);
  });

  test("that was lost does not keep the next from opening", async () => {
    await alice._seal("bob", "offer", 1);
    expect(await bob._open("alice", "offer", await alice._seal("bob", "offer", 2))).toBe(2);
  });
});

describe("a list of relays", () => {
  const urls = Array.from({ length: 5 }, (_, i) => `wss://relay${i}.example`);

  test("is ranked by the session, the same whatever its order", () => {
    const ranked = rank(urls, "A3F7B9E2C1D4");
    expect(rank(urls.toReversed(), "A3F7B9E2C1D4")).toEqual(ranked);
    const counts = new Map<string, number>();
    for (let i = 0; i < 1_000; i++) {
      const [first = ""] = rank(urls, Bun.SHA256.hash(`${i}`, "hex").slice(0, 48));
      counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    for (const url of urls) expect(Math.abs((counts.get(url) ?? 0) - 200)).toBeLessThan(50);
  });

  test("keeps its order when one is missing", () => {
    const [gone, ...rest] = rank(urls, "A3F7B9E2C1D4");
    expect(
      rank(
        urls.filter((url) => url !== gone),
        "A3F7B9E2C1D4",
      ),
    ).toEqual(rest);
  });
});

function refused(opening: Promise<unknown>): Promise<boolean> {
  return opening.then(
    () => false,
    () => true,
  );
}
