/**
 * A script that pages of any origin may load: its text and its gzip, made once, with the headers they go out with. Its
 * address stays the same when it changes, so browsers ask each time, and get it anew only where it did.
 */
import { HEADERS } from "./headers.ts";

const SCRIPT_HEADERS = {
  ...HEADERS,
  "Cache-Control": "no-cache",
  "Content-Type": "text/javascript; charset=utf-8",
  "Cross-Origin-Resource-Policy": "cross-origin",
  "X-Content-Type-Options": "nosniff",
  Vary: "Accept-Encoding",
};
/** What a browser says that takes gzip, and not that it would rather have none. */
const TAKES_GZIP = /(?:^|[\s,])gzip(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/;

/**
 * Makes what answers a GET or HEAD of the script; the request's headers say in which form, and whether it is known already.
 * @param text null where it has not been built
 */
export function newScript(text: string | null): (headers: Headers) => Response {
  if (text === null) return () => new Response("Not built: bun run build:client\n", { status: 404, headers: HEADERS });
  const hash = new Bun.CryptoHasher("sha256").update(text).digest("base64url");
  const forms = {
    plain: { body: Buffer.from(text), headers: { ...SCRIPT_HEADERS, ETag: `"${hash}"` } },
    gzip: {
      body: Bun.gzipSync(text, { level: 9 }),
      headers: { ...SCRIPT_HEADERS, ETag: `"${hash}-gzip"`, "Content-Encoding": "gzip" },
    },
  };
  return (headers) => {
    const form = TAKES_GZIP.test(headers.get("accept-encoding") ?? "") ? forms.gzip : forms.plain;
    const known = (headers.get("if-none-match") ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
    if (known.includes(form.headers.ETag) || known.includes("*"))
      return new Response(null, { status: 304, headers: form.headers });
    return new Response(form.body, { headers: form.headers });
  };
}
