/**
 * The notation of network addresses: what a socket, a proxy or an option writes, as numbers that can be compared.
 * Pure; it keeps no address.
 */

/** An address as eight groups of 16 bits; IPv4 is ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2). */
export type Address = readonly number[];

export interface Cidr {
  readonly address: Address;
  readonly bits: number;
}

/** Longer than an address with zone and port: an expression's time may grow with the square of a text. */
const LONGEST = 100;
/** So much of X-Forwarded-For is read, from its right end. */
const LONGEST_HEADER = 1_000;

/** Reads an IPv4 or IPv6 address as a socket or a proxy writes it; a port, brackets and a zone are passed over. */
export function parseAddress(text: string): Address | null {
  if (text.length > LONGEST) return null;
  const bare = /^\s*\[?(.*?)(?:%\w+)?(?:\]|\](?::\d+))?\s*$/.exec(text)?.[1] ?? "";
  const v4 = /^(?:::ffff:)?(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::\d+)?$/i.exec(bare);
  if (v4) {
    const [a = 0, b = 0, c = 0, d = 0] = v4.slice(1).map(Number);
    return Math.max(a, b, c, d) > 255 ? null : [0, 0, 0, 0, 0, 0xffff, (a << 8) | b, (c << 8) | d];
  }
  const [head = [], tail, ...more] = bare.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const left = 8 - head.length - (tail?.length ?? 0);
  if (more.length > 0 || (tail ? left < 1 : left !== 0)) return null;
  const groups = [...head, ...Array<string>(left).fill("0"), ...(tail ?? [])];
  return groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))
    ? groups.map((group) => Number.parseInt(group, 16))
    : null;
}

/** Reads `10.0.0.0/8`, `fd00::/8` or a single address. */
export function parseCidr(text: string): Cidr | null {
  const [, base = "", length] = /^([^/]*?)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseAddress(base);
  if (address === null) return null;
  const width = base.includes(".") ? 32 : 128;
  const bits = Number(length ?? width);
  return bits > width ? null : { address, bits: bits + 128 - width };
}

export function isIn(address: Address, ranges: readonly Cidr[]): boolean {
  return ranges.some(({ address: base, bits }) =>
    base.every((group, i) => {
      const compared = Math.min(16, Math.max(0, bits - 16 * i));
      return (group ^ (address[i] ?? -1)) >> (16 - compared) === 0; // -1: an unknown address is in no range
    }),
  );
}

/**
 * Whose connection it is: the peer of the socket, or, where that is a trusted proxy, whom the proxy names. The
 * header is read from its right end, where the nearest proxy wrote, and only as far as the proxies are trusted.
 */
export function clientAddress(remote: Address, forwardedFor: string, trusted: readonly Cidr[]): Address {
  let client = remote;
  const entries = forwardedFor.slice(-LONGEST_HEADER).split(",");
  if (forwardedFor.length > LONGEST_HEADER) entries[0] = ""; // cut in two, it would be another address
  for (const entry of entries.reverse()) {
    if (!isIn(client, trusted)) break;
    const before = parseAddress(entry);
    if (before === null) break;
    client = before;
  }
  return client;
}
