/** A relay in the test's own process, on real sockets, with the time in the test's hand: nothing in it happens by itself. */
import { expect } from "bun:test";
import type { Clock } from "../../../src/core/liveness.ts";
import { type Dependencies, type Relay, startRelay } from "../../../src/core/relay.ts";
import { Books, gauges } from "../../../src/program/books.ts";
import { readConfig } from "../../../src/program/config.ts";
import { Metrics } from "../../../src/program/metrics.ts";
import { WARNINGS } from "../../../src/program/warnings.ts";
import { answer, refusal } from "../../../src/web/http.ts";
import { parseMetrics } from "../machines/metrics.ts";

/** A clock that goes on when it is set, and never calls anybody. */
export class HandClock implements Clock {
  at = 0;
  readonly isLate = false;
  now = (): number => this.at;
  every = (): (() => void) => () => {};
}

export interface HandRelay extends AsyncDisposable {
  readonly relay: Relay;
  readonly books: Books;
  readonly clock: HandClock;
  readonly url: string;
  readonly warnings: readonly string[];
  /** The value of a row of its metrics, such as `whisper_errors_total{error="quota"}`. */
  count(row: string): number;
  /** Goes on to a time, and sweeps there. */
  sweepAt(ms: number): void;
  /** Ends it. Its books must have been right all the time. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts one with these options, on a free port of the loopback. */
export function startHandRelay(args: readonly string[] = [], more: Partial<Dependencies> = {}): HandRelay {
  const clock = new HandClock();
  const warnings: string[] = [];
  const metrics = new Metrics({
    warn: (warning) => void warnings.push(WARNINGS[warning]),
    swept: () => books.turn(),
  });
  const config = readConfig(args, { WHISPER_HOST: "127.0.0.1", WHISPER_PORT: "0" });
  const relay: Relay = startRelay(config, {
    events: metrics,
    clock,
    http: (request) => answer(request, books.status, relay.state.sessions.size),
    refusal,
    failed(error) {
      throw error; // an error that nobody expected fails the test
    },
    ...more,
  });
  const books = new Books(relay, metrics, (line) => void warnings.push(line));
  const nothing = {
    residentBytes: null,
    cpuSeconds: null,
    openFiles: null,
    maxFiles: null,
    startedAt: null,
    memoryBytes: null,
    memoryMarkBytes: null,
  };
  const program = { version: "", commit: "", bun: "", isLocked: false, droppedLines: 0 };
  return {
    relay,
    books,
    clock,
    url: `ws://127.0.0.1:${relay.port}`,
    warnings,
    count: (row) => parseMetrics(metrics.write(gauges(relay.state), nothing, program, null)).get(row) ?? Number.NaN,
    sweepAt(ms) {
      clock.at = ms;
      relay.sweep();
    },
    async [Symbol.asyncDispose]() {
      expect(books.check()).toBe(0);
      await relay.stop();
    },
  };
}
