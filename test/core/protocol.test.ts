import { describe, expect, test } from "bun:test";
import { ERRORS, type ErrorName, error, type Field, joined, parse } from "../../src/core/protocol.ts";
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
