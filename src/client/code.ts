/** The codes that two people share: made, and read back as people type them. Owns their alphabet; keeps none. */
import { failure } from "./error.ts";

/** Crockford's base32: no I, L, O, U. Five bits each. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/** 130 bits: out of reach for any search. */
const LINK_LENGTH = 26;
/** 60 bits: enough behind 600,000 rounds of PBKDF2, and short enough to say over the telephone. */
const TYPED_LENGTH = 12;

/** A new random code: of 130 bits for links and QR codes, or of 60 in groups of four to be read out and typed. */
export function newCode(kind: "link" | "typed" = "link"): string {
  const bytes = crypto.getRandomValues(new Uint8Array(kind === "typed" ? TYPED_LENGTH : LINK_LENGTH));
  const code = Array.from(bytes, (byte) => ALPHABET[byte & 31]).join("");
  return kind === "typed" ? code.replace(/.{4}(?=.)/g, "$&-") : code;
}

/** The code that was meant: case, hyphens and spaces don't count, O is 0, I and L are 1. Throws bad-code. */
export function normaliseCode(typed: string): string {
  const code = typed.toUpperCase().replace(/[\s-]/g, "").replace(/O/g, "0").replace(/[IL]/g, "1");
  if (/[\WU_]/.test(code) || (code.length !== TYPED_LENGTH && code.length !== LINK_LENGTH)) throw failure("bad-code");
  return code;
}
