/**
 * Origins as an operator names them: a site, all sites below a domain, an app, or pages that have no origin. Owns which
 * names can match what a browser sends (RFC 6454, section 7), and refuses the others with the reason. Pure.
 */
import { Unfit } from "./failure.ts";

export interface NamedOrigin {
  /** Whether it is, or holds, an origin that a browser sent. */
  matches(origin: string): boolean;
  /** One that it matches. */
  readonly example: string;
}

/** What stands in a pattern for one or more whole labels of a name. */
const ANY_LABELS = "*.";
/** What a label may hold; a pattern must not match what only looks like a name. */
const LABELS = /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63}){0,126}$/;
/** Of an app, such as capacitor://localhost: what is no web page has no rules for its name but these. */
const APP = /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9_.-]+(:\d{1,5})?$/;
/** Of web pages. */
const WEB = /^https?:/i;
/** No browser has pages at these, or gives what it has there an origin of its own. */
const NO_PAGE = /^(wss?|ftps?|sftp|blob|data|about|javascript):/i;
/** Apps from files: Electron's, and Android's WebView. */
const FILES = "file://";
/** Pages without an origin, of a sandboxed frame for one. Anybody can make such a page. */
const OPAQUE = "null";

/**
 * @param text https://example.org, https://*.example.org, capacitor://localhost, file:// or null
 * @throws Unfit where no browser would send what it names
 */
export function readOrigin(text: string): NamedOrigin {
  if (text === OPAQUE || text === FILES) return exactly(text);
  if (WEB.test(text)) return text.includes("*") ? below(text) : exactly(asSent(text));
  if (NO_PAGE.test(text)) throw new Unfit(text, "names no page: a page's origin begins with https:// or http://");
  if (APP.test(text)) return exactly(text);
  throw new Unfit(text, "is not an origin such as https://example.org, https://*.example.org or capacitor://localhost");
}

function exactly(text: string): NamedOrigin {
  return { example: text, matches: (origin) => origin === text };
}

function below(text: string): NamedOrigin {
  const [head = "", tail = "", ...more] = text.split(ANY_LABELS);
  if (more.length > 0 || tail === "" || tail.includes("*") || !/^https?:\/\/$/.test(head))
    throw new Unfit(text, 'has a "*" that is not all before the first dot: it stands for one or more whole labels');
  asSent(`${head}a.${tail}`, text);
  const end = `.${tail}`;
  return {
    example: `${head}check${end}`,
    matches: (origin) =>
      origin.startsWith(head) && origin.endsWith(end) && LABELS.test(origin.slice(head.length, -end.length)),
  };
}

/** The origin of a page at this URL. It has to be the text itself, or what would be sent never matches. */
function asSent(url: string, written = url): string {
  const origin = URL.parse(url)?.origin;
  if (origin === undefined || origin === OPAQUE)
    throw new Unfit(written, "is not an origin such as https://example.org");
  if (origin !== url)
    throw new Unfit(
      written,
      `never matches${url === `${origin}/` ? ", for the slash at its end" : ""}: browsers send ${JSON.stringify(written === url ? origin : origin.replace("//a.", "//*."))}`,
    );
  return url;
}
