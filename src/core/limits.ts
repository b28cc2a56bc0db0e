/**
 * How much one stranger may have. Owns the token bucket and the table that counts connections by address. The
 * table's size is fixed, so that no flood of addresses can grow it; its hash has a seed of its own, so that nobody
 * can aim at another's place in it. Pure: time is passed in, and no address is kept.
 */
import type { Address, Cidr } from "./addresses.ts";

/** Whose pages may connect: one origin, or a kind of them. */
export interface Origin {
  matches(origin: string): boolean;
}

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
  readonly maxWaitingPerAddress: number;
  readonly maxPerAddress: number;
  readonly connectRate: number;
  readonly connectBurst: number;
  readonly failedJoinRate: number;
  readonly failedJoinBurst: number;
  readonly messageRate: number;
  readonly messageBurst: number;
  readonly quotaMessages: number;
  readonly quotaBytes: number;
  readonly trustProxy: readonly Cidr[];
  readonly exempt: readonly Cidr[];
  /** None: any. */
  readonly origins: readonly Origin[];
}

/** A token bucket, kept as GCRA keeps it, by one time alone: `burst` tokens, of which `perSecond` come back. */
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
    return Math.round((fullAt - now - this.#burstMs) * 1_000) / 1_000; // sums of fractions are off by less than that
  }
}

/** Where all addresses are counted that are free of this: no array has such a place, so that nothing ever adds up. */
export const EXEMPT = -1;
const PLACES = 1 << 16;
/** An address with all its connections is asked to wait so long: nobody knows when one will end. */
const FULL_WAIT_MS = 10_000;

/**
 * What each address has: connections, sessions in which it waits, joins that failed. Two addresses may share a place,
 * which only makes their limits stricter.
 */
export class AddressTable {
  readonly #connections = new Uint32Array(PLACES);
  readonly #connectFullAt = new Float64Array(PLACES);
  readonly #waiting = new Uint32Array(PLACES);
  readonly #failureFullAt = new Float64Array(PLACES);
  readonly #limits: Limits;
  readonly #connects: Bucket;
  readonly #failures: Bucket;
  readonly #seed: number;
  #exempt = 0;

  /** @param seed 32 random bits */
  constructor(limits: Limits, seed: number) {
    this.#limits = limits;
    this.#connects = new Bucket(limits.connectRate, limits.connectBurst);
    this.#failures = new Bucket(limits.failedJoinRate, limits.failedJoinBurst);
    this.#seed = seed;
  }

  /** The place that an address is counted in: IPv4 by address, IPv6 by /64, of which one customer has many. */
  place(address: Address): number {
    const isV4 = address[5] === 0xffff && address.slice(0, 5).every((group) => group === 0);
    return Bun.hash.xxHash32((isV4 ? address.slice(6) : address.slice(0, 4)).join(), this.#seed) % PLACES;
  }

  /**
   * Counts a new connection in.
   * @param isRated false where how fast it came can't be told
   * @returns 0, or for how many ms there can be none
   */
  enter(place: number, now: number, isRated = true): number {
    if (place === EXEMPT) this.#exempt++;
    const fullAt = isRated ? this.#connects.take(this.#connectFullAt[place] ?? 0, now, 1) : 0;
    const waitMs = this.#connects.overdrawnMs(fullAt, now);
    if (waitMs > 0) return waitMs;
    if ((this.#connections[place] ?? 0) >= this.#limits.maxPerAddress) return FULL_WAIT_MS;
    if (isRated) this.#connectFullAt[place] = fullAt;
    this.#connections[place] = (this.#connections[place] ?? 0) + 1;
    return 0;
  }

  connections(place: number): number {
    return this.#connections[place] ?? this.#exempt;
  }

  /** Counts a connection out. */
  exit(place: number): void {
    if (place === EXEMPT) this.#exempt--;
    this.#connections[place] = (this.#connections[place] ?? 0) - 1;
  }

  /** Takes tokens for an abuse, so that a new connection does not wash it off. */
  charge(place: number, now: number, tokens: number): void {
    if (place !== EXEMPT)
      this.#connectFullAt[place] = this.#connects.take(this.#connectFullAt[place] ?? 0, now, tokens);
  }

  /** Whether one more may wait alone in a session, which `waits` then counts in, and later out. */
  mayWait(place: number): boolean {
    return (this.#waiting[place] ?? 0) < this.#limits.maxWaitingPerAddress;
  }

  waits(place: number, more: 1 | -1): void {
    this.#waiting[place] = (this.#waiting[place] ?? 0) + more;
  }

  /** A join was refused, or waited for nobody: as one who guesses at codes would. */
  failed(place: number, now: number): void {
    this.#failureFullAt[place] = this.#failures.take(this.#failureFullAt[place] ?? 0, now, 1);
  }

  /** For how many ms there can be no join after all that failed; 0: none. */
  failureWaitMs(place: number, now: number): number {
    return Math.max(0, this.#failures.overdrawnMs(this.#failures.take(this.#failureFullAt[place] ?? 0, now, 1), now));
  }
}
