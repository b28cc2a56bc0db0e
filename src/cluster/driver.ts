/**
 * One node of one engine as it runs: the state machine, the bridge to the core, the seals, and the helper that speaks to
 * the engine. Owns the letters that nodes write to each other, and what is counted of them:
 *
 *   p LINK SEQ SEALED                       a packet of a link
 *   o LINK SEQ FROM NAME FENCE SEALED       its first: FROM asks for a guest's seat at the session of that name
 *   n LINK                                  there is no such session here. It is not sealed: who could forge it could
 *                                           as well have lost the question
 *   r FROM SEALED                           a roll
 *   b FROM                                  to all: that node has ended, as its helper says
 *   s FROM MARK [MARK]                      to all: by which secrets FROM seals
 *   d FROM MARK [MARK]                      the answer to that of a node that has none of them
 */
import { Bridge, type Host, type Transport } from "./bridge.ts";
import type { Link, Packet } from "./links.ts";
import { Node, PHASES } from "./node.ts";
import {
  type EngineConfig,
  line,
  linesOf,
  type Obstacles,
  type Order,
  type Report,
  STAGES,
  type Stage,
  sharedMs,
} from "./pipe.ts";
import { ALL, argumentsOf, type Call, channelOf, keyOf, type Reply } from "./script.ts";
import { type LinkKeys, openPacket, type Sealer, sealPacket } from "./seal.ts";
import { FRESH_MS } from "./times.ts";

/** Joins wait for seconds: it need not be finer. */
const TICK_MS = 250;
/** A helper notices within 3 s that the engine is silent. One that has said nothing for so long stands still itself. */
const STUCK_MS = 4_500;

export type Helper = Bun.Subprocess<"pipe", "pipe", "inherit">;

/** What an operator may know: ok, or what is wrong. slow: it answers, but not in time. denied: it answers with an error. */
export const STATES = [...PHASES, "slow", "denied"] as const;
export type State = (typeof STATES)[number];

/** What a driver is given. */
export interface Dependencies {
  readonly sealer: Sealer;
  /** Which of how many engines this is, as all nodes have to have it. */
  readonly layout: string;
  warn(line: string): unknown;
  /** The helper has ended, by itself. */
  ended(): void;
}

export class Driver {
  readonly bridge: Bridge;
  readonly node: Node;
  readonly errors = new Map<Stage, number>(STAGES.map((stage) => [stage, 0]));
  /** The first thing that came of trying to reach the engine. */
  readonly first: Promise<Report>;
  obstacles: Obstacles = [null, null];
  readonly #around: Dependencies;
  readonly #helper: Helper;
  readonly #keys = new WeakMap<Link, LinkKeys>();
  /** By name: sessions that are here, or asked for. */
  readonly #codes = new Map<string, string>();
  /** By which of our names the link was asked for that is being opened. */
  #openedBy = 0;
  #run = "";
  #upMs = 0;
  #firstSeen: (report: Report) => void = () => {};
  #isEnding = false;
  #isServed = false;
  /** Nothing is written to a helper that reads nothing. */
  #isStuck = false;

  constructor(helper: Helper, config: Omit<EngineConfig, "node" | "atMs">, around: Dependencies) {
    this.#around = around;
    this.#helper = helper;
    this.node = new Node(newId(), newId, sharedMs());
    this.bridge = new Bridge(this.node, this.#transport(), sharedMs, queueMicrotask);
    this.first = new Promise((resolve) => {
      this.#firstSeen = resolve;
    });
    this.#write({ ...config, node: this.node.id, atMs: sharedMs() });
    void this.#listen();
    setInterval(() => this.#tick(), TICK_MS);
  }

  #tick(): void {
    const { node } = this;
    this.bridge.happen({ type: "tick" });
    if (!this.#isStuck && node.isUp && node.helloAt !== null && sharedMs() - node.helloAt > STUCK_MS) {
      this.#isStuck = true;
      this.#count("helper");
      this.#around.warn("the helper of an engine of --cluster stands still");
      this.bridge.happen({ type: "down", refusedAt: null });
    }
    if (this.#codes.size <= (node.homes.size + node.claims.size) * this.#around.sealer.size) return;
    for (const [name, code] of this.#codes)
      if (!node.homes.has(code) && !node.claims.has(code)) this.#codes.delete(name);
  }

  serve(host: Host): void {
    this.bridge.serve(host);
    this.#isServed = true;
    this.#tellSecrets("s", ALL);
  }

  get state(): State {
    const { phase, helloAt, isDenied } = this.node;
    if (isDenied && phase !== "gone") return "denied";
    return phase === "ok" && helloAt !== null && sharedMs() - helloAt > FRESH_MS ? "slow" : phase;
  }

  /** Lets the helper go; it says to the engine that this node is gone. */
  end(): void {
    this.#isEnding = true;
    this.#helper.stdin.end();
  }

  #write(words: Order | EngineConfig): void {
    if (this.#isStuck) return;
    this.#helper.stdin.write(line(words));
    this.#helper.stdin.flush();
  }

  async #listen(): Promise<void> {
    try {
      for await (const text of linesOf(this.#helper.stdout)) this.#hear(JSON.parse(text) as Report);
    } finally {
      if (!this.#isEnding) {
        this.#count("helper");
        this.bridge.happen({ type: "down", refusedAt: null });
        this.#around.ended();
      }
    }
  }

  #count(stage: Stage): void {
    this.errors.set(stage, (this.errors.get(stage) ?? 0) + 1);
  }

  #hear(report: Report): void {
    if (this.#isStuck) {
      this.#isStuck = false;
      if (report[0] === "reply" || report[0] === "message") this.bridge.happen({ type: "up" });
    }
    const [what] = report;
    if (what === "reply") this.#answered(report[1], report[2]);
    else if (what === "message") this.#read(report[1]);
    else if (what === "locked") this.obstacles = [report[1], report[2]];
    else this.#reached(report);
  }

  #answered(id: number, reply: Reply): void {
    if (reply?.[0] === "error") this.#fail("call", `${reply[1]}`);
    this.bridge.happen({ type: "reply", id, reply });
  }

  #fail(stage: Stage, why: string): void {
    this.#count(stage);
    this.#around.warn(`an engine of --cluster can't be used (${stage}): ${why}`);
  }

  #reached(report: Report & readonly ["up" | "down", ...unknown[]]): void {
    this.#firstSeen(report);
    if (report[0] === "up") {
      [, this.#run, this.#upMs] = report;
      this.bridge.happen({ type: "up" });
      if (this.#isServed) this.#tellSecrets("s", ALL);
      return;
    }
    const [, stage, why, refusedAt] = report;
    this.#fail(stage, why);
    this.bridge.happen({ type: "down", refusedAt });
  }

  #transport(): Transport {
    return {
      call: (id, call) => this.#call(id, call),
      packet: (id, link, packet) => this.#publish(id, link.other, this.#letter(link, packet)),
      roll: (to, roll) =>
        this.#publish(0, to, `r ${this.node.id} ${this.#around.sealer.sealRoll(this.node.id, to, roll)}`),
      nope: (to, { link }) => this.#publish(0, to, `n ${link}`),
    };
  }

  #publish(id: number, to: string, letter: string): void {
    this.#write(["publish", id, sharedMs(), channelOf(to), letter]);
  }

  #call(id: number, call: Call): void {
    const { sealer, layout } = this.#around;
    const words = argumentsOf(call, this.node.id, this.node.incarnation, this.#run, layout, this.#upMs);
    const codes = "claims" in call ? call.claims.map(({ code }) => code) : "code" in call ? [call.code] : [];
    const names = "name" in call ? [call.name] : codes.flatMap((code) => sealer.names(code));
    if (call.op === "claim") for (const name of names) this.#codes.set(name, call.code);
    this.#write(["call", id, sharedMs(), names.map(keyOf), words]);
  }

  #letter(link: Link, packet: Packet): string {
    const { up, down } = this.#keysOf(link);
    const sealed = sealPacket(link.isHome ? down : up, packet);
    if (packet.kind !== "open") return `p ${link.id} ${packet.seq} ${sealed}`;
    const name = this.#around.sealer.names(link.code)[link.nameIndex];
    return `o ${link.id} ${packet.seq} ${this.node.id} ${name} ${packet.fence} ${sealed}`;
  }

  #keysOf(link: Link): LinkKeys {
    const known = this.#keys.get(link);
    if (known) return known;
    const keys = this.#around.sealer.linkKeys(link.isHome ? this.#openedBy : link.nameIndex, link.code, link.id);
    this.#keys.set(link, keys);
    return keys;
  }

  #read(letter: string): void {
    const [kind, first = "", ...rest] = letter.split(" ");
    if (kind === "n") this.bridge.happen({ type: "nope", link: first });
    else if (kind === "b") this.bridge.happen({ type: "bye", from: first });
    else if (kind === "p") this.#readPacket(first, Number(rest[0]), rest[1] ?? "");
    else if (kind === "o") this.#readOpen(first, Number(rest[0]), rest.slice(1));
    else if (kind === "s" || kind === "d") this.#compareSecrets(kind, first, rest);
    else if (kind === "r") {
      const roll = this.#around.sealer.openRoll(first, this.node.id, rest[0] ?? "");
      if (roll) this.bridge.happen({ type: "roll", from: first, roll });
    }
  }

  #tellSecrets(kind: "s" | "d", channel: string): void {
    this.#write(["publish", 0, sharedMs(), channel, [kind, this.node.id, ...this.#around.sealer.marks].join(" ")]);
  }

  /** Nodes without a secret in common never meet: nothing else would tell. */
  #compareSecrets(kind: "s" | "d", from: string, theirs: readonly string[]): void {
    const { sealer, warn } = this.#around;
    if (sealer.marks.some((mark) => theirs.includes(mark))) return;
    this.#count("secret");
    warn("another relay of the cluster has another secret: neither takes part in the other's sessions");
    if (kind === "s") this.#tellSecrets("d", channelOf(from));
  }

  #readPacket(id: string, seq: number, sealed: string): void {
    const link = this.node.links.get(id);
    if (!link) return;
    const { up, down } = this.#keysOf(link);
    const packet = openPacket(link.isHome ? up : down, id, seq, sealed);
    if (packet) this.bridge.happen({ type: "packet", from: link.other, packet, code: link.code });
  }

  #readOpen(id: string, seq: number, [from = "", name = "", fence = "", sealed = ""]: readonly string[]): void {
    const { sealer } = this.#around;
    const code = this.#codes.get(name);
    if (code === undefined || this.node.homes.get(code)?.fence !== fence) {
      this.#call(0, { op: "disown", name, fence });
      this.#publish(0, from, `n ${id}`);
      return;
    }
    this.#openedBy = sealer.names(code).indexOf(name);
    const packet = openPacket(sealer.linkKeys(this.#openedBy, code, id).up, id, seq, sealed);
    if (packet?.kind === "open") this.bridge.happen({ type: "packet", from, packet: { ...packet, fence }, code });
  }
}

/** 128 random bits. */
function newId(): string {
  return crypto.getRandomValues(new Uint8Array(16)).toBase64({ alphabet: "base64url", omitPadding: true });
}
