/** The load tester's words: what it says is the protocol, in the size that was asked for, and it knows what it hears. */
import { expect, test } from "bun:test";
import { error, joined, PEER_LEFT, PONG, parse, ready } from "../../src/core/protocol.ts";
import { OPTIONS, readAsked } from "../../src/load/config.ts";
import { Recorder } from "../../src/load/recorder.ts";
import { Stage } from "../../src/load/stage.ts";
import { CODE, whisper } from "../../src/load/wire.ts";
import handshake from "../fixtures/handshake.json" with { type: "json" };

const READY = ready(null, null);

/** What the load tester takes a text for, when it lies somewhere in the bytes that came. */
function kindOf(text: string) {
  const bytes = Buffer.from(`..${text}..`);
  return whisper.kindOf(bytes, 2, bytes.length - 2);
}

test("what it says is taken by the relay", () => {
  const sessionCode = CODE;
  expect(parse(whisper.join("initiator") ?? "")).toMatchObject({ type: "join", sessionCode, isInitiator: true });
  expect(parse(whisper.join("joiner") ?? "")).toMatchObject({ type: "join", sessionCode, isInitiator: false });
  expect(parse(whisper.message("offer", "initiator", 600))).toMatchObject({ type: "offer", sessionCode });
  expect(parse(whisper.message("answer", "joiner", 600))).toMatchObject({ type: "answer", sessionCode });
  expect(parse(whisper.message("candidate", "joiner", 200))).toMatchObject({ type: "ice-candidate", sessionCode });
});

test("the smallest message that can be asked for has room for its seal, in every wire", () => {
  const { min } = OPTIONS.sizeBytes;
  expect(whisper.message("candidate", "joiner", Number.parseInt(min, 10)).length).toBe(Number.parseInt(min, 10));
});

test.each(["offer", "answer", "candidate"] as const)("an %s has the size that was asked for", (kind) => {
  for (const size of [150, 151, 572, 3_072, 65_536]) expect(whisper.message(kind, "initiator", size).length).toBe(size);
});

test("the code has the length of the codes that clients make", () => {
  expect(CODE.length).toBe("A3F7B9E2C1D4".length);
});

test("it knows what the relay says", () => {
  expect(kindOf(READY)).toBe("ready");
  expect(kindOf(error("replaced"))).toBe("error");
  for (const text of [joined("0".repeat(32), 600_000, false), PEER_LEFT, PONG]) expect(kindOf(text)).toBe("own");
  expect(kindOf(whisper.message("candidate", "joiner", 200))).toBe("candidate");
});

test("it takes no other text for what the relay says, though the same letters stand in it", () => {
  for (const text of ["hello there", READY.replace("t", "T"), `[${READY}]`, ""]) expect(kindOf(text)).toBe("other");
});

test("it knows what the web client sends", () => {
  const kinds = handshake.frames.flatMap(({ from, payload }) => (from && payload ? [kindOf(payload)] : []));
  expect(kinds).toEqual(["own", "own", "offer", "candidate", "candidate", "answer", "candidate", "candidate"]);
});

test("with --shard both peers of a session name its shard, sessions are spread, and a URL keeps its own path and query", () => {
  const firstLines = (...args: string[]) => {
    const { plan } = readAsked(["handshake", ...args]);
    const stage = new Stage(plan, whisper, new Recorder(), 10);
    const line = (request: Buffer) => request.toString().slice(0, request.indexOf("\r"));
    return Array.from({ length: 4_096 }, () => {
      const [code, { request }] = [stage.newCode(), stage.nextRoute()];
      return [line(request.initiator.with(code)), line(request.joiner.with(code))] as const;
    });
  };
  const lines = firstLines("ws://127.0.0.1:8000", "--shard");
  for (const [initiator, joiner] of lines) {
    expect(initiator).toMatch(/^GET \/\?s=[0-9a-f]{3} HTTP\/1\.1$/);
    expect(joiner).toBe(initiator);
  }
  expect(new Set(lines.map(([line]) => line)).size).toBe(4_096);
  expect(firstLines("ws://127.0.0.1:8000/a?b=c", "--shard")[0]?.[0]).toMatch(/^GET \/a\?b=c&s=[0-9a-f]{3} HTTP/);
  expect(firstLines("ws://127.0.0.1:8000/a?b=c")[0]?.[0]).toBe("GET /a?b=c HTTP/1.1");
});

test("an error is counted by its name", () => {
  expect(whisper.errorIn(error("session-full"))).toBe("session-full");
  expect(whisper.errorIn(error("at-capacity", 2_000))).toBe("at-capacity");
  expect(whisper.errorIn('{"type":"error","message":"no"}')).toBe("error");
});
