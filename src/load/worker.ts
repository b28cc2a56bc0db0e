/**
 * One process that makes load: it runs its share of a plan, and reports what it measured once a second.
 */
import type { Plan, ScenarioName } from "./config.ts";
import { Exchange } from "./exchange.ts";
import { Handshake } from "./handshake.ts";
import { Hold } from "./hold.ts";
import { Hostile } from "./hostile.ts";
import { QueueProbe } from "./queueing.ts";
import { Recorder } from "./recorder.ts";
import type { Delta } from "./result.ts";
import type { Scenario } from "./scenario.ts";
import { Stage } from "./stage.ts";
import { Storm } from "./storm.ts";
import type { Wire } from "./wire.ts";

const REPORT_MS = 1_000;

const MADE: Readonly<Record<ScenarioName, new (stage: Stage, startMs: number) => Scenario>> = {
  handshake: Handshake,
  hold: Hold,
  relay: Exchange,
  storm: Storm,
  hostile: Hostile,
};

/** What a worker is told. */
export type Order =
  | { readonly type: "plan"; readonly plan: Plan }
  | { readonly type: "start" }
  | { readonly type: "goOn" }
  | { readonly type: "stop" };

/** What it tells. */
export type Report =
  | { readonly type: "hello" }
  | { readonly type: "prepared" }
  | { readonly type: "settled" }
  | { readonly type: "waiting" }
  | { readonly type: "delta"; readonly delta: Delta }
  | { readonly type: "over"; readonly delta: Delta };

/** What it has of the process that it is. */
export interface WorkerWorld {
  readonly wire: Wire;
  /** How many sockets may be open at once. */
  readonly mostPeers: number;
  report(report: Report): void;
  /** Of the process so far, in s. */
  cpuSeconds(): number;
}

export class Worker {
  readonly #world: WorkerWorld;
  readonly #recorder = new Recorder();
  readonly #queue = new QueueProbe();
  #stage: Stage | null = null;
  #scenario: Scenario | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isSettled = false;
  #isWaiting = false;
  #reportedMs = 0;
  #reportedCpu = 0;

  constructor(world: WorkerWorld) {
    this.#world = world;
  }

  obey(order: Order): void {
    if (order.type === "plan") this.#prepare(order.plan);
    else if (order.type === "start") this.#start();
    else if (order.type === "goOn") this.#goOn();
    else this.#end();
  }

  #prepare(plan: Plan): void {
    this.#stage = new Stage(plan, this.#world.wire, this.#recorder, this.#world.mostPeers);
    this.#queue.start().then(() => this.#world.report({ type: "prepared" }));
  }

  #goOn(): void {
    this.#isWaiting = false;
    this.#scenario?.goOn();
  }

  #start(): void {
    if (this.#stage === null) return;
    const startMs = performance.now();
    this.#reportedMs = startMs;
    this.#reportedCpu = this.#world.cpuSeconds();
    this.#scenario = new MADE[this.#stage.plan.scenario](this.#stage, startMs);
    this.#tick(this.#scenario);
  }

  #tick(scenario: Scenario): void {
    const nowMs = performance.now();
    this.#timer = setTimeout(() => this.#tick(scenario), scenario.tickMs);
    if (scenario.tick(nowMs)) {
      this.#end();
      return;
    }
    if (!this.#isSettled && scenario.isSettled) {
      this.#isSettled = true;
      this.#world.report({ type: "settled" });
    }
    if (scenario.isWaiting && !this.#isWaiting) {
      this.#isWaiting = true;
      this.#world.report({ type: "waiting" });
    }
    if (nowMs >= this.#reportedMs + REPORT_MS) this.#world.report({ type: "delta", delta: this.#take() });
  }

  #end(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#scenario?.stop();
    this.#queue.stop();
    this.#world.report({ type: "over", delta: this.#take() });
  }

  #take(): Delta {
    const [nowMs, cpu] = [performance.now(), this.#world.cpuSeconds()];
    const usage = {
      seconds: (nowMs - this.#reportedMs) / 1_000,
      cpuSeconds: cpu - this.#reportedCpu,
      queue: this.#queue.take(),
    };
    this.#reportedMs = nowMs;
    this.#reportedCpu = cpu;
    return this.#recorder.take(usage);
  }
}
