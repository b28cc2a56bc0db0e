/** Which JSON is let through. */
import { describe, expect, test } from "bun:test";
import { readStrict } from "../../src/core/json.ts";
import { BAD_MESSAGES } from "../support/peers/bad.ts";

const CODE = "A3F7B9E2C1D4";

test.each([
  ["{}", {}],
  [' {"a" : [1, -2.5e3, true, null, "\\ud83d\\udd11", {}]} ', { a: [1, -2500, true, null, "🔑", {}] }],
  ['{"a":{"a":{"a":"a:\\"a\\":"}}}', { a: { a: { a: 'a:"a":' } } }],
])("%s is taken as it is", (text, value) => {
  expect(readStrict(text)).toEqual(value);
});

test.each([
  ["no object", "[]"],
  ["no object either", "null"],
  ["a string", '"{}"'],
  ["half an object", '{"a":'],
  ["half a string", '{"a":"'],
  ["a name twice", '{"a":1,"a":1}'],
  ["a name twice, once written with an escape", '{"a":1,"\\u0061":2}'],
  ["a name twice, deep down", '{"b":[{"a":1,"b":{},"a":1}]}'],
  ["a lone surrogate", '{"a":"\\ud800"}'],
  ["a lone surrogate as a name", '{"\\udc00":1}'],
  ["__proto__", '{"a":{"__proto__":1}}'],
  ["a trailing comma", '{"a":1,}'],
  ["a byte order mark", "\ufeff{}"],
])("%s is not", (_what, text) => {
  expect(readStrict(text)).toBeNull();
});

test("a text nests eight deep and no deeper", () => {
  const nested = (depth: number) => `{"type":"ping","x":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
  expect(readStrict(nested(8))).not.toBeNull();
  expect(readStrict(nested(9))).toBeNull();
});

describe("a text has at most 2,048 pieces: characters outside of strings, strings, and quotes in them", () => {
  const HEAD = '{"type":"ping","x":'; // 4 strings and 5 other characters, with the brace at the end
  const left = 2_048 - HEAD.replaceAll(/"\w+"/g, "s").length - 1;
  test.each([
    ["characters outside of strings", (pieces: number) => `${" ".repeat(pieces - 1)}0`],
    [
      "strings",
      (pieces: number) => `${" ".repeat((pieces - 3) % 2)}[""${',"a{[\\\\"'.repeat(Math.floor((pieces - 3) / 2))}]`,
    ],
    ["quotes in a string", (pieces: number) => `"${'\\"'.repeat(pieces - 1)}"`],
  ])("%s", (_what, fill) => {
    expect(readStrict(`${HEAD}${fill(left)}}`)).not.toBeNull();
    expect(readStrict(`${HEAD}${fill(left)} }`)).toBeNull();
  });

  test("which is room for a hundred candidates in one message", () => {
    const candidate = { candidate: "candidate:1 1 udp …", sdpMid: "0", sdpMLineIndex: 0, usernameFragment: "x" };
    const text = JSON.stringify({ type: "offer", sessionCode: CODE, offer: Array(100).fill(candidate) });
    expect(readStrict(text.replace('"offer":[', '"offer":{"all":[').replace(/]}$/, "]}}"))).not.toBeNull();
  });
});

/** The parser alone takes 12 ms for 64 KiB of small objects, and 0.1 for a string. */
const MOST_MS = 2;

test("64 KiB of anything are judged in a fraction of what 64 KiB of small objects would cost the parser", () => {
  const cost = (text: string) => {
    const times = Array.from({ length: 20 }, () => {
      const fresh = Buffer.from(text).toString();
      const since = performance.now();
      readStrict(fresh);
      return performance.now() - since;
    });
    return Math.min(...times);
  };
  const string = (filler: string) => `{"type":"ping","x":"${filler.repeat(65_000 / filler.length)}"}`;
  const texts = [
    ...["a", "\\u0000", "\\ud83d\\udd11", "\\n", "\\\\", "é", "🔑"].map(string),
    `{"type":"ping","x":{"${"\\u0061".repeat(10_000)}":0}}`,
    ...BAD_MESSAGES.map(([, text]) => text),
  ];
  const dear = texts.filter((text) => cost(text) > MOST_MS);
  expect(dear.map((text) => text.slice(0, 60))).toEqual([]);
});
