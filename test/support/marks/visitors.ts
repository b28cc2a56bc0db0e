/**
 * Peers of whom each has an address, a forwarded address and an origin that no other has, and a search for them as
 * text. It knows no relay and no memory.
 */
import { RawClient, UPGRADE } from "../peers/raw.ts";

const octet = () => 16 + Math.floor(Math.random() * 200);
const three = () => [octet(), octet(), octet()].join(".");

export class Visitors {
  readonly #origin = `o${crypto.getRandomValues(new Uint8Array(5)).toHex()}`;
  readonly #pattern = new RegExp(`(?<![\\d.])(?:127|10)(?:\\.\\d{2,3}){3}(?![\\d.])|${this.#origin}-\\d+`, "g");
  readonly #known = new Set<string>();

  /** Comes over an address of the loopback, joins a session, and leaves when it has heard an answer. */
  async visit(port: number): Promise<void> {
    const own = `127.${three()}`;
    const forwarded = `10.${three()}`;
    const origin = `${this.#origin}-${this.#known.size}`;
    for (const secret of [own, forwarded, origin]) this.#known.add(secret);
    const peer = await RawClient.dial(port, { localAddress: own });
    peer.write(
      UPGRADE.replace("\r\n\r\n", `\r\nOrigin: https://${origin}.example\r\nX-Forwarded-For: ${forwarded}\r\n\r\n`),
    );
    await peer.head();
    peer.say({ type: "join", sessionCode: crypto.getRandomValues(new Uint8Array(6)).toHex(), isInitiator: true });
    const text = await peer.text();
    if (!text.startsWith('{"type":"joined"')) throw new Error(`a visitor was not let in: ${text}`);
    peer.end();
    await peer.rest();
  }

  /** Which addresses, forwarded addresses and origins are in a text of one byte, or of two, a character. */
  findIn(text: string): Set<string> {
    const all = [text, text.replaceAll("\0", "")].flatMap((form) => form.match(this.#pattern) ?? []);
    return new Set(all.filter((secret) => this.#known.has(secret)));
  }
}

/** How many there are of each kind. */
export function countKinds(found: ReadonlySet<string>) {
  const kinds = { addresses: 0, forwarded: 0, origins: 0 };
  for (const secret of found)
    kinds[secret.startsWith("127.") ? "addresses" : secret.startsWith("10.") ? "forwarded" : "origins"]++;
  return kinds;
}
