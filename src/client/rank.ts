/** Where two who share a session code look for each other, so that they need not agree first. Pure. */

/**
 * The relays in the order of this session: rendezvous hashing, so that a list that differs by one keeps the rest. The
 * hash, FNV-1a, need not be strong: who knows the session code may know where it is.
 */
export function rank(urls: readonly string[], sessionCode: string): string[] {
  const hash = (text: string) => {
    let h = 0x811c9dc5;
    for (const character of text) h = Math.imul(h ^ character.charCodeAt(0), 0x1000193);
    return h;
  };
  return urls.toSorted((a, b) => hash(a + sessionCode) - hash(b + sessionCode) || (a < b ? -1 : 1));
}
