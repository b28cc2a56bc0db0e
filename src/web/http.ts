/**
 * Plain requests: whether the relay is well, a page for people, and what else is served. It reads of a request its method,
 * path, what it accepts and what it has already, and repeats nothing of it.
 */
import type { Refusal } from "../core/events.ts";
import { HEADERS } from "./headers.ts";
import { PAGE_HEADERS, page, type Status } from "./page.ts";

const METHODS = "GET, HEAD, OPTIONS";
/** What a browser asks before a page's request that is not a plain one (a CORS preflight). */
const PREFLIGHT_HEADERS = {
  "Access-Control-Allow-Methods": METHODS,
  "Access-Control-Allow-Headers": "*",
  "Access-Control-Max-Age": "86400",
};

/** What else is served, by path: each answers a GET or HEAD with these headers. */
export type More = ReadonlyMap<string, (headers: Headers) => Response>;
const NOTHING: More = new Map();

/**
 * Answers a request that is no upgrade (docs/PROTOCOL.md, "HTTP").
 * @param sessions those with at least one peer now
 */
export function answer(request: Request, status: Status, sessions: number, more: More = NOTHING): Response {
  const path = pathOf(request.url);
  const isWell = status !== "draining";
  const other = more.get(path);
  if (path !== "/" && path !== "/health" && !other)
    return new Response("Not found\n", { status: 404, headers: HEADERS });
  // The default check of HAProxy: it must send nobody to a relay that drains.
  if (request.method === "OPTIONS")
    return new Response(null, {
      status: isWell ? 204 : 503,
      headers: { ...HEADERS, ...PREFLIGHT_HEADERS, Allow: METHODS },
    });
  if (request.method !== "GET" && request.method !== "HEAD")
    return new Response("Method not allowed\n", { status: 405, headers: { ...HEADERS, Allow: METHODS } });
  if (other) return other(request.headers);
  if (path === "/health") return Response.json({ status, sessions }, { status: isWell ? 200 : 503, headers: HEADERS });
  if (/\btext\/html\b/.test(request.headers.get("accept") ?? ""))
    return new Response(page(status), { headers: { ...HEADERS, ...PAGE_HEADERS } });
  return new Response("whisper-signaling: a WebSocket relay for WebRTC. It stores nothing.\n", { headers: HEADERS });
}

/** What is told to whom no WebSocket is given, by why. */
const REFUSED: Record<Refusal | "error", { readonly status: number; readonly text: string }> = {
  origin: { status: 403, text: "Not allowed\n" },
  address: { status: 429, text: "Try again later\n" },
  "at-capacity": { status: 503, text: "Try again later\n" },
  memory: { status: 503, text: "Try again later\n" },
  draining: { status: 503, text: "Try again later\n" },
  error: { status: 500, text: "Internal error\n" },
};

/** Answers a request that is refused (docs/PROTOCOL.md, "HTTP"). `waitMs`: after which it may be tried again. */
export function refusal(why: Refusal | "error", waitMs: number | null): Response {
  const { status, text } = REFUSED[why];
  const wait = waitMs === null ? {} : { "Retry-After": String(Math.ceil(waitMs / 1_000)) };
  return new Response(text, { status, headers: { ...HEADERS, ...wait } });
}

/** A bad Host header makes no URL, and then Bun gives what was sent as it is: so this looks, and parses nothing. */
function pathOf(url: string): string {
  const scheme = url.startsWith("http") ? url.indexOf("://") : -1;
  const start = scheme === -1 ? 0 : url.indexOf("/", scheme + 3);
  const ends = ["?", "#"].map((mark) => url.indexOf(mark)).filter((at) => at !== -1);
  return start === -1 ? "" : url.slice(start, Math.min(url.length, ...ends));
}
