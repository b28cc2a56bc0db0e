/** Where two who share a session code look for each other, so that they need not agree first. Pure. */

/** On how many relays of a list a peer sits: one may be gone, and the two still meet. */
export const SEATS = 2;

/**
 * The relays in the order of this session: rendezvous hashing, so that a list that differs by one keeps the rest. The
 * hash, after FNV-1a, need not be strong: who knows the session code may know where it is.
 */
export function rank(urls: readonly string[], sessionCode: string): string[] {
  const hash = (url: string) =>
    [...(url + sessionCode)].reduce((h, character) => Math.imul(h ^ character.charCodeAt(0), 0x1000193), 0);
  return urls.toSorted((a, b) => hash(a) - hash(b));
}
