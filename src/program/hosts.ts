/** How the address that a relay listens on is reached, in every form that --host takes. Pure: no name is looked up. */

import { isIn, parseAddress } from "../core/addresses.ts";
import { parseCidr } from "./options.ts";

/** Where a listener on all addresses of both families is reached: not every machine has both. */
const BOTH = ["127.0.0.1", "[::1]"] as const;

/** `host` as it stands in a URL, in the one form of its kind: 127.0.0.1 for 127.1, [::1] for ::1. */
function written(host: string): string {
  const bracketed = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return URL.parse(`http://${bracketed}/`)?.hostname ?? bracketed;
}

/** The addresses, as they stand in URLs, by one of which this machine reaches a listener on `host`; the likeliest first. */
export function localHosts(host: string): readonly [string, ...string[]] {
  const name = written(host);
  if (name === "0.0.0.0") return [BOTH[0]];
  return name === "[::]" || name === "*" ? BOTH : [name];
}

/** Whether a listener on `host` is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return /^(127\.\d+\.\d+\.\d+|\[::1\]|\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\]|localhost)$/.test(written(host));
}

/** Networks that only an operator's own machines are in: RFC 1918, 6598, 4193, and what a link or one machine has. */
const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8"]
  .concat(["::1", "fc00::/7", "fe80::/10"])
  .flatMap((range) => parseCidr(range) ?? []);

/** Whether strangers may reach a listener on `host`: any address, or a public one. Of a name only this machine's is known. */
export function isExposed(host: string): boolean {
  const name = written(host).replace(/^\[(.*)\]$/, "$1");
  if (name === "*" || name === "0.0.0.0" || name === "::") return true;
  const address = parseAddress(name);
  return address !== null && !isIn(address, PRIVATE);
}

/** From where a program on this machine connects to a listener on `host`, for an option; null where only it knows. */
export function localSource(host: string): string | null {
  const [first] = localHosts(host);
  if (first === "localhost") return "127.0.0.1,::1";
  return /^[\d.]+$|^\[/.test(first) ? first.replace(/^\[(.*)\]$/, "$1") : null;
}
