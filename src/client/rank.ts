/** Where two who share a session code look for each other, so that they need not agree first. Pure. */
import { base64url, digest } from "./seal.ts";

/** The relays in the order of this session: rendezvous hashing, so that a list that differs by one keeps the rest. */
export async function rank(urls: readonly string[], sessionCode: string): Promise<string[]> {
  const hashed = urls.map(async (url) => [base64url(await digest(`${sessionCode}\n${url}`)), url] as const);
  return (await Promise.all(hashed)).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, url]) => url);
}

/** `url` with `?s=` and 3 hex digits, by which a balancer brings both peers to one node. 12 of the 192 bits of a name. */
export async function hinted(url: string, sessionCode: string): Promise<string> {
  const first = new DataView((await digest(sessionCode)).buffer).getUint32(0);
  return `${url}${url.includes("?") ? "&" : "?"}s=${(first >>> 20).toString(16).padStart(3, "0")}`;
}
