/**
 * How much one stranger may have. Owns the token bucket and the table that counts connections by address. The
 * table's size is fixed, so that no flood of addresses can grow it; its hash has a seed of its own, so that nobody
 * can aim at another's place in it. Pure: time is passed in, and no address is kept.
 */
import type { Address, Cidr } from "./addresses.ts";

type Numbers<Names extends string> = Readonly<Record<Names, number>>;
type Times = Numbers<"sessionTtlMs" | "joinTimeoutMs" | "pingIntervalMs" | "drainMs">;
type Sizes = Numbers<"maxMessageBytes" | "maxBufferedBytes">;
type AtOnce = Numbers<"maxPeers" | "maxPerAddress" | "maxWaiting" | "maxWaitingPerAddress">;
type Rates = Numbers<"connectRate" | "failedJoinRate" | "messageRate">; // a second
type Bursts = Numbers<"connectBurst" | "failedJoinBurst" | "messageBurst">;
type Quotas = Numbers<"quotaMessages" | "quotaBytes">; // of one peer in all

/** What the core keeps to, and what it asks of who connects. */
export interface Limits extends Times, Sizes, AtOnce, Rates, Bursts, Quotas {
  readonly trustProxy: readonly Cidr[];
  readonly exempt: readonly Cidr[];
  readonly origins: readonly { matches(origin: string): boolean }[]; // whose pages may connect; none: anybody's
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

const PLACES = 1 << 16; // for all addresses: two may share one, which only makes their limits stricter
export const EXEMPT = PLACES; // the place of all that are free of limits: no bucket has it, no count of it is too high
const FULL_WAIT_MS = 10_000; // for an address that has all its connections: nobody knows when one will end

/** A bucket for each place. */
class Buckets extends Bucket {
  readonly #fullAt = new Float64Array(PLACES);

  /** Takes tokens, whether there are so many or not. */
  charge(place: number, now: number, tokens = 1): void {
    this.#fullAt[place] = this.take(this.#fullAt[place] ?? 0, now, tokens);
  }

  /** For how many ms there is no token; 0: there is one. */
  waitMs(place: number, now: number): number {
    return Math.max(0, this.overdrawnMs(this.take(this.#fullAt[place] ?? 0, now, 1), now));
  }
}

/** A count for each place. */
class Counts {
  readonly #counts = new Uint32Array(PLACES + 1);

  of(place: number): number {
    return this.#counts[place] ?? 0;
  }

  add(place: number, by: 1 | -1): void {
    this.#counts[place] = this.of(place) + by;
  }
}

/** What each address has. */
export class AddressTable {
  readonly connections = new Counts();
  readonly waiting = new Counts(); // sessions in which it waits for a first peer
  readonly connects: Buckets; // for new connections, and for abuses, so that coming back does not wash one off
  readonly failures: Buckets; // for joins that are refused or wait for nobody, as those of who guesses at codes
  readonly #most: number;
  readonly #seed: number;

  /** @param seed 32 random bits */
  constructor(limits: Limits, seed: number) {
    this.connects = new Buckets(limits.connectRate, limits.connectBurst);
    this.failures = new Buckets(limits.failedJoinRate, limits.failedJoinBurst);
    this.#most = limits.maxPerAddress;
    this.#seed = seed;
  }

  /** The place that an address is counted in: IPv4 by address, IPv6 by /64, of which one customer has many. */
  place(address: Address): number {
    const isV4 = address >> 32n === 0xffffn;
    return Bun.hash.xxHash32((isV4 ? address : address >> 64n).toString(16), this.#seed) % PLACES;
  }

  /** Counts a new connection in, unless it would have to wait for so many ms as are returned. `isRated`: see Clock.isLate. */
  enter(place: number, now: number, isRated = true): number {
    const waitMs = isRated ? this.connects.waitMs(place, now) : 0;
    if (waitMs > 0) return waitMs;
    if (place !== EXEMPT && this.connections.of(place) >= this.#most) return FULL_WAIT_MS;
    if (isRated) this.connects.charge(place, now);
    this.connections.add(place, 1);
    return 0;
  }
}
