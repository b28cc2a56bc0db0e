/**
 * How much one stranger may have: the token bucket, and the accounts of addresses. There are only so many of those, so
 * that no flood of addresses can grow them; which one an address has depends on a seed, so that nobody can aim at
 * another's. Pure: time is passed in, and no address is kept.
 */
import type { Address, Cidr } from "./addresses.ts";

type Times = "sessionTtlMs" | "joinTimeoutMs" | "pingIntervalMs" | "drainMs";
type Sizes = "maxMessageBytes" | "maxBufferedBytes" | "quotaMessages" | "quotaBytes"; // a quota: of one peer in all
type AtOnce = "maxPeers" | "maxPerAddress" | "maxWaiting" | "maxWaitingPerAddress";
type Buckets = "connectRate" | "connectBurst" | "failedJoinRate" | "failedJoinBurst" | "messageRate" | "messageBurst";

/** What the core keeps to, and what it asks of who connects. A rate is of so many in a second. */
export interface Limits extends Readonly<Record<Times | Sizes | AtOnce | Buckets, number>> {
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

export type AddressTable = ReturnType<typeof newAddressTable>;

/** Makes the table of one relay. `seed`: 32 random bits; `exempt` is the account of all that are free of limits. */
export function newAddressTable(limits: Limits, seed: number) {
  const accounts = new Map<number, Account>();
  const any = Number.POSITIVE_INFINITY;
  const bursts = { connectBurst: any, failedJoinBurst: any, messageBurst: any };
  const quotas = { quotaMessages: any, quotaBytes: any, maxPerAddress: any, maxWaitingPerAddress: any };
  const exempt = new Account({ ...limits, ...bursts, ...quotas });

  /** The account of an address: of IPv4 each has one, of IPv6 each /64, since one customer has many. */
  function accountOf(address: Address): Account {
    const isV4 = address >> 32n === 0xffffn;
    const which = Bun.hash.xxHash32((isV4 ? address : address >> 64n).toString(16), seed) % ACCOUNTS;
    const account = accounts.get(which) ?? new Account(limits);
    accounts.set(which, account);
    return account;
  }
  return { exempt, accountOf };
}
