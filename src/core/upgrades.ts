/**
 * The upgrade policy: who may have a WebSocket, by origin and by address (docs/OPERATIONS.md, "Limits"). It reads
 * of a request its origin and where it comes from, repeats nothing of it, and keeps nothing but the counts by address.
 */
import { clientAddress, isIn, parseAddress } from "./addresses.ts";
import type { Events, Status, UpgradeResult } from "./events.ts";
import { type AddressTable, EXEMPT, type Limits } from "./limits.ts";

/** Peers who are sent away together come back spread over this time. */
const SPREAD_MS = 5_000;
/** A trusted address may have so many connections that name nobody: the peers of `check`, on the proxy's machine. */
const NAMELESS = 3;
/** What the operator is told where addresses are not what they seem, and what to set; docs/OPERATIONS.md, "Behind a proxy". */
const WARNINGS = {
  exemptProxy: "an exempt address sends X-Forwarded-For, and so is not exempt: name it with --trust-proxy",
  proxy: "an address that is not trusted sends X-Forwarded-For: if that is your proxy, name it with --trust-proxy",
  nameless: "a trusted proxy sends no X-Forwarded-For that can be read, so that all its clients count as one",
  exempt: "addresses in --exempt have more connections than --max-per-address: name none that forwards for others",
};
/** Of every answer that is no upgrade. An open connection would be a file, and all sent on it be answered together. */
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
    const origin = request.headers.get("origin") ?? "";
    if (origins.length > 0 && !origins.some((allowed) => allowed.matches(origin))) return this.#refuse("origin", 403);
    const { place, waitMs } = this.#enterFrom(request.headers.get("x-forwarded-for"), remote, now, isRated);
    return waitMs > 0 ? this.#refuse("address", 429, waitMs) : place;
  }

  #refuse(result: UpgradeResult, status: number, retryAfterMs: number | null = null): Response {
    this.#events.upgraded(result);
    if (retryAfterMs === null) return new Response("Not allowed\n", { status, headers: HEADERS });
    const headers = { ...HEADERS, "Retry-After": String(Math.ceil(retryAfterMs / 1_000)) };
    return new Response("Try again later\n", { status, headers });
  }

  /** A proxy counts as its clients where it is trusted; where it is not, all its clients count as one. */
  #enterFrom(
    forwardedFor: string | null,
    remote: string,
    now: number,
    isRated: boolean,
  ): { place: number; waitMs: number } {
    const { trustProxy, exempt, maxPerAddress } = this.#limits;
    const proxy = parseAddress(remote) ?? [];
    const client = clientAddress(proxy, forwardedFor ?? "", trustProxy);
    const isTrusted = isIn(proxy, trustProxy);
    const isProxy = client === proxy && (forwardedFor !== null || isTrusted);
    const place = !isProxy && isIn(client, exempt) ? EXEMPT : this.#addresses.place(client);
    const waitMs = this.#addresses.enter(place, now, isRated);
    const connections = this.#addresses.connections(place);
    if (place === EXEMPT && connections > maxPerAddress) this.#warn(WARNINGS.exempt);
    if (isProxy && !isTrusted) this.#warn(isIn(proxy, exempt) ? WARNINGS.exemptProxy : WARNINGS.proxy);
    if (isProxy && isTrusted && (waitMs > 0 || connections > NAMELESS)) this.#warn(WARNINGS.nameless);
    return { place, waitMs };
  }
}
