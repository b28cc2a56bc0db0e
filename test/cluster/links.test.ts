/** One direction of a link, and what may have to be sent again. */
import { expect, test } from "bun:test";
import { step } from "../../src/cluster/directory.ts";
import { Link } from "../../src/cluster/links.ts";
import { Node } from "../../src/cluster/node.ts";
import { DEAD_MS, FRESH_MS } from "../../src/cluster/times.ts";

const newLink = () => new Link("link", "AAAAAAAA", "node", false, 0);

test("packets are numbered from 1, and are delivered once and in order", () => {
  const [here, there] = [newLink(), newLink()];
  const [first, second, third] = ["one", "two", "three"].map((text) => here.send("text", text, 0, 0).packet);
  if (!first || !second || !third) throw expect.unreachable();
  expect([first.seq, second.seq, third.seq]).toEqual([1, 2, 3]);
  const received = [first, first, third, second, third].map((packet) => there.receive(packet, 1, 1));
  expect(received).toEqual(["deliver", "drop", "ask", "deliver", "deliver"]);
  expect(there.got).toBe(3);
});

test("what is missing is sent again for as long as it is fresh, and not to be had after that", () => {
  const link = newLink();
  const sent = [link.send("text", "one", 0, 0), link.send("text", "two", 10, 10)];
  for (const one of sent) one.isTaken = true;
  expect(link.missing(0, FRESH_MS)?.map(({ packet }) => packet.text)).toEqual(["one", "two"]);
  expect(link.missing(1, FRESH_MS)?.map(({ packet }) => packet.text)).toEqual(["two"]);
  expect(link.missing(2, FRESH_MS)).toEqual([]);
  expect(link.missing(0, FRESH_MS + 5)).toBeNull();
  expect(link.missing(1, FRESH_MS + 5)?.length).toBe(1);
});

test("what is older than it may be is not delivered, whatever came before", () => {
  const packet = newLink().send("text", "late", 0, 1_000).packet;
  expect(newLink().receive(packet, 0, 1_000 + FRESH_MS)).toBe("deliver");
  expect(newLink().receive(packet, 0, 1_001 + FRESH_MS)).toBe("cut");
  expect(newLink().receive(packet, 0, 1_000 - FRESH_MS)).toBe("deliver");
  expect(newLink().receive(packet, 0, 999 - FRESH_MS)).toBe("cut"); // the engine's clock was set back meanwhile
});

test("a hole that stays, a packet that nobody takes, and a node that says nothing each break it", () => {
  const hole = newLink();
  const far = newLink();
  far.send("text", "one", 0, 0);
  hole.receive(far.send("text", "two", 0, 0).packet, 0, 0);
  expect([hole.isBroken(FRESH_MS, FRESH_MS), hole.isBroken(FRESH_MS + 1, FRESH_MS)]).toEqual([false, true]);
  expect([far.isBroken(FRESH_MS, FRESH_MS), far.isBroken(FRESH_MS + 1, FRESH_MS)]).toEqual([false, true]);
  expect([newLink().isBroken(DEAD_MS, 0), newLink().isBroken(DEAD_MS + 1, 0)]).toEqual([false, true]);
});

test("its last packet ends it", () => {
  const link = newLink();
  link.send("text", "", 5, 5);
  expect(link.endedAt).toBeNull();
  link.send("left", "", 6, 6);
  expect(link.endedAt).toBe(6);
});

test("a link that the other end doesn't know is given up, though the engine's clock was set back since it began", () => {
  const node = new Node("one", () => "link", 0);
  Object.assign(node, { phase: "ok", isUp: true, provenAt: 0, lastHelloAt: 0, offsetMs: 3_600_000 });
  const [asked] = step(node, { type: "ask", ask: { code: "AAAAAAAA", join: "{}" } }, 0);
  if (asked?.do !== "call") throw expect.unreachable();
  step(node, { type: "reply", id: asked.id, reply: ["owner", "other", "1", 0] }, 0);
  const taken = { link: "link", seq: 1, atMs: 3_600_000, kind: "taken", text: "" } as const;
  step(node, { type: "packet", from: "other", packet: taken, code: null }, 0);
  const link = node.links.get("link");
  const now = 2 * FRESH_MS + 1;
  Object.assign(node, { provenAt: now, lastHelloAt: now, offsetMs: 0 });
  const effects = step(node, { type: "roll", from: "other", roll: { atMs: now, links: [] } }, now);
  expect(effects).toEqual([{ do: "broken", link }] as never);
});
