/** What the engine sees, and what it can do with it. */
import { describe, expect, test } from "bun:test";
import type { Packet } from "../../src/cluster/links.ts";
import { openPacket, Sealer, sealPacket } from "../../src/cluster/seal.ts";

const [OLD, NEW] = ["the old secret", "the new secret"];
const CODE = "A3F7B9E2C1D4";
const sealer = new Sealer([OLD]);
const { up, down } = sealer.linkKeys(0, CODE, "link");
const packet: Packet = { link: "link", seq: 7, atMs: 1_234, kind: "text", text: '{"type":"offer"}' };

describe("a name", () => {
  test("is the same at every node that has the secret, and another with another secret or code", () => {
    expect(new Sealer([OLD]).names(CODE)).toEqual(sealer.names(CODE));
    const names = [sealer.names(CODE), new Sealer([NEW]).names(CODE), sealer.names("A3F7B9E2C1D5")].flat();
    expect(new Set(names).size).toBe(3);
    for (const name of names) expect(name).toMatch(/^[\w-]{22}$/);
  });

  test("is there by each of two secrets, so that nodes with one of them find the session, in either order", () => {
    const both = new Sealer([NEW, OLD]).names(CODE);
    expect(both).toEqual([...new Sealer([NEW]).names(CODE), ...sealer.names(CODE)]);
    expect(new Sealer([OLD, NEW]).linkKeys(0, CODE, "link").up).toEqual(up);
  });
});

describe("a packet", () => {
  test("is opened by its key, and says nothing without", () => {
    const sealed = sealPacket(up, packet);
    expect(openPacket(up, "link", 7, sealed)).toEqual(packet);
    expect(Buffer.from(sealed, "base64").toString("latin1")).not.toContain("offer");
  });

  test.each([0, -1, 1.5, 2 ** 48, 1e300, NaN, Infinity])("with the number %d is nothing, and no error", (seq) => {
    expect(openPacket(up, "link", seq, sealPacket(up, packet))).toBeNull();
  });

  test("that is sent again is the same to the bit", () => {
    expect(sealPacket(up, packet)).toBe(sealPacket(up, packet));
  });

  test("is nothing under another number, link, direction, session or secret, or with a bit changed", () => {
    const sealed = sealPacket(up, packet);
    expect(openPacket(up, "link", 8, sealed)).toBeNull();
    expect(openPacket(up, "other", 7, sealed)).toBeNull();
    expect(openPacket(down, "link", 7, sealed)).toBeNull();
    expect(openPacket(sealer.linkKeys(0, CODE, "other").up, "link", 7, sealed)).toBeNull();
    expect(openPacket(sealer.linkKeys(0, "A3F7B9E2C1D5", "link").up, "link", 7, sealed)).toBeNull();
    expect(openPacket(new Sealer([NEW]).linkKeys(0, CODE, "link").up, "link", 7, sealed)).toBeNull();
    const bytes = Buffer.from(sealed, "base64");
    for (let at = 0; at < bytes.length; at++) {
      const forged = Buffer.from(bytes);
      forged[at] = (forged[at] ?? 0) ^ 1;
      expect(openPacket(up, "link", 7, forged.toString("base64"))).toBeNull();
    }
    for (const text of ["", "AAAA", "%"]) expect(openPacket(up, "link", 7, text)).toBeNull();
  });
});

test("a roll is opened by the two nodes that it is between, also while they have one of two secrets in common", () => {
  const roll = { atMs: 5, links: [["link", 3]] } as const;
  const sealed = new Sealer([NEW, OLD]).sealRoll("one", "two", roll);
  expect(new Sealer([OLD, NEW]).openRoll("one", "two", sealed)).toEqual({ atMs: 5, links: [["link", 3]] });
  expect(new Sealer([OLD, NEW]).openRoll("two", "one", sealed)).toBeNull();
  expect(new Sealer([OLD]).openRoll("one", "two", sealed)).toBeNull();
  expect(sealer.openRoll("one", "two", "")).toBeNull();
});
