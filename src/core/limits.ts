/**
 * How much one stranger may have. Owns the token bucket and the accounts of addresses. There are only so many of those,
 * so that no flood of addresses can grow them; which one an address has depends on a seed of this table's own, so that
 * nobody can aim at another's. Pure: time is passed in, and no address is kept.
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

/** A token bucket: `burst` tokens, of which `perSecond` come back. As GCRA does, it keeps only when it is full again. */
export class Bucket {
  readonly #tokenMs: number;
  readonly #burstMs: number;
  #fullAt = 0;

  constructor(perSecond: number, burst: number) {
    this.#tokenMs = 1_000 / perSecond;
    this.#burstMs = burst * this.#tokenMs;
  }

  /** Takes tokens, whether there are so many or not. */
  take(now: number, tokens = 1): void {
    this.#fullAt = Math.max(this.#fullAt, now) + tokens * this.#tokenMs;
  }

  /** For how many ms there is no token; 0: there is one. */
  waitMs(now: number): number {
    const ms = Math.max(this.#fullAt, now) + this.#tokenMs - now - this.#burstMs;
    return Math.max(0, Math.round(ms * 1_000) / 1_000); // sums of fractions are off by less than that
  }
}

const ACCOUNTS = 1 << 16; // in all some 10 MB; two addresses may share one, which only makes their limits stricter
const FULL_WAIT_MS = 10_000; // for an address that has all its connections: nobody knows when one will end

/** What an address has and has used up, and its limits. */
export class Account {
  readonly limits: Limits;
  readonly connects: Bucket; // of new connections; an abuse costs some, too, so that coming back does not wash it off
  readonly failures: Bucket; // of joins that are refused or wait for nobody, as those of who guesses at codes
  connections = 0;
  waiting = 0; // sessions in which it waits for a first peer

  constructor(limits: Limits) {
    this.limits = limits;
    this.connects = new Bucket(limits.connectRate, limits.connectBurst);
    this.failures = new Bucket(limits.failedJoinRate, limits.failedJoinBurst);
  }

  /** Counts a new connection in, unless it would have to wait for so many ms as are returned. `isRated`: see Clock.isLate. */
  enter(now: number, isRated = true): number {
    const waitMs = isRated ? this.connects.waitMs(now) : 0;
    if (waitMs > 0) return waitMs;
    if (this.connections >= this.limits.maxPerAddress) return FULL_WAIT_MS;
    if (isRated) this.connects.take(now);
    this.connections++;
    return 0;
  }
}

export class AddressTable {
  readonly exempt: Account; // of all addresses that are free of limits
  readonly #accounts = new Map<number, Account>();
  readonly #limits: Limits;
  readonly #seed: number;

  /** @param seed 32 random bits */
  constructor(limits: Limits, seed: number) {
    const any = Number.POSITIVE_INFINITY;
    const bursts = { connectBurst: any, failedJoinBurst: any, messageBurst: any };
    const quotas = { quotaMessages: any, quotaBytes: any, maxPerAddress: any, maxWaitingPerAddress: any };
    this.exempt = new Account({ ...limits, ...bursts, ...quotas });
    this.#limits = limits;
    this.#seed = seed;
  }

  /** The account of an address: of IPv4 each has one, of IPv6 each /64, since one customer has many. */
  accountOf(address: Address): Account {
    const isV4 = address >> 32n === 0xffffn;
    const which = Bun.hash.xxHash32((isV4 ? address : address >> 64n).toString(16), this.#seed) % ACCOUNTS;
    const account = this.#accounts.get(which) ?? new Account(this.#limits);
    this.#accounts.set(which, account);
    return account;
  }
}
