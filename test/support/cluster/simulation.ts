/**
 * One run of three nodes, an engine, some people and everything that may go wrong, from a seed: what happened that must
 * never happen, in words. Virtual time; the same seed gives the same run.
 */
import { isSafe } from "../../../src/cluster/directory.ts";
import { LEASE_MS, RECORD_MS, RENEW_MS } from "../../../src/cluster/times.ts";
import { Random } from "../machines/random.ts";
import { ModelEngine } from "./model-engine.ts";
import { ModelNode, Net } from "./model-net.ts";
import { Person, type Seen } from "./model-person.ts";

const NODES = 3;
const CODES = ["AAAAAAAA", "BBBBBBBB"];
const PEOPLE = 7;
/** So long things go wrong; and so long afterwards everything has to be right again. */
const STORM_MS = 20_000;
/** The longest harm is over by then. */
const AFTERMATH_MS = 13_000;
const CALM_MS = 12_000;

/** A fault to be found: what is done to each engine and node as it begins. */
export interface Plant {
  engine?(engine: ModelEngine): void;
  node?(node: ModelNode): void;
}

/** What a run was like, so that it can be told whether the runs reach what they should. */
export interface Report {
  readonly faults: string[];
  readonly seen: Seen & Record<"lost" | "cut" | "late", number>;
}

class Run {
  readonly random: Random;
  readonly net: Net;
  readonly nodes: ModelNode[] = [];
  readonly people: Person[];
  readonly faults = new Set<string>();
  readonly seen: Report["seen"] = { ready: 0, across: 0, told: 0, refused: 0, lost: 0, cut: 0, late: 0 };
  #born = 0;
  #saved: ModelEngine["entries"] = new Map();
  #snapshot: ModelEngine["entries"] = new Map();
  /** How far the engine's clock was set back in all: what is in it lasts for so much longer. */
  #backMs = 0;
  #setAt = Number.NEGATIVE_INFINITY;
  #lastBackMs = 0;

  readonly #plant: Plant;

  constructor(seed: number, plant: Plant) {
    this.random = new Random(seed);
    this.net = new Net(this.random);
    this.#plant = plant;
    plant.engine?.(this.net.engine);
    for (let n = 0; n < NODES; n++) this.#newNode(n);
    this.people = Array.from({ length: PEOPLE }, (_, n) => new Person(this, `p${n}`));
  }

  wrong(what: string): void {
    this.faults.add(`${what} (at ${this.net.time.now} ms)`);
  }

  setBackSince(at: number): number {
    return this.#setAt >= at && this.#lastBackMs < LEASE_MS ? this.#lastBackMs : 0;
  }

  #newNode(n: number): void {
    const node = new ModelNode(this.net, `n${n}-${++this.#born}`);
    this.#plant.node?.(node);
    this.nodes[n] = node;
  }

  #living(): ModelNode[] {
    return this.nodes.filter(({ isDead, isPaused }) => !isDead && !isPaused);
  }

  run(): void {
    const { time } = this.net;
    const check = () => this.#check();
    time.runUntil(500, check);
    const kinds = this.random.below(4);
    for (let at = time.now; at < STORM_MS; at += 20 + this.random.below(500)) {
      time.runUntil(at, check);
      this.#act();
      if (this.random.below(10) < kinds) this.#harm();
    }
    this.#calm(check);
  }

  #act(): void {
    const { random } = this;
    const person = random.pick(this.people);
    const what = random.below(10);
    if (what < 5 && !person.isThere) {
      const living = this.#living();
      if (living.length > 0)
        person.join(random.pick(living), random.pick(CODES), random.below(2) === 0, random.below(3) === 0);
    } else if (what < 8) {
      for (let n = random.below(4); n >= 0; n--) person.speak();
    } else if (what === 8) person.close();
    else if (random.below(3) === 0) person.isGhost = true;
  }

  #harm(): void {
    const { random, net } = this;
    const { time } = net;
    const node = random.pick(this.nodes);
    const ms = random.pick([100, 1_000, 3_000, 7_000, 9_000, 12_000]) + random.below(1_000);
    switch (random.below(13)) {
      case 0: // CLIENT KILL
        node.connection?.killed();
        break;
      case 1:
        if (node.isCut) return;
        node.isCut = true;
        time.after(ms, () => node.heal());
        break;
      case 2: // restarted empty
        if (net.engineIs !== "there") return;
        net.stopEngine();
        time.after(ms / 2, () => {
          net.engine = new ModelEngine(net.engineNow);
          net.engine.run = `run-${++this.#born}`;
          this.#plant.engine?.(net.engine);
          net.engineIs = "there";
        });
        break;
      case 3: // SIGSTOP, or DEBUG SLEEP
        if (net.engineIs !== "there") return;
        net.engineIs = "stopped";
        time.after(ms, () => net.continue());
        break;
      case 4: {
        // a replica takes over that lacks what was written last
        if (net.engineIs !== "there") return;
        net.stopEngine();
        const engine = new ModelEngine(net.engineNow); // so its helper takes it: it was a replica
        engine.entries = new Map(this.#snapshot);
        engine.run = `run-${++this.#born}`;
        this.#plant.engine?.(engine);
        time.after(random.below(2_000), () => {
          engine.startedAt = net.engineNow;
          net.engine = engine;
          net.engineIs = "there";
        });
        break;
      }
      case 11: {
        // restarted with what it once saved
        if (net.engineIs !== "there") return;
        net.stopEngine();
        time.after(random.below(2_000), () => {
          net.engine = new ModelEngine(net.engineNow);
          net.engine.entries = new Map(this.#saved);
          net.engine.run = `run-${++this.#born}`;
          this.#plant.engine?.(net.engine);
          net.engineIs = "there";
        });
        break;
      }
      case 12: {
        // Its clock is set. How long it has been there is told by that clock, too: a start just before is another fault.
        // So is a node that is cut off while it is set ahead by less than shows, as by two sets, ahead and back.
        const byMs = random.pick([-3_600_000, -10_000, -3_000, -300, 300, 6_000, 8_000, 3_600_000]);
        if (net.engineNow - net.engine.startedAt < 2 * LEASE_MS || time.now < this.#setAt + LEASE_MS) return;
        this.#setAt = time.now;
        net.engineOffset += byMs;
        this.#lastBackMs = Math.max(0, -byMs);
        this.#backMs += this.#lastBackMs;
        break;
      }
      case 5: {
        if (node.isDead) return;
        node.kill();
        for (const person of this.people) if (person.node === node) person.closed();
        const at = this.nodes.indexOf(node);
        time.after(ms, () => this.#newNode(at));
        break;
      }
      case 6:
        if (node.isPaused) return;
        node.isPaused = true;
        time.after(ms, () => node.resume());
        break;
      case 7:
        if (node.isHelperPaused) return;
        node.isHelperPaused = true;
        time.after(ms, () => node.resumeHelper());
        break;
      case 8:
        net.isFull = true;
        time.after(ms, () => {
          net.isFull = false;
        });
        break;
      case 9:
        net.slowMs = ms;
        time.after(3_000, () => {
          net.slowMs = 0;
        });
        break;
      default:
        net.lossPerMille = 200;
        time.after(ms, () => {
          net.lossPerMille = 0;
        });
    }
    if (random.below(10) === 0) this.#saved = new Map(net.engine.entries);
    if (random.below(2) === 0) this.#snapshot = new Map(net.engine.entries);
  }

  /** What must hold at any time. */
  #check(): void {
    for (const code of CODES) {
      let serving = 0;
      for (const { node, relay, isDead, now } of this.nodes)
        if (!isDead && relay.state.sessions.has(code) && isSafe(node, now)) serving++;
      if (serving > 1) this.wrong("two nodes have one session");
    }
  }

  #calm(check: () => void): void {
    const { net, people } = this;
    const { time } = net;
    time.runUntil(time.now + AFTERMATH_MS, check);
    time.runUntil(time.now + CALM_MS, check);
    for (const person of people) if (person.isThere && !person.isAnswered) this.wrong("a join was forgotten");
    this.#checkPairs(check);
    for (const person of people) person.close();
    time.runUntil(time.now + LEASE_MS, check);
    for (const { node, relay, bridge, isDead } of this.nodes) {
      if (isDead) continue;
      this.seen.lost += node.counts.lost;
      this.seen.cut += node.counts.cut;
      this.seen.late += node.counts.late;
      const left = {
        ...{ peers: relay.state.peers.size, sessions: relay.state.sessions.size, seats: relay.state.seats },
        ...{ homes: node.homes.size, claims: node.claims.size, links: node.links.size, opening: node.opening.size },
        ...{ guests: bridge.guests, away: bridge.away, returned: node.returned.length },
      };
      for (const [what, count] of Object.entries(left)) if (count !== 0) this.wrong(`${count} ${what} are left`);
      if (node.phase !== "ok") this.wrong(`a node is ${node.phase} though the engine is there`);
    }
    this.#checkHomes(check);
    const orphans = net.engine.keys("at:", net.engineNow + RECORD_MS + this.#backMs);
    if (orphans.length > 0) this.wrong("a claim outlives its session");
  }

  /** A session that nobody is in begins where its next peer comes, whichever node had it before. */
  #checkHomes(check: () => void): void {
    const [person] = this.people;
    for (const node of this.#living()) {
      person?.join(node, CODES[0] ?? "", true, false);
      this.net.time.runUntil(this.net.time.now + RENEW_MS, check);
      if (!node.node.homes.has(CODES[0] ?? "")) this.wrong("a session does not begin where its first peer came");
      person?.close();
      this.net.time.runUntil(this.net.time.now + RENEW_MS, check);
    }
  }

  /** Whoever was told that somebody sits opposite can speak to it, and it to them. */
  #checkPairs(check: () => void): void {
    const ready = this.people.filter((person) => person.isThere && person.isReady && !person.isGhost);
    for (const person of ready) person.heardOf = null;
    for (const person of ready) person.speak();
    this.net.time.runUntil(this.net.time.now + RENEW_MS, check);
    for (const person of ready) {
      const opposite = this.people.filter(
        (other) => other !== person && other.isThere && other.isReady && other.code === person.code,
      );
      if (opposite.length !== 1) this.wrong(`who is ready has ${opposite.length} opposite`);
      if (opposite[0]?.isGhost === false && person.heardOf !== opposite[0].speaker)
        this.wrong("who is ready does not hear the one opposite");
    }
  }
}

/** @param plant what is made wrong on purpose */
export function simulate(seed: number, plant: Plant = {}): Report {
  const run = new Run(seed, plant);
  run.run();
  return { faults: [...run.faults], seen: run.seen };
}

/**
 * Does so many runs. All that they are to reach has been reached, too.
 * @throws Error that names the seed of the first run in which something happened that must not
 */
export function expectNoFault(firstSeed: number, runs: number): void {
  const seen = new Map<string, number>();
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const { faults, seen: more } = simulate(seed);
    if (faults.length > 0) throw new Error(`seed ${seed}: ${faults.join("; ")}`);
    for (const [what, count] of Object.entries(more)) seen.set(what, (seen.get(what) ?? 0) + count);
  }
  const unseen = [...seen].filter(([, count]) => count < runs / 100).map(([what]) => what);
  if (unseen.length > 0) throw new Error(`seeds from ${firstSeed} on: never seen: ${unseen.join()}`);
}
