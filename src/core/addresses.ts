/**
 * Network addresses: what a socket or a proxy writes, as numbers that can be compared. Pure; it keeps no address.
 */

/** An address as 128 bits; IPv4 is ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2). */
export type Address = bigint;
const V4 = 0xffff_0000_0000n;
export const UNKNOWN: Address = -1n; // of somebody whose address can't be read: in no range
export type Cidr = { readonly address: Address; readonly bits: number }; // all whose first bits are those of `address`

const LONGEST = 100; // with zone and port, and to spare: an expression's time may grow with the square of a text
const LONGEST_HEADER = 1_000; // so much of X-Forwarded-For is read, from its right end
/** `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `fe80::1%eth0`, `[2001:db8::1]:80`: zone and port are passed over. */
const WRITTEN_V4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!:|$)|(?=:|$))){4}(?::\d+)?$/;
const WRITTEN_V6 = /^\[?([\da-f:.]*(?:[\da-f]|::))(?:%\w+)?(?:\](?::\d+)?)?$/i;

/** Reads an IPv4 or IPv6 address as a socket or a proxy writes it; null where it is none. */
export function parseAddress(text: string): Address | null {
  if (text.length > LONGEST) return null;
  const written = text.trim();
  if (WRITTEN_V4.test(written))
    return V4 | BigInt(written.split(".").reduce((bits, octet) => bits * 256 + Number.parseInt(octet, 10), 0));
  const v6 = WRITTEN_V6.exec(written)?.[1] ?? "";
  const host = URL.parse(`ws://[${v6}]`)?.hostname; // checked, and in the one notation that RFC 5952 leaves
  if (host === undefined) return null;
  const digits = (groups: string) => Array.from(groups.split(":"), (group) => group.padStart(4, "0")).join("");
  const [head = "", tail = ""] = host.slice(1, -1).split("::").map(digits);
  return BigInt(`0x${head.padEnd(32 - tail.length, "0")}${tail}`);
}

export const isIn = (address: Address, ranges: readonly Cidr[]): boolean =>
  ranges.some((range) => (address ^ range.address) >> BigInt(128 - range.bits) === 0n);

/** Whom a trusted proxy names as its client, or null. The header is read from its right end, where the nearest proxy wrote,
 * and only as far as the proxies are trusted. */
export function namedClient(proxy: Address, forwardedFor: string, trusted: readonly Cidr[]): Address | null {
  let client: Address | null = null;
  const entries = forwardedFor.slice(-LONGEST_HEADER).split(",");
  if (forwardedFor.length > LONGEST_HEADER) entries[0] = ""; // cut in two, it would be another address
  for (const entry of entries.reverse()) {
    const named: Address | null = isIn(client ?? proxy, trusted) ? parseAddress(entry) : null;
    if (named === null) break;
    client = named;
  }
  return client;
}
