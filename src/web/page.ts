/**
 * The page for people who open the relay's address in a browser: what it is, what it sees, what it keeps, and whether
 * it is well. Static but for one word; no script, nothing loaded from elsewhere, and a policy that forbids both.
 */

export const PAGE_HEADERS = {
  "Content-Type": "text/html; charset=utf-8",
  "Content-Security-Policy":
    "default-src 'none'; style-src 'sha256-STYLE'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};

const STYLE =
  "body{font:1.1rem/1.6 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;color:#222;background:#fafafa}" +
  "h1{font-size:1.5rem}strong{font-weight:600}" +
  "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}";
PAGE_HEADERS["Content-Security-Policy"] = PAGE_HEADERS["Content-Security-Policy"].replace(
  "STYLE",
  new Bun.CryptoHasher("sha256").update(STYLE).digest("base64"),
);

/** How the relay is: well; well, but with a difference in its own books; or on its way out. */
export type Status = "ok" | "degraded" | "draining";

const HEALTH: Record<Status, string> = {
  ok: "It is well.",
  degraded: "It works, but has found a difference in its own books.",
  draining: "It is about to restart, and takes nobody new.",
};

/** The page, which says how the relay is now. */
export function page(status: Status): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>whisper-signaling</title>
<style>${STYLE}</style>
<h1>This is a signaling relay</h1>
<p>Two browsers that want to talk to each other directly, encrypted from end to end, find each other here. Then they
talk without this server.</p>
<p><strong>What it sees</strong>, while two browsers meet: a random session code, their network addresses, and the
messages by which they agree on a connection. It never sees what is said over that connection, nor the keys, nor who
anybody is.</p>
<p><strong>What it keeps:</strong> nothing. There is no database, no file, no log of codes, addresses or messages. What
it knows is in memory, and is gone when a session ends.</p>
<p><strong>How it is:</strong> ${HEALTH[status]}</p>
</html>
`;
}
