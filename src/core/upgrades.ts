/**
 * The upgrade policy: who may have a WebSocket, by origin and by address (docs/OPERATIONS.md, "Limits"). It reads
 * of a request its origin and where it comes from, repeats nothing of it, and keeps nothing but the counts by address.
 */
import { isIn, namedClient, parseAddress, UNKNOWN } from "./addresses.ts";
import { type Events, REFUSALS, type Status, type Warning } from "./events.ts";
import type { AddressTable, Limits } from "./limits.ts";

const SPREAD_MS = 5_000; // over which peers come back who are sent away together
const NAMELESS = 3; // connections of a trusted proxy that name nobody: those of `check`, on the proxy's machine
/** Of every answer that is no upgrade. An open connection would be a file, and all sent on it be answered together. */
export const HEADERS = { "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store", Connection: "close" };

/** A wait in ms that is not the same for everyone. */
export function spread(): number {
  return Math.floor(Math.random() * SPREAD_MS);
}

/** Makes the function that decides. `isShort`: whether memory is too short for anybody new. */
export function upgradePolicy(
  limits: Limits,
  addresses: AddressTable,
  events: Events,
  warn: (warning: Warning) => void,
  isShort: () => boolean,
) {
  const { origins, maxPeers, maxPerAddress, trustProxy, exempt } = limits;

  function refuse(result: keyof typeof REFUSALS, waitMs: number | null): Response {
    events.upgraded(result);
    const wait = waitMs === null ? {} : { "Retry-After": String(Math.ceil(waitMs / 1_000)) };
    const text = waitMs === null ? "Not allowed\n" : "Try again later\n";
    return new Response(text, { status: REFUSALS[result], headers: { ...HEADERS, ...wait } });
  }

  /** Counts an upgrade in, and returns in which account, or the answer that refuses it. `isRated`: see Clock.isLate. */
  return (request: Request, remote: string, now: number, status: Status, sockets: number, isRated: boolean) => {
    if (status === "draining") return refuse("draining", spread());
    if (sockets >= maxPeers) return refuse("at-capacity", spread());
    if (isShort()) return refuse("memory", spread());
    const origin = request.headers.get("origin") ?? "";
    if (origins.length > 0 && !origins.some((allowed) => allowed.matches(origin))) return refuse("origin", null);

    // A proxy counts as its clients where it is trusted; where it is not, all its clients count as one.
    const forwardedFor = request.headers.get("x-forwarded-for");
    const proxy = parseAddress(remote) ?? UNKNOWN;
    const named = namedClient(proxy, forwardedFor ?? "", trustProxy);
    const isTrusted = isIn(proxy, trustProxy);
    const isProxy = named === null && (forwardedFor !== null || isTrusted);
    const client = named ?? proxy;
    const account = !isProxy && isIn(client, exempt) ? addresses.exempt : addresses.accountOf(client);
    const waitMs = account.enter(now, isRated);
    if (account === addresses.exempt && account.connections > maxPerAddress) warn("exempt-crowd");
    if (isProxy && !isTrusted) warn(isIn(proxy, exempt) ? "exempt-proxy" : "unknown-proxy");
    if (isProxy && isTrusted && (waitMs > 0 || account.connections > NAMELESS)) warn("silent-proxy");
    return waitMs > 0 ? refuse("address", waitMs) : account;
  };
}
