/** What is derived from a code, and that nothing opens that is not what, where and when it was sealed. */
import { beforeAll, describe, expect, test } from "bun:test";
import { rank } from "../../src/client/rank.ts";
import { newSeal, type Seal } from "../../src/client/seal.ts";

const CODE = "7K3M9QX2W4TB";
/** Made by Node.js' pbkdf2Sync and hkdfSync of the same inputs. */
const VECTOR = "0TRKuaMXsfitmEvQyTCKGOFu_ShOrFN0";
const EXPORTED = "b7e14dec736da9e89b15770affd810f5";
let alice: Seal;
let bob: Seal;
let carol: Seal;

beforeAll(async () => {
  [alice, bob, carol] = await Promise.all([newSeal(CODE, "alice"), newSeal(CODE, "bob"), newSeal(CODE, "carol")]);
});

describe("the derivation", () => {
  test("gives these values in every version that calls itself 1", async () => {
    expect(alice.sessionCode).toBe(VECTOR);
    expect(Buffer.from(await alice.exportKey("chat", 128)).toString("hex")).toBe(EXPORTED);
  });

  test("is the same in both peers, and another for another code", async () => {
    expect(bob.sessionCode).toBe(alice.sessionCode);
    expect(alice.sessionCode).toMatch(/^[A-Za-z0-9_-]{32}$/);
    expect(bob.hint).toBe(Buffer.from(bob.sessionCode, "base64url").toString("hex").slice(0, 3));
    expect((await newSeal("7K3M9QX2W4TC", "alice")).sessionCode).not.toBe(alice.sessionCode);
  });

  test("exports a key for each label, the same in both peers", async () => {
    expect(await alice.exportKey("a", 256)).toEqual(await bob.exportKey("a", 256));
    expect(await alice.exportKey("a", 256)).not.toEqual(await alice.exportKey("b", 256));
  });
});

describe("a sealed message", () => {
  test("opens for whom it was sealed, as often as there are messages", async () => {
    for (const value of [{ description: { type: "offer", sdp: "v=0" } }, { candidate: null }])
      expect(await bob.open("alice", "offer", await alice.seal("bob", "offer", value))).toEqual(value);
  });

  test("says nothing of its content, and no two are alike", async () => {
    const sealed = [await alice.seal("bob", "offer", "v=0"), await alice.seal("bob", "offer", "v=0")];
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
    const sealed = await alice.seal("bob", "offer", { sdp: "v=0" });
    expect(await refused(reader().open(from, type, sealed))).toBe(true);
    expect(await refused(bob.open("alice", "offer", sealed))).toBe(false);
  });

  test("does not open twice, nor after a later one, nor with another count", async () => {
    const [first, second] = [await alice.seal("bob", "offer", 1), await alice.seal("bob", "offer", 2)];
    expect(await refused(bob.open("alice", "offer", { ...first, iv: second.iv }))).toBe(true);
    expect(await bob.open("alice", "offer", second)).toBe(2);
    expect(await refused(bob.open("alice", "offer", second))).toBe(true);
    expect(await refused(bob.open("alice", "offer", first))).toBe(true);
  });

  test("that was lost does not keep the next from opening", async () => {
    await alice.seal("bob", "offer", 1);
    expect(await bob.open("alice", "offer", await alice.seal("bob", "offer", 2))).toBe(2);
  });
});

describe("a list of relays", () => {
  const urls = Array.from({ length: 5 }, (_, i) => `wss://relay${i}.example`);

  test("is ranked by the session, the same whatever its order", async () => {
    const ranked = await rank(urls, "A3F7B9E2C1D4");
    expect(await rank(urls.toReversed(), "A3F7B9E2C1D4")).toEqual(ranked);
    const first = await Promise.all(Array.from({ length: 100 }, async (_, i) => (await rank(urls, `code${i}`))[0]));
    expect(new Set(first).size).toBe(urls.length);
  });

  test("keeps its order when one is missing", async () => {
    const [gone, ...rest] = await rank(urls, "A3F7B9E2C1D4");
    expect(
      await rank(
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
