/** How a message is told from all others, and what becomes of each: by its seal, and from sending to arrival. */
import { describe, expect, test } from "bun:test";
import { peerjs } from "../../bench/peerjs-wire.ts";
import { Agenda } from "../../src/load/agenda.ts";
import { Flow } from "../../src/load/flow.ts";
import { Recorder } from "../../src/load/recorder.ts";
import { CORRUPTED, corrupted, Message, MISDELIVERED, numberOfCorrupted, Train } from "../../src/load/seal.ts";
import { SEAL_MARK, whisper } from "../../src/load/wire.ts";

const CODE = Buffer.from("A3F7B9E2C1D4");
const OTHER_CODE = Buffer.from("A3F7B9E2C1D5");
const TIMEOUT_MS = 1_000;

/** The text of a frame that alice made, as bob gets it. */
function textOf(frame: Uint8Array, length: number): Buffer {
  return Buffer.from(frame.subarray(frame.length - length));
}

describe("a message", () => {
  const alices = new Message(whisper, "candidate", "initiator", 256);
  const bobs = new Message(whisper, "candidate", "joiner", 256);
  const sent = textOf(alices.with(CODE, 4_711), alices.sizeBytes);

  test("is read as what was sent", () => {
    expect(alices.read(sent, 0, sent.length, CODE)).toBe(4_711);
    const amid = Buffer.concat([Buffer.from("xx"), sent, Buffer.from("yy")]);
    expect(alices.read(amid, 2, 2 + sent.length, CODE)).toBe(4_711);
  });

  test("in which any byte is another one, or is missing, is corrupted; where its seal is whole, it is told which one", () => {
    const from = sent.indexOf(SEAL_MARK);
    const end = sent.indexOf(CODE, from) + CODE.length;
    for (let at = 0; at < sent.length; at++) {
      const expected = at >= from && at < end ? CORRUPTED : corrupted(4_711);
      const damaged = Buffer.from(sent);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      expect([at, alices.read(damaged, 0, damaged.length, CODE)]).toEqual([at, expected]);
      const shorter = Buffer.concat([sent.subarray(0, at), sent.subarray(at + 1)]);
      expect([at, alices.read(shorter, 0, shorter.length, CODE)]).toEqual([at, expected]);
    }
    for (let end = 0; end < sent.length; end++) expect(alices.read(sent, 0, end, CODE)).not.toBe(4_711);
    expect([4_711, 0, CORRUPTED, MISDELIVERED, corrupted(0)].map(numberOfCorrupted)).toEqual([
      null,
      null,
      null,
      null,
      0,
    ]);
  });

  test("of another session, or of oneself, is misdelivered", () => {
    expect(alices.read(sent, 0, sent.length, OTHER_CODE)).toBe(MISDELIVERED);
    expect(bobs.read(sent, 0, sent.length, CODE)).toBe(MISDELIVERED);
  });

  test("of a train has its own number", () => {
    const train = Buffer.from(new Train([alices, alices, alices]).with(CODE));
    const step = train.length / 3;
    const numbers = [1, 2, 3].map((end) => alices.read(train, end * step - alices.sizeBytes, end * step, CODE));
    expect(numbers).toEqual([0, 1, 2]);
  });

  test("is read where a relay writes its text anew, and its payload is as it was", () => {
    const message = new Message(peerjs, "offer", "initiator", 300);
    const text = textOf(message.with(CODE, 7), message.sizeBytes).toString();
    const anew = Buffer.from(JSON.stringify({ src: "somebody", ...JSON.parse(text) }));
    expect(message.read(anew, 0, anew.length, CODE)).toBe(7);
    anew[anew.indexOf("udp")] = 65;
    expect(message.read(anew, 0, anew.length, CODE)).toBe(corrupted(7));
  });
});

describe("a flow", () => {
  function flowOf(sent: number) {
    const recorder = new Recorder();
    const flow = new Flow(recorder, TIMEOUT_MS);
    for (let number = 0; number < sent; number++) expect(flow.send(number)).toBe(number);
    return { flow, counts: recorder.counts };
  }

  test("counts what comes twice, in another order or of nobody for what it is, and takes nothing for anything else", () => {
    const { flow, counts } = flowOf(5);
    for (const number of [0, 2, 1, 2, 99, MISDELIVERED]) flow.arrive(number, 10, 100);
    expect(counts).toMatchObject({ sent: 5, received: 3, reordered: 1, duplicated: 1, misdelivered: 2, bytes: 300 });
    expect(flow.underway).toBe(2);
  });

  test("loses what does not come in time, and knows it when it comes after all", () => {
    const { flow, counts } = flowOf(4);
    flow.arrive(1, 5, 100);
    flow.expire(TIMEOUT_MS + 2); // 0 and 2 are due by then, 3 is not
    expect(counts).toMatchObject({ lost: 2, received: 1 });
    for (const number of [2, 2]) flow.arrive(number, TIMEOUT_MS + 5, 100);
    expect(counts).toMatchObject({ lost: 2, late: 1, duplicated: 1, received: 1 });
    expect(flow.underway).toBe(1);
  });

  test("a corrupted one is not lost too", () => {
    const { flow, counts } = flowOf(3);
    flow.arrive(CORRUPTED, 5, 100);
    flow.loseAll();
    expect(counts).toMatchObject({ sent: 3, corrupted: 1, lost: 2 });
  });

  test("a corrupted copy hides no loss of another one, whether it comes before or after what it is of", () => {
    const { flow, counts } = flowOf(5);
    for (const number of [corrupted(0), 0, 1, corrupted(1), corrupted(2), corrupted(2)]) flow.arrive(number, 5, 100);
    flow.loseAll();
    expect(counts).toMatchObject({ sent: 5, received: 2, corrupted: 4, lost: 2, duplicated: 0 });
  });

  test("what comes while nothing is on its way stands for nothing that is lost later", () => {
    const { flow, counts } = flowOf(0);
    flow.arrive(CORRUPTED, 5, 100);
    flow.send(0);
    flow.loseAll();
    expect(counts).toMatchObject({ sent: 1, corrupted: 1, lost: 1 });
  });

  test("a corrupted one is not unfinished too", () => {
    const { flow, counts } = flowOf(3);
    flow.arrive(CORRUPTED, 5, 100);
    flow.abandon(false);
    expect(counts).toMatchObject({ sent: 3, corrupted: 1, unfinished: 2 });
  });

  test("what was on its way at the end is unfinished, and what comes then is no duplicate", () => {
    const { flow, counts } = flowOf(3);
    flow.arrive(0, 5, 100);
    flow.abandon(true);
    for (const number of [1, 0]) flow.arrive(number, 6, 100);
    expect(counts).toMatchObject({ received: 1, unfinished: 2, duplicated: 1, lost: 0 });
  });

  test("remembers numbers however many have come", () => {
    const { flow, counts } = flowOf(10_000);
    for (let number = 0; number < 10_000; number++) flow.arrive(number, 10_000, 1);
    flow.arrive(17, 10_000, 1);
    expect(counts).toMatchObject({ received: 10_000, duplicated: 1, reordered: 0 });
  });
});

test("an agenda gives each thing once, when it is due, and with the time for which it was meant", () => {
  const agenda = new Agenda<string>(0);
  agenda.add(5.5, "candidate");
  agenda.add(2, "offer");
  const given: [string, number][] = [];
  for (const nowMs of [1, 2, 3, 4, 5, 9, 10]) agenda.tick(nowMs, (item, intendedMs) => given.push([item, intendedMs]));
  expect(given).toEqual([
    ["offer", 2],
    ["candidate", 6.5],
  ]);
});
