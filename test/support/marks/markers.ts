/**
 * Secrets that a test gives away and then looks for in what it gets back. Owns the search: a secret is found whole or
 * in part, in either case, as it is or in any of the ways in which a program may write it without meaning to.
 */
import { createHash } from "node:crypto";

/** So much of a secret in a row is a leak; of random letters and digits nothing this long comes about by chance. */
const PART_LENGTH = 12;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const SECRET_LENGTH = 24;
/** A row of /metrics, without its value. */
const METRIC = /^((?:whisper|process)_\w+(?:\{.*\})?) \S+$/gm;
/** Whoever writes one of these of a secret has written a name for it. */
const DIGESTS = ["md5", "sha1", "sha256"] as const;

export class Markers {
  /** What each part belongs to, by the length of the parts. */
  readonly #parts = new Map<number, Map<string, string>>();
  readonly #ports = new Map<string, string>();

  /** A new secret: letters and digits, good as a session code or for any other place. `what` it is, for the findings. */
  make(what: string): string {
    const random = crypto.getRandomValues(new Uint8Array(SECRET_LENGTH));
    const secret = Array.from(random, (byte) => ALPHABET[byte % ALPHABET.length]).join("");
    this.add(what, secret);
    return secret;
  }

  /** A new IPv6 address of 2001:db8::/32, or IPv4 address of 198.18.0.0/15, which nobody has (RFC 3849, RFC 2544). */
  makeAddress(what: string, version: 4 | 6): string {
    const groups = [...crypto.getRandomValues(new Uint16Array(6))];
    const [first = 0, second = 0] = groups;
    const numbers = version === 6 ? [0x2001, 0xdb8, ...groups] : [0xc612 + (first & 1), second];
    const bytes = numbers.flatMap((group) => [group >> 8, group & 0xff]);
    const address = version === 6 ? numbers.map((group) => group.toString(16)).join(":") : bytes.join(".");
    this.add(what, address);
    this.add(`${what}, as numbers`, numbers.join());
    if (version === 6) this.add(`${what}, at full length`, numbers.map(toFourDigits).join(":"));
    return address;
  }

  add(what: string, secret: string): void {
    this.#addParts(what, secret);
    for (const name of DIGESTS) this.#addParts(`${name} of ${what}`, createHash(name).update(secret).digest("latin1"));
  }

  /** A port is too short to be sought in parts, or where a number of five digits means nothing: as a metric's value. */
  addPort(what: string, port: number): void {
    this.#ports.set(String(port), what);
  }

  #addParts(what: string, secret: string): void {
    const length = Math.min(PART_LENGTH, secret.length);
    const parts = this.#parts.get(length) ?? new Map<string, string>();
    this.#parts.set(length, parts);
    for (let at = 0; at + length <= secret.length; at++) parts.set(secret.slice(at, at + length).toLowerCase(), what);
  }

  /** What of all this stands in `text`, and how it is written there; of bytes, one character each. */
  find(text: string): string[] {
    const found = new Set<string>();
    for (const [how, reading] of readings(text)) {
      const lower = reading.toLowerCase();
      for (const [length, parts] of this.#parts)
        for (let at = 0; at + length <= lower.length; at++) {
          const what = parts.get(lower.slice(at, at + length));
          if (what !== undefined) found.add(`${what}, ${how}`);
        }
    }
    for (const [number] of text.replace(METRIC, "$1").matchAll(/(?<![\w.])\d{4,5}(?![\w.])/g)) {
      const what = this.#ports.get(number);
      if (what !== undefined) found.add(what);
    }
    return [...found];
  }
}

/** Ways to read `text`: what each one undoes, and what comes of it. */
function* readings(text: string): Generator<[how: string, reading: string]> {
  yield ["as it is", text];
  const unescaped = text.replace(/(?:%|\\x|\\u00|&#x)([0-9a-f]{2});?/gi, (_, digits) => charOf(digits, 16));
  if (unescaped !== text) yield ["escaped", unescaped];
  const joined = text.replace(/\\u00|\\x|0x|&#x|[%;\s:,-]/gi, ""); // hex digits come alone, or each two on their own
  for (const [digits] of joined.matchAll(new RegExp(`[0-9a-f]{${2 * PART_LENGTH},}`, "gi")))
    for (const at of [0, 1]) yield ["in hexadecimal", Buffer.from(digits.slice(at), "hex").toString("latin1")];
  for (const [list] of text.matchAll(new RegExp(`\\d{1,3}(?:[^\\da-z]{1,3}\\d{1,3}){${PART_LENGTH - 1},}`, "gi")))
    yield ["as a list of bytes", list.replace(/\D*(\d+)\D*/g, (_, digits) => charOf(digits, 10))];
  for (const [run] of text.matchAll(new RegExp(`[\\w+/-]{${(4 * PART_LENGTH) / 3},}`, "g")))
    for (const at of [0, 1, 2, 3]) yield ["in base64", Buffer.from(run.slice(at), "base64").toString("latin1")];
}

function charOf(digits: string, radix: number): string {
  return String.fromCharCode(Number.parseInt(digits, radix));
}

function toFourDigits(group: number): string {
  return group.toString(16).padStart(4, "0");
}
