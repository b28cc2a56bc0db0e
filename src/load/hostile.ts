/**
 * Whole sessions amid peers that misbehave. The good pairs are measured; what becomes of the others is only counted.
 */
import { frame, OP, Template } from "./frames.ts";
import { Handshake } from "./handshake.ts";
import { Pair } from "./pair.ts";
import type { Owner, Peer } from "./peer.ts";
import type { TimeName } from "./result.ts";
import type { Stage } from "./stage.ts";
import { CODE } from "./wire.ts";

/** Longer than any relay should suffer a hostile peer, in ms. */
const MOST_LIFE_MS = 90_000;
/** More than the kernels of both ends and a relay's own buffer hold for a peer that doesn't read. */
const FLOOD_BYTES = 8_388_608;
/** Relays take this much in one message, and it costs them little besides the memory. */
const FLOOD_MESSAGE_BYTES = 32_768;
/** What is sent at a stroke. */
const FLOOD_STEP_BYTES = 262_144;

const RUBBISH = [
  frame(OP.text, Buffer.from("hello")),
  frame(OP.text, Buffer.from("")),
  frame(OP.text, Buffer.from('{"type":"join","sessionCode":"A3F7')),
  frame(OP.text, Buffer.from('{"type":"join","sessionCode":["../../etc/passwd"]}')),
  frame(OP.text, Buffer.from('{"__proto__":{"type":"join"}}')),
  frame(OP.text, Buffer.from("[".repeat(30_000))),
  frame(OP.binary, crypto.getRandomValues(new Uint8Array(1_000))),
];

/** Every way to be hostile, in turn. */
const CONDUCTS = ["third", "mute", "deaf", "vanished", "rubbish"] as const;
type Conduct = (typeof CONDUCTS)[number];

/** Something hostile that is going on. */
interface Mischief {
  readonly begunMs: number;
  readonly isOver: boolean;
  /** Goes on with it. */
  tick(): void;
  cut(): void;
}

/** A single hostile peer. */
class Intruder implements Owner, Mischief {
  readonly begunMs: number;
  readonly #stage: Stage;
  readonly #code: Uint8Array;
  readonly #conduct: Conduct;
  readonly #thirds: Intruder[];
  readonly #peer: Peer;
  isOver = false;

  constructor(stage: Stage, nowMs: number, conduct: Conduct, thirds: Intruder[]) {
    this.#stage = stage;
    this.begunMs = nowMs;
    this.#conduct = conduct;
    this.#thirds = thirds;
    this.#code = stage.newCode();
    this.#peer = stage.newPeer(this, "joiner", this.#code, stage.nextRoute());
    this.#peer.connect();
  }

  opened(peer: Peer): void {
    if (this.#conduct === "third") this.#thirds.push(this);
    else if (this.#conduct === "rubbish") for (const bytes of RUBBISH) peer.send(bytes);
    else if (this.#conduct === "vanished") {
      this.join(this.#code);
      peer.isAlive = false;
    }
  }

  /** Takes a seat in the session of `code`, or tries. */
  join(code: Uint8Array): void {
    const join = this.#stage.script.join[this.#peer.role];
    if (join) this.#peer.send(join.with(code));
  }

  text(): void {}
  damaged(): void {}

  lost(): void {
    this.isOver = true;
  }

  tick(): void {}

  cut(): void {
    this.#peer.cut();
    this.isOver = true;
  }
}

/** A pair of which one peer sends without end and the other one doesn't read. */
class DeafPair extends Pair implements Mischief {
  readonly #flood: Template;
  #leftBytes = 0;

  constructor(stage: Stage, nowMs: number, flood: Template) {
    super(stage, nowMs);
    this.#flood = flood;
  }

  get begunMs(): number {
    return this.intendedMs;
  }

  tick(): void {
    const message = this.#flood.with(this.code);
    for (let sent = 0; sent < FLOOD_STEP_BYTES && this.#leftBytes > 0 && !this.initiator.isStuffed; ) {
      this.initiator.send(message);
      sent += message.length;
      this.#leftBytes -= message.length;
    }
  }

  override fail(): void {
    this.cut();
  }

  /** The times of the hostile are none of the good ones'. */
  protected override time(_name: TimeName): void {}
  /** What it gets of the flood is no message that was sent by number. */
  override text(peer: Peer, bytes: Buffer, start: number, end: number): void {
    if (this.stage.wire.kindOf(bytes, start, end) === "ready") super.text(peer, bytes, start, end);
  }

  protected override ready(): void {
    this.joiner.stopReading();
    this.#leftBytes = FLOOD_BYTES;
  }

  protected override relayed(): void {}
  protected override failed(): void {}
}

export class Hostile extends Handshake {
  /** The oldest first. */
  readonly #mischief = new Set<Mischief>();
  /** Those that wait for a session to intrude upon. */
  readonly #thirds: Intruder[] = [];
  readonly #flood = new Template(
    frame(OP.text, Buffer.from(this.stage.wire.message("candidate", "initiator", FLOOD_MESSAGE_BYTES))),
    CODE,
  );
  #begun = 0;

  override tick(nowMs: number): boolean {
    for (const mischief of this.#mischief) {
      if (nowMs >= mischief.begunMs + MOST_LIFE_MS) mischief.cut();
      if (mischief.isOver) this.#mischief.delete(mischief);
      else mischief.tick();
    }
    return super.tick(nowMs);
  }

  override stop(): void {
    super.stop();
    for (const mischief of this.#mischief) mischief.cut();
  }

  /** The pair is whole and speaks, so whoever comes now is the third. */
  override onReady(pair: Pair): void {
    this.#thirds.pop()?.join(pair.code);
  }

  protected override begin(intendedMs: number): void {
    const { plan, recorder, mostPeers } = this.stage;
    if (Math.random() * 100 >= plan.share) {
      super.begin(intendedMs);
      return;
    }
    recorder.counts.offered--; // what was offered is no session
    if (recorder.peers > mostPeers / 2) return; // the rest is for the good
    recorder.counts.hostile++;
    const conduct = CONDUCTS[this.#begun++ % CONDUCTS.length] ?? "mute";
    if (conduct !== "deaf") this.#mischief.add(new Intruder(this.stage, intendedMs, conduct, this.#thirds));
    else {
      const pair = new DeafPair(this.stage, intendedMs, this.#flood);
      this.#mischief.add(pair);
      pair.start();
    }
  }
}
