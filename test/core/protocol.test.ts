import { describe, expect, test } from "bun:test";
import { ERRORS, type ErrorName, error, type Field, joined, parse, readPlain } from "../../src/core/protocol.ts";
import { BAD_MESSAGES } from "../support/peers/bad.ts";

const CODE = "A3F7B9E2C1D4";

describe("a well-formed message is taken", () => {
  test.each([
    [`{"type":"join","sessionCode":"${CODE}","isInitiator":true}`, { isInitiator: true }],
    [`{"type":"join","sessionCode":"${CODE}","isInitiator":false}`, { isInitiator: false }],
    [`{"type":"join","sessionCode":"${CODE}"}`, { isInitiator: false }],
    [` { "sessionCode" : "${CODE}" , "type" : "join" } `, { isInitiator: false }],
    [`{"type":"join","sessionCode":"${CODE}","token":"5f0c"}`, { token: "5f0c" }],
    [`{"type":"join","sessionCode":"${CODE}","token":null}`, { token: null }],
    [`{"type":"join","sessionCode":"Az09_-Az"}`, { sessionCode: "Az09_-Az" }],
    [`{"type":"offer","sessionCode":"${CODE}","offer":{"type":"offer","sdp":"v=0\\r\\n"}}`, { type: "offer" }],
    [`{"type":"answer","sessionCode":"${CODE}","answer":{}}`, { type: "answer" }],
    [`{"type":"ice-candidate","sessionCode":"${CODE}","candidate":{"candidate":""}}`, { type: "ice-candidate" }],
    [
      `{"type":"offer","sessionCode":"${CODE}","offer":{"sdp":"\\"type\\": \\\\"},"later":[1,{"type":2}]}`,
      { type: "offer" },
    ],
    [`{"type":"offer","sessionCode":"${CODE}","offer":{"sdp":"\\ud83d\\udd11 🔑"}}`, { type: "offer" }],
    [`{"type":"ice-candidate","sessionCode":"${CODE}","candidate":null}`, { type: "ice-candidate" }],
    [`{"type":"offer","sessionCode":"${CODE}","offer":{},"pairing":3}`, { pairing: 3 }],
    [`{"type":"offer","sessionCode":"${CODE}","offer":{},"pairing":null}`, { pairing: null }],
    [`{"type":"signal","sessionCode":"${CODE}","data":null}`, { type: "signal" }],
    [`{"type":"signal","sessionCode":"${CODE}","data":[1,"x"]}`, { type: "signal" }],
    [
      `{"type":"join","sessionCode":"${CODE}","instance":"Az09_-Az","answers":true}`,
      { instance: "Az09_-Az", answers: true },
    ],
    [`{"type":"join","sessionCode":"${CODE}","instance":null}`, { instance: null, answers: false }],
    ['{"type":"pong"}', { type: "pong" }],
    ['{"type":"leave"}', { type: "leave" }],
    ['{"type":"ping","unknown":null}', { type: "ping" }],
  ])("%s", (text, expected) => {
    expect(parse(text)).toMatchObject(expected);
  });
});

test.each<[Field, string]>([
  ["json", "rubbish"],
  ["json", "[]"],
  ["type", '{"type":"constructor"}'],
  ["type", `{"sessionCode":"${CODE}"}`],
  ["sessionCode", '{"type":"join"}'],
  ["sessionCode", '{"type":"offer","sessionCode":7,"offer":{}}'],
  ["isInitiator", `{"type":"join","sessionCode":"${CODE}","isInitiator":1}`],
  ["token", `{"type":"join","sessionCode":"${CODE}","token":1}`],
  ["instance", `{"type":"join","sessionCode":"${CODE}","instance":"short"}`],
  ["answers", `{"type":"join","sessionCode":"${CODE}","answers":"yes"}`],
  ["offer", `{"type":"offer","sessionCode":"${CODE}","offer":null}`],
  ["answer", `{"type":"answer","sessionCode":"${CODE}"}`],
  ["candidate", `{"type":"ice-candidate","sessionCode":"${CODE}"}`],
  ["data", `{"type":"signal","sessionCode":"${CODE}"}`],
  ["pairing", `{"type":"signal","sessionCode":"${CODE}","data":1,"pairing":1.5}`],
])("a fault in %s is named, and what was there is not", (field, text) => {
  expect(parse(text)).toBe(field);
});

describe("what is no message is the name of a field, and nothing is thrown", () => {
  test.each(BAD_MESSAGES)("%s", (_what, text) => {
    expect(parse(text)).toBeString();
  });
});

describe("what needs no parser", () => {
  const relayed = (type: string, payload: string, rest = "") =>
    `{"type":"${type}","sessionCode":"${CODE}",${payload}${rest}}`;
  const CANDIDATE = '"candidate":"candidate:26 1 udp 211 192.0.2.2 59 typ host ufrag hs8r","sdpMid":"0"';
  const PLAIN = [
    relayed("ice-candidate", `"candidate":{${CANDIDATE},"sdpMLineIndex":0,"usernameFragment":"hs8r"}`),
    relayed("ice-candidate", `"candidate":{${CANDIDATE},"sdpMLineIndex":0,"usernameFragment":"h/+r"}`, ',"pairing":12'),
    relayed("ice-candidate", `"candidate":{${CANDIDATE},"sdpMLineIndex":0}`),
    relayed("ice-candidate", '"candidate":{"candidate":""}', ',"pairing":999999999'),
    relayed("ice-candidate", '"candidate":{"iv":"1000000000000001","sealed":"aGk="}'),
    relayed("offer", '"offer":{"type":"offer","sdp":"v=0 "}', ',"pairing":1'),
    relayed("answer", '"answer":{"type":"answer","sdp":""}'),
    relayed("signal", '"data":{"iv":"","sealed":"["}', ',"pairing":7'),
  ];

  test.each(PLAIN)("%s is read as the parser reads it", (text) => {
    expect(readPlain(text, CODE)).not.toBeNull();
    expect<unknown>(readPlain(text, CODE)).toEqual(parse(text));
  });

  test("none of them is of another session, or of one whose code begins alike", () => {
    for (const text of PLAIN)
      for (const other of [CODE.slice(0, -1), `${CODE}A`, CODE.toLowerCase(), ""])
        expect(readPlain(text, other)).toBeNull();
  });

  test("with any one character changed, left out or put in, or with the end of another, it is read alike or left to the parser", () => {
    const characters = [
      '"',
      "\\",
      "{",
      "}",
      "[",
      ":",
      ",",
      ".",
      "-",
      "+",
      " ",
      "0",
      "1",
      "a",
      "_",
      "\0",
      "\n",
      "\x7f",
      "é",
      "\u2028",
      "\ud800",
    ];
    const changed = (text: string, at: number) => [
      text.slice(0, at) + text.slice(at + 1),
      ...characters.flatMap((one) => [
        text.slice(0, at) + one + text.slice(at),
        text.slice(0, at) + one + text.slice(at + 1),
      ]),
      ...PLAIN.map((other) => text.slice(0, at) + other.slice(at)),
    ];
    const texts = PLAIN.flatMap((text) => Array.from(text, (_, at) => changed(text, at)).flat());
    const isPlain = (text: string) => readPlain(text, CODE) !== null;
    for (const text of texts.filter(isPlain))
      expect<unknown>([text, readPlain(text, CODE)]).toEqual([text, parse(text)]);
    expect(texts.filter(isPlain).length).toBeWithin(texts.length / 10, texts.length / 2);
  });

  test("of more than 1,000 characters nothing is", () => {
    const sealed = (more: string) => relayed("signal", `"data":{"iv":"1","sealed":"${more}"}`);
    const longest = "a".repeat(1_000 - sealed("").length);
    expect([sealed(longest), sealed(`${longest}a`)].map((text) => readPlain(text, CODE) !== null)).toEqual([
      true,
      false,
    ]);
  });
});

test("a session code has 8 to 64 characters", () => {
  const taken = (length: number) => parse(`{"type":"join","sessionCode":"${"x".repeat(length)}"}`) !== "sessionCode";
  expect([7, 8, 63, 64, 65].map(taken)).toEqual([false, true, true, true, false]);
});

test("what the relay says is JSON with the names of the wire", () => {
  expect(JSON.parse(joined("ab", 600_000, true))).toEqual({
    ...{ type: "joined", token: "ab", expiresInMs: 600_000, opposite: true },
  });
  for (const name of Object.keys(ERRORS) as ErrorName[])
    expect(JSON.parse(error(name))).toEqual({
      type: "error",
      code: name,
      message: ERRORS[name].message,
      retry: ERRORS[name].retry,
    });
});

test("an error says when to try again, where that is known", () => {
  expect(JSON.parse(error("restarting", 1_234))).toMatchObject({ code: "restarting", retryAfterMs: 1_234 });
});

test("close codes keep the rule: what may be tried again is 1012, 1013 or below 4500, the rest is above", () => {
  const codes = Object.values(ERRORS).flatMap(({ close }) => (close === null ? [] : [close as number]));
  expect(codes.filter((code) => code < 4500).sort()).toEqual([1009, 1012, 1013, 4001, 4029]);
  expect(new Set(codes).size).toBe(codes.length);
});
