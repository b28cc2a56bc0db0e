/**
 * Which JSON is let through. The text is passed on as it came and parsed again by a stranger's client, so nothing may
 * be in it that two parsers could read in two ways. Pure; it keeps and repeats nothing of what it reads.
 */

export const MAX_DEPTH = 8; // a payload nests once; what nests deeper than this is an attack on a parser
export const MAX_PIECES = 2_048; // characters outside of strings, strings, quotes in them: 64 KiB of them cost 12 ms
const [QUOTE, COLON, BACKSLASH] = [0x22, 0x3a, 0x5c];

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The object that `text` is, if it is I-JSON (RFC 7493), modest, and safe to merge for a careless reader; else null. */
export function readStrict(text: string): Record<string, unknown> | null {
  const written = namesWritten(text);
  try {
    const value: unknown = written === null ? null : JSON.parse(text);
    return isObject(value) && namesIn(value, 0) === written ? value : null;
  } catch {
    return null; // the parser's error quotes its input: it is dropped here, unseen
  }
}

/** How many names are written in `text`, if it is JSON: colons outside of strings; null beyond MAX_PIECES. The parser keeps
 * only the last of two equal names, so more written than parsed means one stands twice (RFC 7493, section 2.3). */
function namesWritten(text: string): number | null {
  let names = 0;
  let pieces = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (++pieces > MAX_PIECES) return null;
    if (character === COLON) names++;
    if (character !== QUOTE) continue;
    do at = text.indexOf('"', at + 1);
    while (isEscaped(text, at) && ++pieces <= MAX_PIECES);
    if (at === -1) return null;
  }
  return names;
}

function isEscaped(text: string, at: number): boolean {
  let backslash = at - 1;
  while (text.charCodeAt(backslash) === BACKSLASH) backslash--;
  return (at - backslash) % 2 === 0;
}

/** How many names a value holds; NaN where it holds a lone surrogate or a name made to poison a receiver, or nests too deep. */
function namesIn(value: unknown, depth: number): number {
  if (typeof value === "string") return value.isWellFormed() ? 0 : Number.NaN;
  if (typeof value !== "object" || value === null) return 0;
  if (depth === MAX_DEPTH) return Number.NaN;
  let names = 0;
  if (Array.isArray(value)) for (const item of value) names += namesIn(item, depth + 1);
  else if (isObject(value))
    for (const name in value) {
      if (name === "__proto__" || !name.isWellFormed()) return Number.NaN;
      names += 1 + namesIn(value[name], depth + 1);
    }
  return names;
}
