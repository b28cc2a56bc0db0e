/**
 * How much one stranger may have. Owns the token bucket and the table that counts connections by address. The
 * table's size is fixed, so that no flood of addresses can grow it; its hash has a seed of its own, so that nobody
 * can aim at another's place in it. Pure: time is passed in, and no address is kept.
 */
import type { Address, Cidr } from "./addresses.ts";

/** The numbers that the core keeps to, and what it asks of who connects: times in ms, sizes in bytes, rates a second. */
export interface Limits {
  readonly sessionTtlMs: number;
  readonly joinTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly drainMs: number;
  readonly maxMessageBytes: number;
  readonly maxBufferedBytes: number;
  readonly maxPeers: number;
  readonly maxWaiting: number;
  readonly maxPerAddress: number;
  readonly connectRate: number;
  readonly connectBurst: number;
  readonly messageRate: number;
  readonly messageBurst: number;
  readonly quotaMessages: number;
  readonly quotaBytes: number;
  readonly trustProxy: readonly Cidr[];
  readonly exempt: readonly Cidr[];
  /** None: any. */
  readonly origins: readonly string[];
}

/** A token bucket: `burst` tokens, of which `perSecond` come back. */
export class Bucket {
  readonly #tokenMs: number;
  readonly #burstMs: number;

  constructor(perSecond: number, burst: number) {
    this.#tokenMs = 1_000 / perSecond;
    this.#burstMs = burst * this.#tokenMs;
  }

  /** All that is kept of a bucket is when it will be full again. Returns that time after `tokens` more are taken. */
  take(fullAt: number, now: number, tokens: number): number {
    return Math.max(fullAt, now) + tokens * this.#tokenMs;
  }

  /** For how many ms the bucket is overdrawn; 0 or less where it is not. */
  overdrawnMs(fullAt: number, now: number): number {
    return fullAt - now - this.#burstMs;
  }
}

const PLACES = 1 << 16;

/** Connections by address; two addresses may share a place, which only makes their limits stricter. */
export class AddressTable {
  readonly #connections = new Uint32Array(PLACES);
  readonly #fullAt = new Float64Array(PLACES);
  readonly #most: number;
  readonly #bucket: Bucket;
  readonly #seed: number;

  /** @param most connections at once from one address; `bucket`: new ones; `seed`: 32 random bits */
  constructor(most: number, bucket: Bucket, seed: number) {
    this.#most = most;
    this.#bucket = bucket;
    this.#seed = seed;
  }

  /** The place that an address is counted in: IPv4 by address, IPv6 by /64, of which one customer has many. */
  place(address: Address): number {
    const isV4 = address[5] === 0xffff && address.slice(0, 5).every((group) => group === 0);
    return Bun.hash.xxHash32((isV4 ? address.slice(6) : address.slice(0, 4)).join(), this.#seed) % PLACES;
  }

  /** Counts a new connection in. Returns 0, or for how many ms there can be none. */
  enter(place: number, now: number): number {
    const fullAt = this.#bucket.take(this.#fullAt[place] ?? 0, now, 1);
    const waitMs = this.#bucket.overdrawnMs(fullAt, now);
    if (waitMs > 0) return waitMs;
    if ((this.#connections[place] ?? 0) >= this.#most) return FULL_WAIT_MS;
    this.#fullAt[place] = fullAt;
    this.#connections[place] = (this.#connections[place] ?? 0) + 1;
    return 0;
  }

  /** Counts a connection out. */
  exit(place: number): void {
    this.#connections[place] = (this.#connections[place] ?? 0) - 1;
  }

  /** Takes tokens for an abuse, so that a new connection does not wash it off. */
  charge(place: number, now: number, tokens: number): void {
    this.#fullAt[place] = this.#bucket.take(this.#fullAt[place] ?? 0, now, tokens);
  }
}

/** An address with all its connections is asked to wait so long: nobody knows when one will end. */
const FULL_WAIT_MS = 10_000;
