/**
 * Nodes, their helpers and an engine, with virtual time between them: delays, losses, duplicates, connections that break
 * or fall silent, pauses and crashes. Nothing here decides what a node does.
 */
import { Bridge, type Transport } from "../../../src/cluster/bridge.ts";
import type { Link, Packet } from "../../../src/cluster/links.ts";
import { Node } from "../../../src/cluster/node.ts";
import { argumentsOf, type Call, type Reply } from "../../../src/cluster/script.ts";
import { FRESH_MS } from "../../../src/cluster/times.ts";
import type { Random } from "../machines/random.ts";
import { ModelEngine } from "./model-engine.ts";
import { ModelRelay } from "./model-relay.ts";

const TICK_MS = 700;
/** As the helper has it: an engine that does not answer for so long is left. */
const SILENT_MS = 3_000;

export class Time {
  now = 0;
  #queue: { at: number; n: number; run: () => void }[] = [];
  #n = 0;

  after(ms: number, run: () => void): void {
    const entry = { at: this.now + ms, n: this.#n++, run };
    let low = 0;
    let high = this.#queue.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#queue[middle];
      if (other && (other.at > entry.at || (other.at === entry.at && other.n > entry.n))) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, entry);
  }

  /** @param check is called after each event */
  runUntil(at: number, check: () => void): void {
    for (let next = this.#queue.at(-1); next && next.at <= at; next = this.#queue.at(-1)) {
      this.#queue.pop();
      this.now = next.at;
      next.run();
      check();
    }
    this.now = at;
  }
}

/** What may go wrong at once, in the hands of whoever runs it. */
export class Net {
  readonly time = new Time();
  readonly random: Random;
  engine: ModelEngine;
  engineOffset: number;
  /** The engine: serves, is stopped and holds what comes, or is not there. */
  engineIs: "there" | "stopped" | "gone" = "there";
  isFull = false;
  held: (() => void)[] = [];
  readonly connections = new Set<Connection>();
  lossPerMille = 0;
  slowMs = 0;

  constructor(random: Random) {
    this.random = random;
    this.engineOffset = random.below(100_000_000);
    this.engine = new ModelEngine(this.engineNow - 60_000);
  }

  get engineNow(): number {
    return this.time.now + this.engineOffset;
  }

  delay(): number {
    return 1 + this.random.below(5) + (this.slowMs > 0 ? this.random.below(this.slowMs) : 0);
  }

  atEngine(run: () => void): void {
    if (this.engineIs === "stopped") this.held.push(run);
    else if (this.engineIs === "there") run();
  }

  continue(): void {
    this.engineIs = "there";
    for (const run of this.held.splice(0)) run();
  }

  /** All connections are gone with it. */
  stopEngine(): void {
    this.engineIs = "gone";
    this.held = [];
    for (const connection of this.connections) connection.isKilled = true;
    for (const connection of [...this.connections]) connection.killed();
  }
}

/** In both directions what was sent first comes first. */
export class Connection {
  readonly net: Net;
  readonly node: ModelNode;
  /** Ended by the engine; what is on its way there is lost. */
  isKilled = false;
  /** Left by the node; what is on its way may still be done. */
  isLeft = false;
  #toEngineAt = 0;
  #toNodeAt = 0;

  constructor(net: Net, node: ModelNode) {
    this.net = net;
    this.node = node;
    net.connections.add(this);
  }

  toEngine(run: () => void): void {
    const { time } = this.net;
    this.#toEngineAt = Math.max(this.#toEngineAt, time.now + this.net.delay());
    time.after(this.#toEngineAt - time.now, () => this.#whenConnected(() => !this.isKilled && this.net.atEngine(run)));
  }

  toNode(run: () => void): void {
    const { time } = this.net;
    this.#toNodeAt = Math.max(this.#toNodeAt, time.now + this.net.delay());
    time.after(this.#toNodeAt - time.now, () => {
      this.#whenConnected(() => this.node.atHelper(() => !this.isLeft && run()));
    });
  }

  /** Through a cut nothing comes; what was sent waits in the kernels, in order. */
  #whenConnected(run: () => void): void {
    if (this.node.isCut) this.node.heldByCut.push(run);
    else run();
  }

  killed(): void {
    this.isKilled = true;
    this.net.connections.delete(this);
    this.toNode(() => this.node.lost(this));
  }
}

export class ModelNode {
  readonly net: Net;
  readonly id: string;
  readonly node: Node;
  readonly bridge: Bridge;
  readonly relay: ModelRelay;
  readonly #offset: number;
  isDead = false;
  isPaused = false;
  isHelperPaused = false;
  isCut = false;
  heldByCut: (() => void)[] = [];
  #held: (() => void)[] = [];
  #heldByHelper: (() => void)[] = [];
  connection: Connection | null = null;
  /** When each call was made that is not answered. */
  readonly #pending = new Map<number, number>();
  readonly #soon: (() => void)[] = [];

  constructor(net: Net, id: string) {
    this.net = net;
    this.id = id;
    this.#offset = net.random.below(1_000_000);
    let ids = 0;
    this.node = new Node(id, () => `${id}.${++ids}`, this.now);
    this.bridge = new Bridge(
      this.node,
      this.#transport(),
      () => this.now,
      (run) => this.#soon.push(run),
    );
    let tokens = 0;
    this.relay = new ModelRelay(
      this.bridge,
      () => this.now,
      () => `token-${id}-${++tokens}`.padEnd(32, "-"),
    );
    this.#connect();
    this.#tick();
  }

  get now(): number {
    return this.net.time.now + this.#offset;
  }

  /** Does something in the node's process, as soon as that goes on. */
  do(run: () => void): void {
    if (this.isDead) return;
    if (this.isPaused) this.#held.push(run);
    else {
      run();
      for (let soon = this.#soon.shift(); soon; soon = this.#soon.shift()) soon();
    }
  }

  /** The same in its helper, which hands on what comes from there. */
  atHelper(run: () => void): void {
    if (this.isDead) return;
    if (this.isHelperPaused) this.#heldByHelper.push(run);
    else run();
  }

  resume(): void {
    this.isPaused = false;
    for (const run of this.#held.splice(0)) this.do(run);
  }

  resumeHelper(): void {
    this.isHelperPaused = false;
    for (const run of this.#heldByHelper.splice(0)) this.atHelper(run);
  }

  heal(): void {
    this.isCut = false;
    for (const run of this.heldByCut.splice(0)) run();
  }

  kill(): void {
    this.isDead = true;
    if (this.connection) {
      this.connection.isLeft = true;
      const { connection } = this;
      this.net.time.after(this.net.delay(), () => {
        connection.isKilled = true;
        this.net.connections.delete(connection);
      });
    }
  }

  #tick(): void {
    this.net.time.after(TICK_MS, () => {
      if (this.isDead) return;
      this.do(() => {
        this.bridge.happen({ type: "tick" });
        this.relay.tick();
      });
      this.atHelper(() => this.#watch());
      this.#tick();
    });
  }

  #watch(): void {
    const oldest = this.#pending.values().next().value;
    if (this.connection && oldest !== undefined && this.net.time.now - oldest > SILENT_MS) this.#leave();
  }

  #leave(): void {
    const { connection } = this;
    if (!connection) return;
    connection.isLeft = true;
    this.net.time.after(this.net.random.below(2_000), () => {
      connection.isKilled = true; // the engine learns of it some time
      this.net.connections.delete(connection);
    });
    this.lost(connection);
  }

  lost(connection: Connection): void {
    if (this.connection !== connection) return;
    this.connection = null;
    this.#pending.clear();
    this.do(() => this.bridge.happen({ type: "down", refusedAt: null }));
    this.net.time.after(50 + this.net.random.below(200), () => this.#connect());
  }

  #connect(): void {
    if (this.isDead) return;
    const { net } = this;
    const begun = this.now;
    const again = (ms: number) => net.time.after(ms, () => this.atHelper(() => this.#connect()));
    net.time.after(net.delay(), () => {
      if (this.isCut || net.engineIs === "stopped") return again(SILENT_MS);
      if (net.engineIs === "gone") {
        this.atHelper(() => this.do(() => this.bridge.happen({ type: "down", refusedAt: begun })));
        return again(100 + net.random.below(400));
      }
      const connection = new Connection(net, this);
      const { run } = net.engine;
      const upMs = net.engineNow - net.engine.startedAt;
      connection.toNode(() => {
        if (connection.isKilled) return again(100);
        this.connection = connection;
        this.#run = run;
        this.#upMs = upMs;
        this.do(() => this.bridge.happen({ type: "up" }));
      });
    });
  }
  #run = "";
  #upMs = 0;

  #transport(): Transport {
    return {
      call: (id, call) => {
        const given = argumentsOf(call, this.id, this.node.incarnation, this.#run, "1/1", this.#upMs);
        this.#toEngine(id, () => this.#execute(call, given));
      },
      packet: (id, link, packet) => this.#toEngine(id, () => [this.#publish(link.other, packet, link)]),
      roll: (to, roll) =>
        this.#toEngine(null, () => [
          this.#deliver(to, (other) => other.bridge.happen({ type: "roll", from: this.id, roll })),
        ]),
      nope: (to, packet) => {
        const { fence = "", link } = packet;
        const call = { op: "disown", name: JSON.parse(packet.text).sessionCode, fence } as const;
        const given = argumentsOf(call, this.id, this.node.incarnation, this.#run, "1/1", this.#upMs);
        this.#toEngine(null, () => this.#execute(call, given));
        this.#toEngine(null, () => [this.#deliver(to, (other) => other.bridge.happen({ type: "nope", link }))]);
      },
    };
  }

  /** @param id null: nobody waits for the answer */
  #toEngine(id: number | null, execute: () => Reply): void {
    const { net } = this;
    const askedAt = net.time.now;
    if (id !== null) this.#pending.set(id, askedAt);
    this.atHelper(() => {
      const { connection } = this;
      const isLate = net.time.now - askedAt > FRESH_MS;
      const answer = (reply: Reply) => {
        this.#pending.delete(id ?? 0);
        if (id !== null) this.do(() => this.bridge.happen({ type: "reply", id, reply }));
      };
      if (!connection || isLate) {
        if (connection && id !== null) net.time.after(0, () => answer(null));
        return;
      }
      connection.toEngine(() => {
        const reply = execute();
        connection.toNode(() => answer(reply));
      });
    });
  }

  #execute(call: Call, given: readonly string[]): Reply {
    const { engine, engineNow, isFull } = this.net;
    if (isFull && (call.op === "claim" || call.op === "keep")) return ["error", "OOM"];
    const names =
      call.op === "claim"
        ? [call.code]
        : "claims" in call
          ? call.claims.map(({ code }) => code)
          : "name" in call
            ? [call.name]
            : [];
    return engine.call(names, given, engineNow);
  }

  #publish(to: string, packet: Packet, link: Link): number {
    const { random, lossPerMille } = this.net;
    if (random.below(1_000) < lossPerMille) return 1;
    const times = random.below(1_000) < lossPerMille ? 2 : 1;
    let taken = 0;
    for (let n = 0; n < times; n++) taken = this.#deliver(to, (other) => other.receives(this.id, packet, link.code));
    return taken;
  }

  receives(from: string, packet: Packet, codeOfOther: string): void {
    const code = this.node.homes.has(codeOfOther) ? codeOfOther : null;
    this.bridge.happen({ type: "packet", from, packet, code });
  }

  /** As PUBLISH does it. @returns how many the engine handed it to */
  #deliver(to: string, run: (other: ModelNode) => void): number {
    let taken = 0;
    for (const connection of this.net.connections) {
      if (connection.node.id !== to || connection.isKilled) continue;
      taken++;
      connection.toNode(() => connection.node.do(() => run(connection.node)));
    }
    return taken;
  }
}
