/**
 * The upgrade policy: who may have a WebSocket, by origin and by address (docs/OPERATIONS.md, "Limits"). It reads
 * of a request its origin and where it comes from, repeats nothing of it, and keeps nothing but the counts by address.
 */
import { isIn, namedClient, parseAddress, UNKNOWN } from "./addresses.ts";
import { type Events, REFUSALS, type Status, type Warning } from "./events.ts";
import { type AddressTable, EXEMPT, type Limits } from "./limits.ts";

/** Peers who are sent away together come back spread over this time. */
const SPREAD_MS = 5_000;
/** A trusted address may have so many connections that name nobody: the peers of `check`, on the proxy's machine. */
const NAMELESS = 3;
/** Of every answer that is no upgrade. An open connection would be a file, and all sent on it be answered together. */
export const HEADERS = { "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store", Connection: "close" };

/** A wait in ms that is not the same for everyone. */
export function spread(): number {
  return Math.floor(Math.random() * SPREAD_MS);
}

/** @param isShort whether memory is too short for anybody new */
export function upgradePolicy(
  limits: Limits,
  addresses: AddressTable,
  events: Events,
  warn: (warning: Warning) => void,
  isShort: () => boolean,
) {
  const { origins, maxPeers, maxPerAddress, trustProxy, exempt } = limits;

  function refuse(result: keyof typeof REFUSALS, retryAfterMs: number | null): Response {
    events.upgraded(result);
    const status = REFUSALS[result];
    if (retryAfterMs === null) return new Response("Not allowed\n", { status, headers: HEADERS });
    const headers = { ...HEADERS, "Retry-After": String(Math.ceil(retryAfterMs / 1_000)) };
    return new Response("Try again later\n", { status, headers });
  }

  /** A proxy counts as its clients where it is trusted; where it is not, all its clients count as one. */
  function count(proxy: bigint, forwardedFor: string | null, now: number, isRated: boolean) {
    const named = namedClient(proxy, forwardedFor ?? "", trustProxy);
    const isTrusted = isIn(proxy, trustProxy);
    const isProxy = named === null && (forwardedFor !== null || isTrusted);
    const place = !isProxy && isIn(named ?? proxy, exempt) ? EXEMPT : addresses.place(named ?? proxy);
    const waitMs = addresses.enter(place, now, isRated);
    const connections = addresses.connections.of(place);
    if (place === EXEMPT && connections > maxPerAddress) warn("exempt-crowd");
    if (isProxy && !isTrusted) warn(isIn(proxy, exempt) ? "exempt-proxy" : "unknown-proxy");
    if (isProxy && isTrusted && (waitMs > 0 || connections > NAMELESS)) warn("silent-proxy");
    return { place, waitMs };
  }

  /**
   * Counts an upgrade in.
   * @param status how the relay is, and `sockets` how many it has; `isRated`: see AddressTable.enter
   * @returns where its address is counted, or the answer that refuses it
   */
  return (request: Request, remote: string, now: number, status: Status, sockets: number, isRated: boolean) => {
    if (status === "draining") return refuse("draining", spread());
    if (sockets >= maxPeers) return refuse("at-capacity", spread());
    if (isShort()) return refuse("memory", spread());
    const origin = request.headers.get("origin") ?? "";
    if (origins.length > 0 && !origins.some((allowed) => allowed.matches(origin))) return refuse("origin", null);
    const forwardedFor = request.headers.get("x-forwarded-for");
    const { place, waitMs } = count(parseAddress(remote) ?? UNKNOWN, forwardedFor, now, isRated);
    return waitMs > 0 ? refuse("address", waitMs) : place;
  };
}
