/**
 * One run: starts the workers, gives each its share, sums what they report, and says what came of it. It makes no load
 * itself, so that what it does costs no session anything.
 */
import { cpus, release } from "node:os";
import { type Asked, isPairs, SCENARIOS, shareOf } from "./config.ts";
import { CostMeter, type Units } from "./cost.ts";
import { BUSY_LOAD, type Progress } from "./display.ts";
import type { Measured } from "./expect.ts";
import { Tally } from "./tally.ts";
import type { Order, Report } from "./worker.ts";

const SECOND_MS = 1_000;
/** Workers report at whole seconds after the start; they are summed between two of those. */
const BETWEEN_REPORTS_MS = 500;
/** Begun so much too late, in microseconds, sessions were kept waiting by the generator itself. */
const LATE_MICROS = 10_000;

/** How a run is shown, and with what it is made. */
export interface Surroundings {
  /** The command line that makes this program a worker. */
  readonly workerCommand: readonly string[];
  readonly version: string;
  show(progress: Progress): void;
}

/** A run that can't go on. */
export class RunFailed extends Error {}

export class Coordinator {
  readonly #asked: Asked;
  readonly #surroundings: Surroundings;
  readonly #tally: Tally;
  readonly #workers: Bun.Subprocess[] = [];
  readonly #meter: CostMeter | null;
  readonly #settled = new Set<number>();
  readonly #isOver = Promise.withResolvers<void>();
  readonly #isPrepared = Promise.withResolvers<void>();
  readonly #hasFailed = Promise.withResolvers<never>();
  #prepared = 0;
  #over = 0;
  #isInterrupted = false;
  #startMs = 0;
  /** When all that was asked for was there, so that what followed is what is measured. */
  #settledMs: number | null = null;
  #endMs = 0;

  /** @throws Error where there is no process of the --pid given */
  constructor(asked: Asked, surroundings: Surroundings) {
    this.#asked = asked;
    this.#surroundings = surroundings;
    this.#tally = new Tally(this.#main, asked.plan.workers);
    this.#meter = asked.plan.pid ? new CostMeter(asked.plan.pid) : null;
  }

  /** Runs it all. @throws RunFailed where a worker died */
  async run(): Promise<Measured> {
    const { plan } = this.#asked;
    for (let worker = 0; worker < plan.workers; worker++) this.#workers.push(this.#spawn(worker));
    const timers: NodeJS.Timeout[] = [];
    try {
      await Promise.race([this.#isPrepared.promise, this.#hasFailed.promise]);
      const startedAt = new Date().toISOString();
      this.#startMs = performance.now();
      this.#order({ type: "start" });
      const begin = () => timers.push(setInterval(() => this.#second(), SECOND_MS));
      timers.push(setTimeout(begin, BETWEEN_REPORTS_MS));
      await Promise.race([this.#isOver.promise, this.#hasFailed.promise]);
      this.#endMs = performance.now();
      this.#second();
      return this.#measured(startedAt);
    } finally {
      for (const timer of timers) clearInterval(timer);
      for (const worker of this.#workers) worker.kill("SIGKILL");
      await Promise.all(this.#workers.map(({ exited }) => exited));
    }
  }

  /** Ends it early; what was measured so far is what comes of it. */
  interrupt(): void {
    this.#isInterrupted = true;
    if (this.#startMs === 0) this.#isOver.resolve();
    this.#order({ type: "stop" });
  }

  get #main() {
    return SCENARIOS[this.#asked.plan.scenario].main;
  }

  #spawn(worker: number): Bun.Subprocess {
    return Bun.spawn([...this.#surroundings.workerCommand], {
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
      ipc: (report: Report) => this.#hear(worker, report),
      onExit: (_process, code, signal) => {
        this.#hasFailed.reject(new RunFailed(`a worker ended too early, with ${signal ?? code}`));
      },
    });
  }

  #order(order: Order): void {
    for (const worker of this.#workers) worker.send(order);
  }

  #hear(worker: number, report: Report): void {
    const { plan } = this.#asked;
    switch (report.type) {
      case "hello":
        this.#workers[worker]?.send({ type: "plan", plan: shareOf(plan, worker) } satisfies Order);
        return;
      case "prepared":
        if (++this.#prepared === plan.workers) this.#isPrepared.resolve();
        return;
      case "settled":
        this.#settled.add(worker);
        if (this.#settled.size < plan.workers) return;
        this.#settledMs = performance.now();
        this.#meter?.restart();
        this.#meter?.sample(isPairs(plan.scenario) ? 2 * plan.pairs : 0);
        return;
      case "over":
        this.#over++;
    }
    this.#tally.add(worker, report.delta);
    this.#meter?.sample(this.#tally.peers);
    if (this.#over === plan.workers) this.#isOver.resolve();
  }

  #second(): void {
    const elapsed = ((this.#endMs || performance.now() - BETWEEN_REPORTS_MS) - this.#startMs) / SECOND_MS;
    const tally = this.#tally;
    const latest = tally.second(elapsed);
    this.#surroundings.show({
      scenario: this.#asked.plan.scenario,
      fraction: this.#fraction(),
      elapsed,
      latest,
      counts: tally.counts,
      main: this.#main,
      percentiles: tally.percentiles[this.#main] ?? null,
      errors: Object.fromEntries(Object.entries(tally.errors).map(([kind, { count }]) => [kind, count])),
    });
  }

  #fraction(): number | null {
    const { scenario, sessions, durationMs } = this.#asked.plan;
    const { done, failed } = this.#tally.counts;
    if (scenario === "storm") return null;
    if (sessions > 0) return Math.min(1, (done + failed) / sessions);
    return this.#settledMs === null ? null : Math.min(1, (performance.now() - this.#settledMs) / durationMs);
  }

  #measured(startedAt: string): Measured {
    const { plan, options } = this.#asked;
    const tally = this.#tally;
    const seconds = (this.#endMs - this.#startMs) / SECOND_MS;
    return {
      version: this.#surroundings.version,
      scenario: plan.scenario,
      targets: plan.targets,
      options,
      startedAt,
      seconds,
      interrupted: this.#isInterrupted,
      main: this.#main,
      counts: tally.counts,
      ...this.#rates(seconds),
      percentiles: tally.percentiles,
      histograms: tally.histograms,
      errors: tally.errors,
      peakPeers: tally.peakPeers,
      timeline: tally.timeline,
      generator: {
        workers: plan.workers,
        cpuSeconds: tally.cpuSeconds,
        load: tally.load,
        lag: tally.lag,
        isBottleneck: tally.load > BUSY_LOAD || tally.lag > LATE_MICROS,
      },
      cost: this.#meter?.cost(this.#units()) ?? null,
      machine: { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, kernel: release(), bun: Bun.version },
    };
  }

  /** Sessions a second that were meant to begin, and that ended well; for pairs that stay, those that were ready. */
  #rates(seconds: number): Pick<Measured, "offeredPerSecond" | "achievedPerSecond"> {
    const { plan } = this.#asked;
    const { counts, lastDoneAt, percentiles } = this.#tally;
    const isStaying = isPairs(plan.scenario);
    const most = isStaying ? plan.pairs : plan.sessions;
    const meantSeconds = (most ? (most / plan.rate) * SECOND_MS + plan.rampMs / 2 : plan.durationMs) / SECOND_MS;
    const gatheredSeconds = ((this.#settledMs ?? this.#endMs) - this.#startMs) / SECOND_MS;
    return {
      offeredPerSecond: plan.rate
        ? counts.offered / (this.#isInterrupted ? Math.min(seconds, meantSeconds) : meantSeconds)
        : null,
      achievedPerSecond: isStaying
        ? Math.min(percentiles.ready?.count ?? 0, plan.pairs) / gatheredSeconds // a storm makes them ready again
        : counts.done / (lastDoneAt || seconds),
    };
  }

  /** What the relay's expense is divided by; 0 for what the scenario is not about. */
  #units(): Units {
    const { done, received } = this.#tally.counts;
    const isStaying = isPairs(this.#asked.plan.scenario);
    return { sessions: isStaying ? 0 : done, messages: received, peers: isStaying ? this.#tally.peakPeers : 0 };
  }
}
