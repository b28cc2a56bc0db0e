/** RESP3, in whatever pieces it comes. */
import { describe, expect, test } from "bun:test";
import { Decoder, EngineError, encode, Push, type Value } from "../../src/cluster/resp.ts";

function decoded(...pieces: string[]): Value[] {
  const decoder = new Decoder();
  return pieces.flatMap((piece) => [...decoder.take(Buffer.from(piece))]);
}

const ALL =
  "+OK\r\n:-7\r\n$5\r\nh\u00e9llo".replace("$5", "$6") +
  "\r\n$-1\r\n_\r\n#t\r\n*2\r\n:1\r\n*1\r\n+a\r\n%1\r\n+key\r\n+value\r\n=7\r\ntxt:abc\r\n,1.5\r\n" +
  "-ERR no\r\n!5\r\nOOM a\r\n>3\r\n+message\r\n+channel\r\n$0\r\n\r\n*0\r\n";
const VALUES: Value[] = [
  ...["OK", -7, "h\u00e9llo", null, null, true, [1, ["a"]], ["key", "value"], "txt:abc", "1.5"],
  ...[new EngineError("ERR no"), new EngineError("OOM a"), new Push(["message", "channel", ""]), []],
];

describe("what the engine says", () => {
  test("is read whole", () => {
    expect(decoded(ALL)).toEqual(VALUES);
  });

  test("is the same in pieces of any size", () => {
    const bytes = Buffer.from(ALL);
    for (let size = 1; size < 40; size++) {
      const decoder = new Decoder();
      const values: Value[] = [];
      for (let at = 0; at < bytes.length; at += size) values.push(...decoder.take(bytes.subarray(at, at + size)));
      expect(values).toEqual(VALUES);
    }
  });

  test("that is no RESP, or without end, is an error", () => {
    expect(() => decoded("HTTP/1.1 400 Bad Request\r\n\r\n")).toThrow("no RESP");
    const decoder = new Decoder();
    const megabyte = Buffer.alloc(1_048_576, "a");
    expect(() => {
      for (let n = 0; n < 100; n++) [...decoder.take(n === 0 ? Buffer.from("$1000000000\r\n") : megabyte)];
    }).toThrow("too much");
  });
});

test("a command counts bytes, not characters", () => {
  expect(encode(["SET", "\u00e9", ""])).toBe("*3\r\n$3\r\nSET\r\n$2\r\n\u00e9\r\n$0\r\n\r\n");
});

test("an error has its first word", () => {
  expect(new EngineError("OOM command not allowed").word).toBe("OOM");
  expect(new EngineError("something else").word).toBe("ERR");
});
