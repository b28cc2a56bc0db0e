/**
 * The upgrade policy: who may have a WebSocket, by origin and by address (docs/OPERATIONS.md, "Limits"). It reads
 * of a request its origin and where it comes from, repeats nothing of it, and keeps nothing but the counts by address.
 */
import { clientAddress, isIn, parseAddress } from "./addresses.ts";
import type { Events, Status, UpgradeResult } from "./events.ts";
import { type AddressTable, EXEMPT, type Limits } from "./limits.ts";

/** Peers who are sent away together come back spread over this time. */
const SPREAD_MS = 5_000;
/** Of every answer that is no upgrade. An open connection would be a file, and all sent on it be answered at a stroke. */
export const HEADERS = { "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store", Connection: "close" };

/** A wait in ms that is not the same for everyone. */
export function spread(): number {
  return Math.floor(Math.random() * SPREAD_MS);
}

export class UpgradePolicy {
  readonly #limits: Limits;
  readonly #events: Events;
  readonly #warn: (line: string) => void;
  readonly #addresses: AddressTable;
  readonly #isShort: () => boolean;

  constructor(
    limits: Limits,
    addresses: AddressTable,
    events: Events,
    warn: (line: string) => void,
    isShort: () => boolean,
  ) {
    this.#limits = limits;
    this.#isShort = isShort;
    this.#events = events;
    this.#warn = warn;
    this.#addresses = addresses;
  }

  /**
   * Counts an upgrade in.
   * @param status how the relay is, and `sockets` how many it has; `isRated`: see AddressTable.enter
   * @returns where its address is counted, until `exit`, or the answer that refuses it
   */
  enter(
    request: Request,
    remote: string,
    now: number,
    status: Status,
    sockets: number,
    isRated: boolean,
  ): number | Response {
    const { origins, maxPeers } = this.#limits;
    if (status === "draining") return this.#refuse("draining", 503, spread());
    if (sockets >= maxPeers) return this.#refuse("at-capacity", 503, spread());
    if (this.#isShort()) return this.#refuse("memory", 503, spread());
    if (origins.length > 0 && !origins.includes(request.headers.get("origin") ?? ""))
      return this.#refuse("origin", 403);
    const place = this.#placeOf(request.headers.get("x-forwarded-for"), remote);
    const waitMs = this.#addresses.enter(place, now, isRated);
    return waitMs > 0 ? this.#refuse("address", 429, waitMs) : place;
  }

  #refuse(result: UpgradeResult, status: number, retryAfterMs: number | null = null): Response {
    this.#events.upgraded(result);
    if (retryAfterMs === null) return new Response("Not allowed\n", { status, headers: HEADERS });
    const headers = { ...HEADERS, "Retry-After": String(Math.ceil(retryAfterMs / 1_000)) };
    return new Response("Try again later\n", { status, headers });
  }

  /** A proxy counts as its clients where it is trusted; where it is not, all its clients count as one. */
  #placeOf(forwardedFor: string | null, remote: string): number {
    const { trustProxy, exempt } = this.#limits;
    const proxy = parseAddress(remote) ?? [];
    const client = clientAddress(proxy, forwardedFor ?? "", trustProxy);
    const isTrusted = isIn(proxy, trustProxy);
    const isProxy = client === proxy && (forwardedFor !== null || isTrusted);
    if (!isProxy && isIn(client, exempt)) return EXEMPT;
    if (!isTrusted && isProxy && isIn(proxy, exempt))
      this.#warn("an exempt address sends X-Forwarded-For, and so is not exempt: name it with --trust-proxy");
    return this.#addresses.place(client);
  }
}
