/**
 * The page to try the relay, where it was asked for: one file that was built of src/demo, and the policy under which it
 * runs. Its own script and style, named by their hashes, are all that may; it may speak to this relay and to nobody else.
 */
import { HEADERS } from "./headers.ts";

/** The page as it was built: inside the binary, or from dist/ where the relay runs from its source. Null where it was not. */
export function readDemo(): Promise<string | null> {
  const built = import("../../dist/demo.html", { with: { type: "text" } });
  return built.then(({ default: text }) => String(text)).catch(() => null); // Bun's types take it for a bundle of HTML
}

/**
 * Answers a GET or HEAD of the page.
 * @param html as it was built: one style and one script, inside
 */
export function newDemo(html: string): () => Response {
  const headers = {
    ...HEADERS,
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": [
      "default-src 'none'",
      `script-src '${hashOf(html, "script")}'`,
      `style-src '${hashOf(html, "style")}'`,
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join("; "),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
  };
  return () => new Response(html, { headers });
}

/** By which a policy names the text of the one element of this kind. */
function hashOf(html: string, tag: "script" | "style"): string {
  const start = html.indexOf(">", html.indexOf(`<${tag}`)) + 1;
  const text = html.slice(start, html.indexOf(`</${tag}>`, start));
  return `sha256-${new Bun.CryptoHasher("sha256").update(text).digest("base64")}`;
}
