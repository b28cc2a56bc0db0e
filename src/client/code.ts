/** The codes that two people share: made, and read back as people type them. Owns their alphabet; keeps none. */
import { failure } from "./error.ts";

/** Crockford's base32: no I, L, O, U. Five bits each. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/**
 * A new random code: of 26 characters, 130 bits, for links and QR codes, out of reach for any search; or of 12, 60 bits,
 * in groups to be read out and typed, which is enough behind 600,000 rounds of PBKDF2.
 */
export function newCode(kind: "link" | "typed" = "link"): string {
  return (kind === "typed" ? "xxxx-xxxx-xxxx" : "xxxxxxxxxxxxxxxxxxxxxxxxxx").replace(
    /x/g,
    () => ALPHABET[(crypto.getRandomValues(new Uint8Array(1))[0] as number) & 31] as string,
  );
}

/** The code that was meant: case and all that is no letter or digit don't count (phones and mail add such), O is 0, I and L are 1. Throws bad-code. */
export function normaliseCode(typed: string): string {
  const code = typed.toUpperCase().replace(/\W/g, "").replace(/O/g, "0").replace(/[IL]/g, "1");
  if (!/^[^U_]{12}([^U_]{14})?$/.test(code)) throw failure("bad-code");
  return code;
}
