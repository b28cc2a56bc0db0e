/**
 * Every regular expression that a stranger's bytes can reach, with its worst inputs at the largest size that gets there.
 * One that is added without being tried here fails the first test.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { namedClient, parseAddress, UNKNOWN } from "../../src/core/addresses.ts";
import { parse, readPlain } from "../../src/core/protocol.ts";
import { readConfig } from "../../src/program/config.ts";
import { describeFailure } from "../../src/program/failure.ts";
import { answer } from "../../src/web/http.ts";
import { newScript } from "../../src/web/script.ts";
import { ROOT } from "../support/relays/relay.ts";

/** Bun refuses larger heads of requests, the relay larger messages. */
const HEAD_CHARACTERS = 16_000;
const MESSAGE_CHARACTERS = 65_000;
/** What is longer is left to the parser. */
const PLAIN_CHARACTERS = 1_000;
/** A linear look at the largest takes some 0.1 ms; one that grew with the square took 155. */
const MOST_MS = 5;

const ROOMS = ["src/core/*.ts", "src/web/*.ts", "src/program/{admin,failure,log,metrics}.ts"];

/** How a stranger's text gets to an expression, with inputs of a length that keep it busy the longest. */
interface Way {
  readonly through: (text: string) => unknown;
  readonly worst: readonly ((length: number) => string)[];
  readonly length: number;
}

const { trustProxy: trusted } = readConfig(["--trust-proxy=127.0.0.0/8"], {});
const proxy = parseAddress("127.0.0.1") ?? UNKNOWN;
const around = (first: string, filler: string, last: string) => (length: number) =>
  first + filler.repeat((length - first.length - last.length) / filler.length) + last;

const FORWARDED: Way = {
  through: (text) => namedClient(proxy, text, trusted),
  worst: [
    around("1", " ", "1"),
    around("", " ", "x"),
    around("[", "%", "]"),
    around("", "1.", ""),
    around("", "255", "."),
    around("", "]:1", "x"),
    around("::ffff:", "1", "."),
    around("", "a", "."),
    around("", "1.", ":"),
    around("", ":", ""),
    around("", "1.", "x"),
    around("", "0:", "g"),
    around("", "127.0.0.1,", "127.0.0.1"),
    around("x", ",", ""),
  ],
  length: HEAD_CHARACTERS,
};
const script = newScript("served");
const CODE = "A3F7B9E2C1D4";
const PLAIN_START = `{"type":"ice-candidate","sessionCode":"${CODE}","candidate":{`;
/** By the literal, as it stands in the source. */
const WAYS: Readonly<Record<string, Way>> = {
  "/^(?:(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)(?:\\.(?!:|$)|(?=:|$))){4}(?::\\d+)?$/": FORWARDED,
  "/^\\[?([\\da-f:.]*(?:[\\da-f]|::))(?:%\\w+)?(?:\\](?::\\d+)?)?$/i": FORWARDED,
  '/\\{"(?:candidate|type":"[a-z-]*","sdp|iv":"\\d*","sealed)":"[ !#-[\\]-~]*"(?:,"sdpMid":"\\w*","sdpMLineIndex":\\d(?:,"usernameFragment":"[\\w+/]*")?)?\\}(?:,"pairing":[1-9]\\d{0,8})?\\}$/y':
    {
      through: (text) => readPlain(text, CODE),
      worst: [
        around(`${PLAIN_START}"candidate":"`, "a", "}"),
        around(`${PLAIN_START}"type":"`, "a", "}"),
        around(`${PLAIN_START}"iv":"`, "1", "}"),
        around(`${PLAIN_START}"candidate":"","sdpMid":"`, "a", "}"),
        around(`${PLAIN_START}"candidate":""},"pairing":1`, "1", "}"),
      ],
      length: PLAIN_CHARACTERS,
    },
  "/^[A-Za-z0-9_-]{8,64}$/": {
    through: (text) => parse(`{"type":"join","sessionCode":"${text}"}`),
    worst: [around("", "a", ""), around("", "a", "!"), around("a", "-_", " ")],
    length: MESSAGE_CHARACTERS,
  },
  "/^websocket$/i": {
    through: (text) => /^websocket$/i.test(text),
    worst: [around("", "w", ""), around("", "websocket", "x")],
    length: HEAD_CHARACTERS,
  },
  "/\\btext\\/html\\b/": {
    through: (text) => answer(new Request("http://relay/", { headers: { Accept: text } }), "ok", 0),
    worst: [around("", "text/", ""), around("", "text/htm ", "x"), around("", "t", "")],
    length: HEAD_CHARACTERS,
  },
  "/(?:^|[\\s,])gzip(?!\\s*;\\s*q=0(?:\\.0*)?\\s*(?:,|$))/": {
    through: (text) => script(new Headers({ "Accept-Encoding": text })),
    worst: [
      around("gzip", " ", "x"),
      around("", "gzip ", ";"),
      around("gzip;q=0.", "0", "x"),
      around("gzip;", " ", "q"),
      around("", ",gzip;q=0 ", "x"),
    ],
    length: HEAD_CHARACTERS,
  },
  "/^W\\//": {
    through: (text) => script(new Headers({ "If-None-Match": text })),
    worst: [around("", "W/", ""), around("", "W/,", ""), around("x", " ", "W/"), around("", ",", "")],
    length: HEAD_CHARACTERS,
  },
  "/([\\w.-]+\\.ts:\\d+):\\d+\\)?$/gm": {
    through: (text) => describeFailure(new Error(text)),
    worst: [around("", "a", ""), around("", "a.ts:1", ""), around("a.ts:", "1", ":")],
    length: MESSAGE_CHARACTERS,
  },
};

/** The literals in a source: what stands between slashes where a value may begin. Comments are left out. */
function literalsIn(path: string): string[] {
  const source = readFileSync(resolve(ROOT, path), "utf8")
    .replace(/\/\*.*?\*\//gs, "")
    .replace(/(?<![:\\"])\/\/.*$/gm, "");
  expect([path, /new RegExp|RegExp\(/.test(source)]).toEqual([path, false]);
  return (
    source.match(
      /(?<=(?:[(=!,:?&|]|=>)\s*|return )\/(?![*/\s])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*/g,
    ) ?? []
  );
}

test("each expression of the rooms that a stranger's bytes reach is tried below", () => {
  const found = ROOMS.flatMap((room) => [...new Bun.Glob(room).scanSync(ROOT)]).flatMap(literalsIn);
  expect([...new Set(found)].sort()).toEqual(Object.keys(WAYS).sort());
});

test.each(Object.entries(WAYS))("%s costs little, whatever it is given", (_expression, { through, worst, length }) => {
  for (const [which, input] of worst.entries()) {
    const text = input(length);
    expect(text.length).toBeWithin(length - 10, length + 1);
    const times = Array.from({ length: 7 }, () => {
      const since = performance.now();
      through(text);
      return performance.now() - since;
    });
    expect([which, Math.min(...times) < MOST_MS]).toEqual([which, true]);
  }
});
