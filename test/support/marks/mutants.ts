/**
 * What a fuzzer sends: messages, frames and HTTP heads, well-formed ones and what becomes of them under mutation.
 * Pure: the same random numbers make the same bytes. It owns no socket and judges nothing.
 */
import type { Random } from "../machines/random.ts";
import { OP, UPGRADE } from "../peers/raw.ts";

/** What a fuzzer writes into its HTTP heads; the relay must not repeat it. */
export const MARK = "mallory-was-here";

const SDP = "v=0\r\no=- 0 2 IN IP4 127.0.0.1\r\ns=é€🔑\r\n";
const WELL_FORMED: ((sessionCode: string) => object)[] = [
  (sessionCode) => ({ type: "join", sessionCode, isInitiator: true }),
  (sessionCode) => ({ type: "join", sessionCode }),
  (sessionCode) => ({ type: "join", sessionCode, isInitiator: true, token: "0123456789abcdef0123456789abcdef" }),
  (sessionCode) => ({ type: "offer", sessionCode, offer: { type: "offer", sdp: SDP } }),
  (sessionCode) => ({ type: "answer", sessionCode, answer: { type: "answer", sdp: SDP } }),
  (sessionCode) => ({ type: "ice-candidate", sessionCode, candidate: { candidate: "a", sdpMid: "0", x: [1, null] } }),
  (sessionCode) => ({ type: "ice-candidate", sessionCode, candidate: { candidate: "", sdpMLineIndex: 0 } }),
  (sessionCode) => ({ type: "ice-candidate", sessionCode, candidate: null, pairing: 1 }),
  (sessionCode) => ({ type: "signal", sessionCode, data: ["again", 1.5, null], pairing: 7 }),
  (sessionCode) => ({ type: "signal", sessionCode, data: "again" }),
  (sessionCode) => ({ type: "join", sessionCode, isInitiator: true, instance: "page-of-mallory", answers: true }),
  () => ({ type: "pong" }),
  () => ({ type: "ping" }),
  () => ({ type: "leave" }),
];

/** Put where a token of JSON stood: what parsers differ about, and what objects and messages are made of. */
const LITERALS = [
  ...["null", "true", "false", "0", "-0", "1e999", "-1E+400", "0.1e-999", "9".repeat(400), "0x10", "01", "1.", "+1"],
  ...["NaN", "Infinity", "undefined", "'x'", "/*x*/", "//", "\u00a0", "\u000b", "\ufeff", "\0", "\u2028", "\\", '"'],
  ...[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "{}",
    "[]",
    '""',
    '{"a":1,"a":2}',
    '{"a":{"b":[{"c":[{"d":[]}]}]}}',
    "[[[[[[[[]]]]]]]]",
  ],
  ...['"\\u0000"', '"\\ud800"', '"\\ud83d\\udd11"', '"\\udd11\\ud83d"', '"\\uZZZZ"', '"\\x41"', '"\\', '"é€🔑\u2028"'],
  ...['"__proto__"', '"\\u005f_proto__"', '"constructor"', '"prototype"', '"toString"', '"hasOwnProperty"'],
  ...[
    '"type"',
    '"sessionCode"',
    '"isInitiator"',
    '"token"',
    '"offer"',
    '"answer"',
    '"candidate"',
    '"ice-candidate"',
    '"data"',
    '"instance"',
    '"answers"',
    '"pairing"',
  ],
  ...[
    '"join"',
    '"ping"',
    '"leave"',
    '"ready"',
    '"signal"',
    '"probe"',
    '"joined"',
    '"peer-left"',
    '"error"',
    '"pong"',
    '"TYPE"',
  ],
  ...['"../../etc/passwd"', '"AAAAAAA"', `"${"A".repeat(64)}"`, `"${"A".repeat(65)}"`, '"A3F7B9E2C1D4\\n"'],
];
/** Much of something, up to the limit of a message and over it. */
const SIZES = [9, 100, 5_000, 20_000, 65_000, 66_000, 140_000];

export function wellFormed(random: Random, sessionCode: string): string {
  return JSON.stringify(random.pick(WELL_FORMED)(sessionCode));
}

/** The payload of one text frame: a message, mutated once or more, in its tokens, its notation or its bytes. */
export function mutant(random: Random, sessionCode: string): Buffer {
  let text = wellFormed(random, sessionCode);
  if (chance(random, 60)) text = enormous(random, text);
  const changes = random.below(3);
  for (let left = changes; left > 0; left--) text = random.pick(TEXT_MUTATIONS)(random, text);
  let payload = Buffer.from(text);
  for (let left = random.below(3) + Number(changes === 0); left > 0; left--)
    payload = random.pick(BYTE_MUTATIONS)(random, payload);
  return payload;
}

function chance(random: Random, oneIn: number): boolean {
  return random.below(oneIn) === 0;
}

function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}

function tokens(text: string): string[] {
  return text.match(/"(?:[^"\\]|\\.)*"?|[^"{}[\],:]+|[{}[\],:]/gs) ?? [];
}

function enormous(random: Random, text: string): string {
  const size = random.pick(SIZES);
  const value = random.pick([
    () => `"${"x".repeat(size)}"`,
    () => "7".repeat(size),
    () => "[".repeat(size),
    () => "[".repeat(size / 2) + "]".repeat(size / 2),
    () => `${'{"a":'.repeat(size / 6)}1${"}".repeat(size / 6)}`,
    () => `[${"1,".repeat(size / 2)}1]`,
    () => `{${Array.from({ length: size / 10 }, (_, i) => `"${i}":1,`).join("")}"b":2}`,
    () => `"${"\\".repeat(size)}"`,
  ])();
  return chance(random, 4) ? value : text.replace(/\{(?=[^{}]*\}+$)/, `{"big":${value},`);
}

/** Does something to one token of the text, picked at random. */
function atToken(
  change: (random: Random, all: string[], at: number) => void,
): (random: Random, text: string) => string {
  return (random, text) => {
    const all = tokens(text.slice(0, 4_096)); // the head is where the message is; the rest is only long
    if (all.length > 0) change(random, all, random.below(all.length));
    return all.join("") + text.slice(4_096);
  };
}

const TEXT_MUTATIONS: ((random: Random, text: string) => string)[] = [
  atToken((random, all, at) => void all.splice(at, 1, random.pick(LITERALS))),
  atToken((random, all, at) => void all.splice(at, 0, random.pick(LITERALS))),
  atToken((_random, all, at) => void all.splice(at, 1)),
  atToken((random, all, at) => void all.splice(at, 0, ...all.slice(at, at + 1 + random.below(6)))),
  atToken((random, all, at) => {
    const other = random.below(all.length);
    [all[at], all[other]] = [all[other] ?? "", all[at] ?? ""];
  }),
  atToken((random, all, at) => {
    const white = random.pick([" ", "\t", "\n", "\r", " \r\n\t", "\u000b", "\u00a0", "\u2003"]);
    all.splice(at, 0, white);
  }),
  (
    random,
    text, // any character may be written as an escape: still the same message
  ) =>
    tokens(text.slice(0, 4_096))
      .map((token) => (token.startsWith('"') && chance(random, 2) ? escaped(random, token) : token))
      .join("") + text.slice(4_096),
  (random, text) => text.replace(/\}$/, `,${random.pick(LITERALS)}:${random.pick(LITERALS)}}`),
  (random, text) => text.replace(/^\{/, `{${random.pick(LITERALS)}:${random.pick(LITERALS)},`),
  (random, text) =>
    `${random.pick(["", "[", " ", "\ufeff", "0"])}${text}${random.pick(["", "]", "\n", "\0", "}", text])}`,
];

function escaped(random: Random, token: string): string {
  return token.replace(/[\w-]/g, (letter) => {
    const hex = letter.charCodeAt(0).toString(16).padStart(4, "0");
    return chance(random, 4) ? `\\u${chance(random, 2) ? hex : hex.toUpperCase()}` : letter;
  });
}

const BYTE_MUTATIONS: ((random: Random, payload: Buffer) => Buffer<ArrayBuffer>)[] = [
  flipped,
  flipped,
  (random, payload) => Buffer.from(payload.subarray(0, random.below(payload.length + 1))),
  (random, payload) => Buffer.from(payload.subarray(random.below(payload.length + 1))),
  (random, payload) => {
    const [from, to] = slice(random, payload);
    return Buffer.concat([payload.subarray(0, to), payload.subarray(from)]);
  },
  (random, payload) => {
    const [from, to] = slice(random, payload);
    return Buffer.concat([payload.subarray(0, from), payload.subarray(to)]);
  },
  (random, payload) => {
    const [at] = slice(random, payload);
    return Buffer.concat([payload.subarray(0, at), randomBytes(random, 1 + random.below(8)), payload.subarray(at)]);
  },
];

function flipped(random: Random, payload: Buffer): Buffer<ArrayBuffer> {
  const copy = Buffer.from(payload);
  // Mostly within ASCII, so that it isn't all refused as bad UTF-8 before the relay sees it.
  for (let left = 1 + random.below(3); left > 0 && copy.length > 0; left--) {
    const at = random.below(copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << random.below(chance(random, 6) ? 8 : 7));
  }
  return copy;
}

function slice(random: Random, payload: Buffer): [from: number, to: number] {
  const from = random.below(payload.length + 1);
  return [from, Math.min(payload.length, from + random.below(40))];
}

const LENGTHS = [0n, 1n, 125n, 126n, 127n, 65_535n, 65_536n, 131_072n, 131_073n, 2n ** 31n, 2n ** 32n - 1n].concat([
  2n ** 32n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
]);
const CLOSE_CODES = [
  0, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1009, 1011, 1012, 1014, 1015, 1016,
].concat([2999, 3000, 4000, 4500, 4999, 5000, 65_535]);
const SPLIT = Buffer.from("é€🔑");

interface Shape {
  fin?: boolean;
  rsv?: number;
  masked?: boolean;
  /** What the length field says, where that is not the length. */
  says?: bigint;
  /** The bytes of the length field. */
  width?: 1 | 2 | 8;
}

/** One frame, well-formed except where `shape` says otherwise. */
function frame(random: Random, opcode: number, payload: Uint8Array, shape: Shape = {}): Buffer {
  const { fin = true, rsv = 0, masked = true, says = BigInt(payload.length) } = shape;
  const width = shape.width ?? (says < 126n ? 1 : says < 65_536n ? 2 : 8);
  const head = Buffer.alloc(width === 1 ? 2 : 2 + width);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (masked ? 0x80 : 0) | (width === 1 ? Number(says & 0x7fn) : width === 2 ? 126 : 127);
  if (width === 2) head.writeUInt16BE(Number(says & 0xffffn), 2);
  if (width === 8) head.writeBigUInt64BE(says, 2);
  if (!masked) return Buffer.concat([head, payload]);
  const mask = randomBytes(random, 4);
  return Buffer.concat([head, mask, Buffer.from(payload).map((byte, i) => byte ^ (mask[i % 4] ?? 0))]);
}

function closeFrame(random: Random): Buffer {
  const code = Buffer.alloc(2);
  code.writeUInt16BE(random.pick(CLOSE_CODES));
  const reason = randomBytes(random, random.pick([0, 1, 4, 123, 124, 200]));
  const payload = random.pick([Buffer.alloc(0), code.subarray(1), code, Buffer.concat([code, reason]), SPLIT]);
  return frame(random, OP.close, payload, { width: payload.length < 126 ? 1 : 2 });
}

/** A message in fragments, cut anywhere, a control frame between some of them, the last one missing at times. */
function fragments(random: Random, payload: Buffer): Buffer[] {
  const cuts = Array.from({ length: random.below(4) }, () => random.below(payload.length + 1)).sort((a, b) => a - b);
  const ends = [...cuts, payload.length];
  return ends.flatMap((end, i) => {
    const fin = i === ends.length - 1 && !chance(random, 8);
    const opcode = i === 0 || chance(random, 20) ? OP.text : OP.continuation;
    const part = frame(random, opcode, payload.subarray(ends[i - 1] ?? 0, end), { fin });
    return chance(random, 3) ? [part, frame(random, random.pick([OP.ping, OP.pong]), SPLIT)] : [part];
  });
}

/** One thing that may come over an upgraded connection, from a whole message to noise. */
function fragmentOfStream(random: Random, sessionCode: string): Buffer[] {
  const payload = mutant(random, sessionCode);
  switch (random.below(10)) {
    case 0:
      return [frame(random, OP.text, Buffer.from(wellFormed(random, sessionCode)))];
    case 1:
    case 2:
      return fragments(random, chance(random, 2) ? payload : Buffer.from(wellFormed(random, sessionCode)));
    case 3:
      return [frame(random, OP.text, payload, { says: random.pick(LENGTHS) })];
    case 4:
      return [frame(random, OP.text, payload.subarray(0, 60), { width: random.pick([2, 8]) })]; // longer than it need be
    case 5:
      return [frame(random, random.below(16), payload, { fin: !chance(random, 3), rsv: random.below(8) })];
    case 6:
      return [frame(random, random.pick([OP.ping, OP.pong]), payload, { fin: !chance(random, 5) })];
    case 7:
      return [closeFrame(random)];
    case 8:
      return [frame(random, OP.text, payload, { masked: !chance(random, 2) })];
    default:
      return [randomBytes(random, random.below(64))];
  }
}

/** Bytes to send after an upgrade, in pieces to be written one by one. */
export function stream(random: Random, sessionCode: string): Buffer[] {
  const join = Buffer.from(JSON.stringify({ type: "join", sessionCode, isInitiator: true }));
  const parts = chance(random, 2) ? [frame(random, OP.text, join)] : [];
  for (let left = 1 + random.below(4); left > 0; left--) parts.push(...fragmentOfStream(random, sessionCode));
  return pieces(random, chance(random, 4) ? flipped(random, Buffer.concat(parts)) : Buffer.concat(parts));
}

const REQUEST_LINES = [
  ...[
    "GET / HTTP/1.1",
    "GET /health HTTP/1.1",
    "HEAD /health HTTP/1.1",
    "POST /health HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "OPTIONS / HTTP/1.1",
  ],
  ...["GET / HTTP/1.0", "GET / HTTP/0.9", "GET / HTTP/9.9", "PRI * HTTP/2.0", "get / http/1.1", "GET  /  HTTP/1.1"],
  ...["CONNECT relay:80 HTTP/1.1", "GET http://relay/health HTTP/1.1", "GET //health?a#b HTTP/1.1", "GET", "GET /"],
  ...["GET /%00%ff%2e%2e/ HTTP/1.1", "GET /\u0000 HTTP/1.1", "TRACE / HTTP/1.1", "DELETE / HTTP/1.1", ""],
  ...[`GET /${MARK} HTTP/1.1`, `${MARK} / HTTP/1.1`, `GET /${"a".repeat(20_000)} HTTP/1.1`],
];
const HEADER_LINES = [
  ...["Upgrade: websocket", "Upgrade: WebSocket", "Upgrade: h2c", "Upgrade: websocket, h2c", "Connection: close"],
  ...[
    "Connection: keep-alive, Upgrade",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 12",
    "Sec-WebSocket-Version: 13",
  ],
  ...[
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Key: x",
    "Sec-WebSocket-Key:",
    "Host: ",
    "Host: [::",
  ],
  ...["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", 'Sec-WebSocket-Extensions: ,;="\\'],
  ...["Content-Length: 5", "Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 5, 6"],
  ...["Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Expect: 100-continue", "Range: bytes=0-"],
  ...[`Host: ${MARK}`, `Origin: https://${MARK}`, `User-Agent: ${MARK}`, `${MARK}: x`, `Cookie: ${MARK}`],
  ...["no colon", ": no name", " folded", "na me: x", "X:\u0000", "X: \u007f", `X: ${"a".repeat(17_000)}`],
];
const BODIES = [
  "",
  "hello",
  "5\r\nhello\r\n0\r\n\r\n",
  "FFFFFFFFFFFFFFFFF\r\n",
  "-1\r\nx",
  "x".repeat(5_000),
  "0\r\n\r\n",
];
/** The first bytes of a TLS handshake. */
const CLIENT_HELLO = Buffer.from("1603010200010001fc0303", "hex");

/** Bytes to send on a bare connection, in pieces to be written one by one: one HTTP head or more, or none at all. */
export function head(random: Random, sessionCode: string): Buffer[] {
  if (chance(random, 12)) return pieces(random, Buffer.concat([CLIENT_HELLO, randomBytes(random, random.below(200))]));
  if (chance(random, 12)) return pieces(random, randomBytes(random, random.below(400)));
  const heads = Array.from({ length: chance(random, 6) ? 3 : 1 }, () => oneHead(random));
  let all = Buffer.concat([...heads, ...(chance(random, 3) ? stream(random, sessionCode) : [])]);
  for (let left = random.below(3); left > 0; left--) all = random.pick(BYTE_MUTATIONS)(random, all);
  return pieces(random, all);
}

function oneHead(random: Random): Buffer {
  const lines = UPGRADE.trimEnd().split("\r\n");
  if (chance(random, 2)) lines[0] = random.pick(REQUEST_LINES);
  for (let left = random.below(5); left > 0; left--) {
    const remove = random.below(2);
    lines.splice(1 + random.below(lines.length), remove, random.pick(HEADER_LINES));
  }
  if (chance(random, 60)) lines.push(...Array.from({ length: 300 }, (_, i) => `X-${i}: ${i}`));
  const end = chance(random, 10) ? random.pick(["\n", "\r", "\r\n\n"]) : "\r\n";
  return Buffer.from(`${lines.join(end)}${end}${end}${chance(random, 3) ? random.pick(BODIES) : ""}`);
}

function pieces(random: Random, all: Buffer): Buffer[] {
  const cuts = Array.from({ length: random.below(4) }, () => random.below(all.length + 1)).sort((a, b) => a - b);
  return [...cuts, all.length].map((end, i) => all.subarray(cuts[i - 1] ?? 0, end));
}
