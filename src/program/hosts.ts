/** How the address that a relay listens on is reached, in every form that --host takes. Pure: no name is looked up. */

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

/** From where a program on this machine connects to a listener on `host`, for an option; null where only it knows. */
export function localSource(host: string): string | null {
  const [first] = localHosts(host);
  if (first === "localhost") return "127.0.0.1,::1";
  return /^[\d.]+$|^\[/.test(first) ? first.replace(/^\[(.*)\]$/, "$1") : null;
}
