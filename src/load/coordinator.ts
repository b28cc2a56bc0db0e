/**
 * One run: starts the workers, gives each its share, sums what they report, and says what came of it. It makes no load
 * itself, so that what it does costs no session anything. Whatever becomes of workers and relay, it comes to an end,
 * with all that was measured until then.
 */
import { type Asked, isPairs, SCENARIOS, shareOf } from "./config.ts";
import type { Meter, Units } from "./cost.ts";
import { BUSY_LOAD, type Progress } from "./display.ts";
import type { Measured } from "./expect.ts";
import { portsOfAnAddress, thisMachine } from "./machine.ts";
import { SCHEMA } from "./result.ts";
import { Tally } from "./tally.ts";
import type { Order, Report } from "./worker.ts";

const SECOND_MS = 1_000;
/** Workers report at whole seconds after the start; they are summed between two of those. */
const BETWEEN_REPORTS_MS = 500;
/** Begun so much too late, in microseconds, sessions were kept waiting by the generator itself. */
const LATE_MICROS = 10_000;
/** A shorter run, in s, says nothing of how busy a worker is. */
const LEAST_SECONDS = 1;
/** Workers are up within moments; so long is waited for them, in ms. */
const START_MS = 30_000;
/** A worker reports each second: after so long without a word it is not coming back. docs/LOAD.md says so. */
export const SILENCE_MS = 10_000;
/** So long workers may take to hang up, in ms, once they are told to. */
const STOP_MS = 5_000;

/** How a run is shown, and with what it is made. */
export interface Dependencies {
  /** The command line that makes this program a worker. */
  readonly workerCommand: readonly string[];
  readonly version: string;
  readonly meter: Meter | null;
  show(progress: Progress): void;
}

/** What came of a run. */
export interface Run {
  readonly measured: Measured;
  /** Whether the tester itself failed. */
  readonly isBroken: boolean;
}

export class Coordinator {
  readonly #asked: Asked;
  readonly #dependencies: Dependencies;
  readonly #tally: Tally;
  readonly #workers: Bun.Subprocess[] = [];
  readonly #settled = new Set<number>();
  readonly #waiting = new Set<number>();
  readonly #over = new Set<number>();
  readonly #heardMs: number[] = [];
  readonly #troubles: string[] = [];
  readonly #isPrepared = Promise.withResolvers<void>();
  readonly #isOver = Promise.withResolvers<void>();
  #prepared = 0;
  #isInterrupted = false;
  #isBroken = false;
  #startMs = 0;
  /** When all that was asked for was there, so that what followed is what is measured. */
  #settledMs: number | null = null;
  #endMs = 0;

  constructor(asked: Asked, dependencies: Dependencies) {
    this.#asked = asked;
    this.#dependencies = dependencies;
    this.#tally = new Tally(this.#main, asked.plan.workers);
  }

  /** Runs it all. */
  async run(): Promise<Run> {
    this.#startWorkers();
    const timers: NodeJS.Timeout[] = [setTimeout(() => this.#giveUp("the workers did not start"), START_MS)];
    try {
      await Promise.race([this.#isPrepared.promise, this.#isOver.promise]);
      clearTimeout(timers.pop());
      await this.#startTime();
      const startedAt = new Date().toISOString();
      this.#startMs = performance.now();
      if (!this.#isInterrupted && !this.#isBroken) this.#order({ type: "start" });
      this.#heardMs.fill(this.#startMs);
      const begin = () => timers.push(setInterval(() => this.#second(), SECOND_MS));
      timers.push(setTimeout(begin, BETWEEN_REPORTS_MS));
      await this.#isOver.promise;
      this.#endMs = performance.now();
      await this.#dependencies.meter?.end();
      this.#second();
      return { measured: this.#measured(startedAt), isBroken: this.#isBroken };
    } finally {
      for (const timer of timers) clearInterval(timer);
      for (const worker of this.#workers) worker.kill("SIGKILL");
      await Promise.all(this.#workers.map(({ exited }) => exited));
    }
  }

  /** Ends it early; what was measured so far is what comes of it. A second time it does not wait for the workers. */
  interrupt(): void {
    if (this.#isInterrupted) this.#isOver.resolve();
    else this.#stop();
    this.#isInterrupted = true;
  }

  get #main() {
    return SCENARIOS[this.#asked.plan.scenario].main;
  }

  /** Waits until it is time to start, where a time was given. */
  async #startTime(): Promise<void> {
    const { startAt } = this.#asked.plan;
    if (startAt === "now") return;
    const wait = Bun.sleep(Math.max(0, Date.parse(startAt) - Date.now()));
    await Promise.race([wait, this.#isOver.promise]);
  }

  /** Where there can be no more processes, or the program's own file is gone, there are fewer, and the run is over. */
  #startWorkers(): void {
    const { plan } = this.#asked;
    try {
      while (this.#workers.length < plan.workers) this.#workers.push(this.#spawn(this.#workers.length));
    } catch (failure) {
      this.#giveUp(`a worker could not be started, ${failure instanceof Error ? failure.message : failure}`);
    }
  }

  #spawn(worker: number): Bun.Subprocess {
    this.#heardMs[worker] = performance.now();
    return Bun.spawn([...this.#dependencies.workerCommand], {
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
      ipc: (report: Report) => this.#hear(worker, report),
      onExit: (_process, code, signal) => {
        if (this.#over.has(worker)) return;
        this.#over.add(worker);
        this.#giveUp(`a worker ended too early, with ${signal ?? code}`);
      },
    });
  }

  /** The load is no longer what was asked for: ends what is left of it. */
  #giveUp(trouble: string): void {
    if (this.#endMs > 0) return;
    this.#isBroken = true;
    this.#troubles.push(`The run was ended: ${trouble}.`);
    this.#stop();
  }

  /** Tells the workers to hang up, and waits for them no longer than they need. */
  #stop(): void {
    if (this.#startMs === 0) this.#isOver.resolve();
    this.#order({ type: "stop" });
    this.#endIfOver();
    setTimeout(() => this.#isOver.resolve(), STOP_MS).unref();
  }

  #order(order: Order): void {
    for (const worker of this.#workers.keys()) if (!this.#over.has(worker)) this.#tell(worker, order);
  }

  #tell(worker: number, order: Order): void {
    try {
      this.#workers[worker]?.send(order);
    } catch {
      // it has died, which is told by its end or by its silence
    }
  }

  #hear(worker: number, report: Report): void {
    const { plan } = this.#asked;
    const { meter } = this.#dependencies;
    this.#heardMs[worker] = performance.now();
    switch (report.type) {
      case "hello":
        this.#tell(worker, { type: "plan", plan: shareOf(plan, worker) });
        return;
      case "prepared":
        if (++this.#prepared === plan.workers) this.#isPrepared.resolve();
        return;
      case "waiting":
        this.#waiting.add(worker);
        this.#goOnIfAllWait();
        return;
      case "settled":
        this.#settled.add(worker);
        if (this.#settled.size < plan.workers) return;
        this.#settledMs = performance.now();
        meter?.restart();
        meter?.sample(isPairs(plan.scenario) ? 2 * plan.pairs : 0);
        return;
      case "over":
        this.#over.add(worker);
    }
    this.#tally.add(worker, report.delta);
    meter?.sample(this.#tally.peers);
    this.#goOnIfAllWait();
    this.#endIfOver();
  }

  #goOnIfAllWait(): void {
    if (this.#waiting.size === 0 || this.#waiting.size + this.#over.size < this.#asked.plan.workers) return;
    this.#waiting.clear();
    this.#order({ type: "goOn" });
  }

  #endIfOver(): void {
    if (this.#over.size === this.#asked.plan.workers) this.#isOver.resolve();
  }

  #second(): void {
    const nowMs = performance.now();
    const elapsed = ((this.#endMs || nowMs - BETWEEN_REPORTS_MS) - this.#startMs) / SECOND_MS;
    const tally = this.#tally;
    const latest = tally.second(elapsed);
    this.#dependencies.show({
      scenario: this.#asked.plan.scenario,
      fraction: this.#fraction(),
      elapsed,
      latest,
      counts: tally.counts,
      main: this.#main,
      percentiles: tally.percentiles[this.#main] ?? null,
      errors: Object.fromEntries(Object.entries(tally.errors).map(([kind, { count }]) => [kind, count])),
    });
    for (const [worker, heardMs] of this.#heardMs.entries())
      if (!this.#isBroken && !this.#over.has(worker) && nowMs > heardMs + SILENCE_MS) {
        this.#over.add(worker);
        this.#giveUp(`a worker did not answer for ${SILENCE_MS / SECOND_MS} s`);
      }
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
    const { meter, version } = this.#dependencies;
    const seconds = (this.#endMs - this.#startMs) / SECOND_MS;
    return {
      schema: SCHEMA,
      version,
      scenario: plan.scenario,
      targets: plan.targets,
      options,
      startedAt,
      seconds,
      interrupted: this.#isInterrupted,
      troubles: [...this.#troubles, ...(meter?.trouble ? [meter.trouble] : []), ...this.#scarcity()],
      main: this.#main,
      counts: tally.counts,
      ...this.#rates(seconds),
      percentiles: tally.percentiles,
      histograms: tally.histograms,
      errors: tally.errors,
      peakPeers: tally.peakPeers,
      storms: tally.storms,
      timeline: tally.timeline,
      generator: {
        workers: plan.workers,
        cpuSeconds: tally.cpuSeconds,
        load: tally.load,
        lag: tally.lag,
        queue: tally.queue,
        isBottleneck:
          (seconds >= LEAST_SECONDS && tally.load > BUSY_LOAD) ||
          tally.lag > LATE_MICROS ||
          tally.queue.p99 > LATE_MICROS,
      },
      cost: meter?.cost(this.#units()) ?? null,
      machine: thisMachine(),
    };
  }

  /** Sessions a second that were meant to begin, and that ended well; for pairs that stay, those that were ready. */
  #rates(
    seconds: number,
  ): Pick<
    Measured,
    "offeredPerSecond" | "achievedPerSecond" | "messagesOfferedPerSecond" | "messagesAchievedPerSecond"
  > {
    const { plan } = this.#asked;
    const { counts, lastDoneAt, percentiles } = this.#tally;
    const isStaying = isPairs(plan.scenario);
    const most = isStaying ? plan.pairs : plan.sessions;
    const meantSeconds = (most ? (most / plan.rate) * SECOND_MS + plan.rampMs / 2 : plan.durationMs) / SECOND_MS;
    const settledMs = this.#settledMs ?? this.#endMs;
    const gatheredSeconds = (settledMs - this.#startMs) / SECOND_MS;
    const { count = 0, failed = 0 } = percentiles.ready ?? {};
    const talkedSeconds = Math.min(plan.durationMs, this.#endMs - settledMs) / SECOND_MS;
    const offeredSeconds = this.#isInterrupted || this.#isBroken ? Math.min(seconds, meantSeconds) : meantSeconds;
    const doneSeconds = Math.max(lastDoneAt, plan.rate ? offeredSeconds : 0) || seconds; // the last one is begun before
    const isTalking = plan.scenario === "relay" && talkedSeconds > 0;
    return {
      offeredPerSecond: plan.rate ? counts.offered / offeredSeconds : null,
      achievedPerSecond: isStaying ? (count - failed) / gatheredSeconds : counts.done / doneSeconds,
      messagesOfferedPerSecond: isTalking ? counts.meant / talkedSeconds : null,
      messagesAchievedPerSecond: isTalking ? counts.received / talkedSeconds : null,
    };
  }

  /** A kernel looks for a free port the longer the fewer there are; it takes half of them gladly. */
  #scarcity(): string[] {
    const { source, targets } = this.#asked.plan;
    const ports = (portsOfAnAddress() ?? Number.POSITIVE_INFINITY) * Math.max(1, source.length) * targets.length;
    if (this.#tally.peakPeers <= ports / 2) return [];
    return [
      `More than half of the ${ports} ports to connect from were taken, and the kernel may take long to find one: times of ` +
        "connecting may be partly this machine's. Give several --source, or several URLs.",
    ];
  }

  /** What the relay's expense is divided by; 0 for what the scenario is not about. */
  #units(): Units {
    const { done, received } = this.#tally.counts;
    const isStaying = isPairs(this.#asked.plan.scenario);
    return { sessions: isStaying ? 0 : done, messages: received, peers: isStaying ? this.#tally.peakPeers : 0 };
  }
}
