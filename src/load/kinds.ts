/**
 * What kinds of errors there can be: an expectation of one that no run could show would be met by every run. Pure.
 */
import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import { ERRORS } from "../core/protocol.ts";

/** Errors of connecting that have no errno: of looking a name up (node:dns), as far as the map of errors has them not. */
const OF_NAMES = ["ENOTFOUND", "ESERVFAIL", "EREFUSED", "ETIMEOUT", "ENONAME", "EBADNAME", "EBADRESP", "EFORMERR"];
/** And of a certificate: node:tls lists them, as X509 certificate error codes. */
const OF_CERTIFICATES = [
  ...["UNABLE_TO_GET_ISSUER_CERT", "UNABLE_TO_GET_CRL", "UNABLE_TO_DECRYPT_CERT_SIGNATURE"],
  ...["UNABLE_TO_DECRYPT_CRL_SIGNATURE", "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY", "CERT_SIGNATURE_FAILURE"],
  ...["CRL_SIGNATURE_FAILURE", "CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED", "CRL_NOT_YET_VALID", "CRL_HAS_EXPIRED"],
  ...["ERROR_IN_CERT_NOT_BEFORE_FIELD", "ERROR_IN_CERT_NOT_AFTER_FIELD", "ERROR_IN_CRL_LAST_UPDATE_FIELD"],
  ...["ERROR_IN_CRL_NEXT_UPDATE_FIELD", "OUT_OF_MEM", "DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN"],
  ...["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "CERT_CHAIN_TOO_LONG", "CERT_REVOKED"],
  ...["INVALID_CA", "PATH_LENGTH_EXCEEDED", "INVALID_PURPOSE", "CERT_UNTRUSTED", "CERT_REJECTED"],
  ...["HOSTNAME_MISMATCH", "UNSPECIFIED", "ERR_TLS_CERT_ALTNAME_INVALID"],
];
const CONNECT_NAMES: ReadonlySet<string> = new Set([
  ...["closed", ...OF_NAMES, ...OF_CERTIFICATES, ...Object.keys(constants.errno)],
  ...[...getSystemErrorMap().values()].map(([name]) => name),
]);
const ERROR_NAMES: ReadonlySet<string> = new Set(["error", ...Object.keys(ERRORS)]);
const AWAITED = ["begin", "connect", "ready", "session", "pong"];

/** With which a relay may answer an upgrade that it doesn't take: RFC 9110 has no others. */
export function isRefusal(status: string): boolean {
  return /^[1-5]\d\d$/.test(status) && status !== "101";
}

/** What a close frame may say, and 1005 and 1006 for one that says nothing, or isn't there: RFC 6455 has no others. */
export function isCloseCode(code: number): boolean {
  return code >= 1_000 && code <= 4_999;
}

interface Family {
  readonly name: string;
  /** Whether there is such a one, by what follows the name and a colon; null where nothing does. */
  readonly has: ((rest: string) => boolean) | null;
  /** What may stand there, for help. */
  readonly words: string;
  /** Those that the words don't list. */
  readonly names?: readonly string[];
}

const FAMILIES: readonly Family[] = [
  {
    name: "refused",
    has: (rest) => isRefusal(rest) || ERROR_NAMES.has(rest),
    words: "refused:STATUS (100 to 599, not 101), refused:ERROR of the protocol",
    names: [...ERROR_NAMES],
  },
  {
    name: "closed",
    has: (rest) => /^\d{4}$/.test(rest) && isCloseCode(Number(rest)),
    words: "closed:CODE (1000 to 4999)",
  },
  {
    name: "connect",
    has: (rest) => CONNECT_NAMES.has(rest),
    words: "connect:closed, or the system's name, such as connect:ECONNREFUSED, :ENOTFOUND, :CERT_HAS_EXPIRED",
  },
  {
    name: "timeout",
    has: (rest) => AWAITED.includes(rest),
    words: AWAITED.map((awaited) => `timeout:${awaited}`).join(", "),
  },
  { name: "broken", has: null, words: "broken (breaks RFC 6455)" },
  { name: "stuffed", has: null, words: "stuffed (too much waits unread)" },
  { name: "other", has: null, words: "other (too many kinds to tell apart)" },
];

/** What each may be, as words. */
export const KINDS: readonly string[] = FAMILIES.map(({ words }) => words);

/** @returns null where there can be such a kind of error; else what there can be instead, as words */
export function wrongKind(kind: string): string | null {
  const [name, ...parts] = kind.split(":");
  const family = FAMILIES.find((family) => family.name === name);
  if (family === undefined) return FAMILIES.map(({ name, has }) => (has ? `${name}:…` : name)).join(", ");
  const { has, words, names } = family;
  if (has === null ? parts.length === 0 : parts.length === 1 && has(parts.join())) return null;
  return names ? `${words} (${names.join(", ")})` : words;
}
