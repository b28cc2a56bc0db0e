/**
 * Links between nodes: one for each peer whose session another node has. Owns their numbers and what may have to be sent
 * again. Each direction is a row of numbered packets; what is missing is asked for once it is noticed, sent again for
 * FRESH_MS, and not after that: a link with a hole is cut. Pure: time is passed in, and it sends nothing.
 */
import { DEAD_MS, FRESH_MS } from "./times.ts";

/** What a packet is about. From a peer's node to the session's: the first four; back: the others; `cut`: either way. */
export type Kind =
  | "open" // this peer joins: its join as JSON
  | "text" // it said this
  | "heard" // it was heard after a probe
  | "left" // it is gone
  | "taken" // the join came to where the session is
  | "say" // the session's relay says this to the peer
  | "ready" // the same, and somebody sits opposite
  | "peer-left" // the same, and nobody does
  | "pass" // the peer opposite says this
  | "probe" // is it there?
  | "close" // an error's name: it was told, and is to be closed
  | "cut"; // this end gave the link up
const LAST: readonly Kind[] = ["left", "close", "cut"];

export interface Packet {
  readonly link: string;
  /** From 1 in each direction. */
  readonly seq: number;
  /** When it was sent, by the engine's clock. */
  readonly atMs: number;
  readonly kind: Kind;
  readonly text: string;
  /** In an `open`: which claim it is sent to. */
  readonly fence?: string;
}

/** What may have to be sent again. */
export interface Sent {
  readonly packet: Packet;
  readonly at: number;
  /** Whether the engine had somebody to hand it to. */
  isTaken: boolean;
}

/** What one node says to another of the links between them: which there are, and up to which number it has all. */
export interface Roll {
  readonly atMs: number;
  readonly links: readonly (readonly [link: string, got: number])[];
}

/** What is to come yet was sent before the engine's clock was set back: who knows when. */
export function isStale(atMs: number, engineMs: number): boolean {
  return Math.abs(engineMs - atMs) > FRESH_MS;
}

export class Link {
  readonly id: string;
  readonly code: string;
  /** The node at the other end. */
  readonly other: string;
  /** Whether this is the end where the session is. */
  readonly isHome: boolean;
  readonly at: number;
  /** By which of the session's names the claim was found; the driver seals by the secret of that name. */
  readonly nameIndex: number;
  /** Its last packet has been sent; it is kept for as long as that may have to be sent again. */
  endedAt: number | null = null;
  #sent = 0;
  #got = 0;
  #history: Sent[] = [];
  #holeAt: number | null = null;

  constructor(id: string, code: string, other: string, isHome: boolean, at: number, nameIndex = 0) {
    this.id = id;
    this.code = code;
    this.other = other;
    this.isHome = isHome;
    this.at = at;
    this.nameIndex = nameIndex;
  }

  get got(): number {
    return this.#got;
  }

  /** Numbers a packet and keeps it for as long as it may be sent again. */
  send(kind: Kind, text: string, now: number, atMs: number, fence?: string): Sent {
    const packet = { link: this.id, seq: ++this.#sent, atMs, kind, text, ...(fence !== undefined && { fence }) };
    const sent = { packet, at: now, isTaken: false };
    this.#forget(now);
    this.#history.push(sent);
    if (LAST.includes(kind)) this.endedAt = now;
    return sent;
  }

  /**
   * What to do with a packet: deliver it; drop it, since it came before; ask for what is missing before it; or cut the
   * link, since it is too old.
   */
  receive({ seq, atMs }: Packet, now: number, engineMs: number): "deliver" | "drop" | "ask" | "cut" {
    if (seq <= this.#got) return "drop";
    if (isStale(atMs, engineMs)) return "cut";
    if (seq > this.#got + 1) {
      this.#holeAt ??= now;
      return "ask";
    }
    this.#got = seq;
    this.#holeAt = null;
    return "deliver";
  }

  /** What the other end, which has all up to `got`, still lacks; null where that is not to be had any more. */
  missing(got: number, now: number): readonly Sent[] | null {
    this.#forget(now);
    if (got >= this.#sent) return [];
    const missing = this.#history.filter(({ packet }) => packet.seq > got);
    return missing.length === this.#sent - got ? missing : null;
  }

  /** What the engine has handed to nobody yet, and is not too old. */
  untaken(now: number): readonly Sent[] {
    return this.#history.filter(({ isTaken, at }) => !isTaken && now - at <= FRESH_MS);
  }

  /**
   * Whether it can't be trusted any more: something is missing, or could not be handed on, for too long.
   * @param seenAt when the other node was last heard of
   */
  isBroken(now: number, seenAt: number): boolean {
    if (this.#holeAt !== null && now - this.#holeAt > FRESH_MS) return true;
    if (now - Math.max(seenAt, this.at) > DEAD_MS) return true;
    return this.#history.some(({ isTaken, at }) => !isTaken && now - at > FRESH_MS);
  }

  #forget(now: number): void {
    const first = this.#history.findIndex(({ isTaken, at }) => !isTaken || now - at <= FRESH_MS);
    this.#history.splice(0, first === -1 ? this.#history.length : first);
  }
}
