/**
 * The upgrade policy: who may have a WebSocket, by origin and by address (docs/OPERATIONS.md, "Limits"). It reads
 * of a request its origin and where it comes from, repeats nothing of it, and keeps nothing but the counts by address.
 */
import { isIn, namedClient, parseAddress, UNKNOWN } from "./addresses.ts";
import type { State } from "./admission.ts";
import type { Events, Refusal } from "./events.ts";
import type { Account, AddressTable } from "./limits.ts";

const SPREAD_MS = 5_000; // over which peers come back who are sent away together
const NAMELESS = 3; // connections of a trusted proxy that name nobody: those of `check`, on the proxy's machine

/** A wait in ms that is not the same for everyone. */
export const spread = () => Math.floor(Math.random() * SPREAD_MS);

/** In which account an upgrade was counted, or why it was refused and after how many ms it may be tried again. */
export type Entry = Account | { readonly refusal: Refusal; readonly waitMs: number | null };

/** Decides on an upgrade from `remote`. `isShort`: of memory; `isRated`: whether how fast it came can be told. */
export function upgrade(
  { headers }: Request,
  remote: string,
  { limits, peers, isDraining }: State,
  addresses: AddressTable,
  events: Pick<Events, "warn">,
  now: number,
  isShort: boolean,
  isRated: boolean,
): Entry {
  const { origins, maxPeers, maxPerAddress, trustProxy, exempt } = limits;
  if (isDraining) return { refusal: "draining", waitMs: spread() };
  if (peers.size >= maxPeers) return { refusal: "at-capacity", waitMs: spread() };
  if (isShort) return { refusal: "memory", waitMs: spread() };
  if (origins.length > 0 && !origins.some((allowed) => allowed.matches(headers.get("origin") ?? "")))
    return { refusal: "origin", waitMs: null };

  // A proxy counts as its clients where it is trusted; where it is not, all its clients count as one.
  const forwardedFor = headers.get("x-forwarded-for");
  const proxy = parseAddress(remote) ?? UNKNOWN;
  const named = forwardedFor === null ? null : namedClient(proxy, forwardedFor, trustProxy);
  const isTrusted = isIn(proxy, trustProxy);
  const isProxy = named === null && (forwardedFor !== null || isTrusted);
  const client = named ?? proxy;
  const account = !isProxy && isIn(client, exempt) ? addresses.exempt : addresses.accountOf(client);
  const waitMs = account.enter(now, isRated);
  if (account === addresses.exempt && account.connections > maxPerAddress) events.warn("exempt-crowd");
  if (isProxy && !isTrusted) events.warn(isIn(proxy, exempt) ? "exempt-proxy" : "unknown-proxy");
  if (isProxy && isTrusted && (waitMs > 0 || account.connections > NAMELESS)) events.warn("silent-proxy");
  return waitMs > 0 ? { refusal: "address", waitMs } : account;
}
