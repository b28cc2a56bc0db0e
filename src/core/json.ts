/**
 * Which JSON is let through. The text is passed on as it came and parsed again by a stranger's client, so nothing may
 * be in it that two parsers could read in two ways. Pure; it keeps and repeats nothing of what it reads.
 */

/** A payload nests once (an offer holds strings); what nests deeper than this is an attack on a parser. */
const MAX_DEPTH = 8;

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether `value`, parsed from `text`, is I-JSON (RFC 7493), of modest depth, and safe to merge for a careless reader. */
export function isStrict(text: string, value: unknown): boolean {
  return namesIn(value, 0) === namesWritten(text);
}

/**
 * How many names the parsed value holds, at all depths; NaN, which equals nothing, where it is no I-JSON
 * (RFC 7493: lone surrogates), nests too deep, or carries a name made to poison a careless receiver.
 */
function namesIn(value: unknown, depth: number): number {
  if (typeof value === "string") return value.isWellFormed() ? 0 : Number.NaN;
  if (typeof value !== "object" || value === null) return 0;
  if (depth === MAX_DEPTH) return Number.NaN;
  let names = 0;
  if (Array.isArray(value)) {
    for (const item of value) names += namesIn(item, depth + 1);
  } else if (isObject(value)) {
    for (const name in value) {
      if (name === "__proto__" || !name.isWellFormed()) return Number.NaN;
      names += 1 + namesIn(value[name], depth + 1);
    }
  }
  return names;
}

/**
 * How many names are written in `text`, which is valid JSON: strings that a colon follows. The parser keeps only
 * the last of two equal names, so more written than parsed means that one stands twice (RFC 7493, section 2.3).
 */
function namesWritten(text: string): number {
  let names = 0;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at + 1)) {
    do at = text.indexOf('"', at + 1);
    while (isEscaped(text, at));
    let next = at + 1;
    while (text.charCodeAt(next) <= 0x20) next++;
    if (text.charCodeAt(next) === 0x3a) names++;
  }
  return names;
}

function isEscaped(text: string, at: number): boolean {
  let backslash = at - 1;
  while (text.charCodeAt(backslash) === 0x5c) backslash--;
  return (at - backslash) % 2 === 0;
}
