/**
 * Plain requests: whether the relay is well, and a page for people. It reads of a request its method, path and what it
 * accepts, and repeats nothing of it.
 */
import type { Status } from "../core/events.ts";
import { PAGE_HEADERS, page } from "./page.ts";

const HEADERS = { "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store" };

/** Answers a request that is no upgrade (docs/PROTOCOL.md, "HTTP"). `sessions`: those with at least one peer now. */
export function answer(request: Request, status: Status, sessions: number): Response {
  const path = request.url.replace(/^https?:\/\/[^/]*|[?#].*$/g, ""); // a bad Host header makes no URL
  if (path !== "/" && path !== "/health") return new Response("Not found\n", { status: 404, headers: HEADERS });
  if (request.method !== "GET" && request.method !== "HEAD")
    return new Response("Method not allowed\n", { status: 405, headers: { ...HEADERS, Allow: "GET, HEAD" } });
  if (path === "/health")
    return Response.json({ status, sessions }, { status: status === "draining" ? 503 : 200, headers: HEADERS });
  if (/\btext\/html\b/.test(request.headers.get("accept") ?? ""))
    return new Response(page(status), { headers: { ...HEADERS, ...PAGE_HEADERS } });
  return new Response("whisper-signaling: a WebSocket relay for WebRTC. It stores nothing.\n", { headers: HEADERS });
}
