/** Framing: what is sent is legal, and what comes in is read whole however it is cut. */
import { expect, test } from "bun:test";
import { FrameReader, type FrameSink, frame, OP, Template } from "../../src/load/frames.ts";
import { UPGRADE } from "../support/peers/raw.ts";

/** Everything that a reader gave, as text. */
class Heard implements FrameSink {
  readonly all: string[] = [];
  #left: number;

  /** @param most after so many it wants no more */
  constructor(most = Number.POSITIVE_INFINITY) {
    this.#left = most;
  }

  frame(opcode: number, bytes: Uint8Array, start: number, end: number): boolean {
    this.all.push(`${opcode} ${Buffer.from(bytes.subarray(start, end))}`);
    return --this.#left > 0;
  }

  broken(why: string): void {
    this.all.push(`broken: ${why}`);
  }
}

/** A frame as a relay sends it: not masked. */
function fromRelay(first: number, text: string): Buffer {
  const payload = Buffer.from(text);
  const head = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Uint8Array.of(first, ...head), payload]);
}

const LONG = "x".repeat(300);
const STREAM = Buffer.concat([
  fromRelay(0x81, "alice"),
  fromRelay(0x89, ""),
  fromRelay(0x81, LONG),
  fromRelay(0x88, "b"),
]);
const MEANING = ["1 alice", "9 ", `1 ${LONG}`, "8 b"];

test("frames are read the same wherever the stream is cut", () => {
  for (let cut = 0; cut <= STREAM.length; cut++) {
    const [reader, heard] = [new FrameReader(), new Heard()];
    reader.read(STREAM.subarray(0, cut), 0, heard);
    reader.read(STREAM.subarray(cut), 0, heard);
    expect(heard.all).toEqual(MEANING);
  }
});

test("frames are read byte by byte, and from the middle of what came", () => {
  const [reader, heard] = [new FrameReader(), new Heard()];
  for (const byte of STREAM) reader.read(Buffer.of(0, byte), 1, heard);
  expect(heard.all).toEqual(MEANING);
});

test("what is held back does not change with the buffer that it came in", () => {
  const [reader, heard] = [new FrameReader(), new Heard()];
  const shared = Buffer.from(fromRelay(0x81, "alice").subarray(0, 4));
  reader.read(shared, 0, heard);
  shared.fill(0);
  reader.read(Buffer.from("ice"), 0, heard);
  expect(heard.all).toEqual(["1 alice"]);
});

test("a message in several frames is put together, around a ping between them", () => {
  const [reader, heard] = [new FrameReader(), new Heard()];
  const parts = [fromRelay(0x01, "al"), fromRelay(0x00, "i"), fromRelay(0x89, "?"), fromRelay(0x80, "ce")];
  reader.read(Buffer.concat([...parts, fromRelay(0x81, "bob")]), 0, heard);
  expect(heard.all).toEqual(["9 ?", "1 alice", "1 bob"]);
});

test("nothing is read after its sink wants no more", () => {
  const [reader, heard] = [new FrameReader(), new Heard(1)];
  reader.read(STREAM, 0, heard);
  expect(heard.all).toEqual(MEANING.slice(0, 1));
});

test.each([
  ["masked", [0x81, 0x85, 0, 0, 0, 0, 1, 1, 1, 1, 1]],
  ["far too long", [0x81, 127, 0, 0, 0, 0, 0, 0x20, 0, 1]],
  ["of no known kind", [0x83, 1, 65]],
  ["of no known kind of control", [0x8b, 0]],
  ["with a reserved bit", [0xc1, 1, 65]],
  ["a long ping", [0x89, 126, 0, 126]],
  ["a ping in pieces", [0x09, 0]],
  ["a continuation of nothing", [0x80, 1, 65]],
  ["a message within another one", [0x01, 1, 65, 0x81, 1, 65]],
])("a frame that is %s breaks the stream", (_, bytes) => {
  const heard = new Heard();
  new FrameReader().read(Buffer.from(bytes), 0, heard);
  expect(heard.all).toEqual([expect.stringContaining("broken: ")]);
});

test("a message whose pieces never end is not kept without end", () => {
  const pieces = (first: number, text: string, count: number) => {
    const heard = new Heard();
    const rest = Array.from({ length: count }, () => fromRelay(0x00, text));
    new FrameReader().read(Buffer.concat([fromRelay(first, text), ...rest]), 0, heard);
    return heard.all;
  };
  expect(pieces(0x01, "", 999)).toEqual([]);
  expect(pieces(0x01, "", 1_000)).toEqual([expect.stringContaining("broken: ")]);
  expect(pieces(0x02, "x".repeat(65_535), 31)).toEqual([]);
  expect(pieces(0x02, "x".repeat(65_535), 33)).toEqual([expect.stringContaining("broken: ")]);
});

test.each([0, 1, 125, 126, 65_535, 65_536, 200_000])(
  "a frame of %d bytes is understood by Bun's own server",
  async (length) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    using server = Bun.serve({
      port: 0,
      fetch: (request, server) => (server.upgrade(request) ? undefined : new Response(null, { status: 400 })),
      websocket: { message: (_, text) => resolve(String(text)) },
    });
    const text = "x".repeat(length);
    let rest = Buffer.concat([Buffer.from(UPGRADE), frame(OP.text, Buffer.from(text))]);
    const push = (socket: Bun.Socket) => {
      rest = rest.subarray(socket.write(rest));
    };
    const { hostname = "", port = 0 } = server;
    using _socket = await Bun.connect({ hostname, port, socket: { open: push, drain: push, data() {} } });
    expect(await promise).toBe(text);
  },
);

test("a template is filled in everywhere, each time anew", () => {
  const template = new Template(Buffer.from("CODE and code CODE"), "CODE");
  expect(template.with(Buffer.from("abcd")).toString()).toBe("abcd and code abcd");
  expect(template.with(Buffer.from("efgh")).toString()).toBe("efgh and code efgh");
  expect(template.length).toBe(18);
});
