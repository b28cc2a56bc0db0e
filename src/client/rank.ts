/** Where two who share a session code look for each other, so that they need not agree first. Pure. */
import { digest } from "./seal.ts";

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The relays in the order of this session: rendezvous hashing, so that a list that differs by one keeps the rest. */
export async function rank(urls: readonly string[], sessionCode: string): Promise<string[]> {
  const ranked = await Promise.all(
    urls.map(async (url) => [hex(await digest(`${sessionCode}\n${url}`)), url] as const),
  );
  return ranked.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, url]) => url);
}

/** `url` with `?s=` and 3 hex digits, by which a balancer brings both peers to one node. 12 of the 192 bits of a name. */
export async function hinted(url: string, sessionCode: string): Promise<string> {
  return `${url}${url.includes("?") ? "&" : "?"}s=${hex(await digest(sessionCode)).slice(0, 3)}`;
}
