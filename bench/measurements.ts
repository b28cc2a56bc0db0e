/** What is measured of each server: the load tester's scenarios with their options. Pure. */
import { amount } from "../src/load/figures.ts";
import type { Result } from "../src/load/result.ts";

/** How much is measured: all of it for the docs, less for a first look. */
export interface Extent {
  /** Of one run, in s. */
  readonly seconds: number;
  /** How many pairs there are, step by step, where growth is measured. */
  readonly growth: readonly number[];
}

export interface Measurement {
  readonly name: string;
  /** The load tester's scenario and its options. */
  readonly args: readonly string[];
  readonly isTls: boolean;
  /** In s: sessions before the measurement, so that the server's code is compiled; 0 for memory, which they would use. */
  readonly warmUpSeconds: number;
}

/** One run of the load tester against a freshly started server. */
export interface Sample {
  readonly server: string;
  readonly measurement: string;
  /** From 0. */
  readonly round: number;
  readonly result: Result;
}

/** One search for the largest rate that a freshly started server bears. */
export interface Limit {
  readonly server: string;
  readonly round: number;
  /** Null where not even the least one held. */
  readonly rate: number | null;
  /** Whether the load tester was the bottleneck where it first failed. */
  readonly isBottleneck: boolean;
}

/** The names of the measurements, as the tables and the samples have them. */
export const NAMES = {
  sessions: "sessions",
  secure: "sessions over TLS",
  times: "times",
  messages: "messages",
  silent: (pairs: number) => `${amount(pairs)} pairs, silent`,
  talking: (pairs: number) => `${amount(pairs)} pairs, talking`,
} as const;

/** Sessions at once where as many as can be are made: enough that a server never waits for the load tester. */
const CONCURRENCY = 50;
/** Sessions a second where times are measured: each server has more than half of a core left then. */
export const SESSION_RATE = 100;
/** Pairs that talk, and messages a second from each peer: 4,000 a second in all. */
const TALKING_PAIRS = 100;
const MESSAGE_RATE = 20;
/** Messages a second from each peer where growth is measured: the least that the load tester sends. */
const GROWTH_MESSAGE_RATE = 1;
const WARM_UP_SECONDS = 2;
/** What has to hold at the largest rate. */
export const LIMIT_EXPECTATIONS = ["failed=0", "achieved>=95%", "session.p99<50ms"];
/** The first rate to try, how long, in s, and how closely the largest is found, in percent. */
const LIMIT_FROM = 400;
const LIMIT_SECONDS = 2;
const LIMIT_PRECISION = 10;
/** How long idle pairs are looked at once all are connected, in s; they don't change any more. */
const IDLE_SECONDS = 3;

/** Options of the load tester's find, for one search. */
export const LIMIT_ARGS: readonly string[] = [
  ...["handshake", "--from", `${LIMIT_FROM}`, "--duration", `${LIMIT_SECONDS}s`, "--timeout", `${LIMIT_SECONDS}s`],
  ...["--repeats", "1", "--precision", `${LIMIT_PRECISION}`],
  ...LIMIT_EXPECTATIONS.flatMap((expectation) => ["--expect", expectation]),
];

/** @returns everything that is measured, in the order in which it is */
export function measurements({ seconds, growth }: Extent): Measurement[] {
  const warm = { isTls: false, warmUpSeconds: WARM_UP_SECONDS };
  const lasting = (...args: string[]) => [...args, "--duration", `${seconds}s`];
  const many = lasting("handshake", "--concurrency", `${CONCURRENCY}`, "--trickle", "off");
  const talk = (pairs: number, rate: number) => lasting("relay", "--pairs", `${pairs}`, "--message-rate", `${rate}`);
  return [
    { name: NAMES.sessions, args: many, ...warm },
    { name: NAMES.secure, args: many, ...warm, isTls: true },
    { name: NAMES.times, args: lasting("handshake", "--rate", `${SESSION_RATE}`), ...warm },
    { name: NAMES.messages, args: talk(TALKING_PAIRS, MESSAGE_RATE), ...warm },
    ...growth.flatMap((pairs) => [
      {
        ...{ name: NAMES.silent(pairs), isTls: false, warmUpSeconds: 0 },
        args: ["hold", "--pairs", `${pairs}`, "--duration", `${IDLE_SECONDS}s`],
      },
      { name: NAMES.talking(pairs), args: talk(pairs, GROWTH_MESSAGE_RATE), ...warm },
    ]),
  ];
}
