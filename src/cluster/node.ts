/**
 * What one node knows of all sessions, and what it says and hears: the state that lease.ts, traffic.ts and joins.ts work
 * on, each with its own part of it. Owns the words between the state machine and its driver. It decides nothing.
 */
import type { Kind, Link, Packet, Roll } from "./links.ts";
import type { Call, Reply } from "./script.ts";

/** A join that waits for the directory; the driver knows whose it is. */
export interface Ask {
  readonly code: string;
  /** As JSON, for the node that has the session. */
  readonly join: string;
}

/** `refusedAt`: when the engine was tried, and the machine that it runs on said that none is there. */
export type Event =
  | { readonly type: "up" | "tick" }
  | { readonly type: "down"; readonly refusedAt: number | null }
  | { readonly type: "reply"; readonly id: number; readonly reply: Reply }
  | { readonly type: "ask" | "withdraw"; readonly ask: Ask }
  | { readonly type: "give back"; readonly code: string }
  | { readonly type: "packet"; readonly from: string; readonly packet: Packet; readonly code: string | null }
  | { readonly type: "roll"; readonly from: string; readonly roll: Roll }
  | { readonly type: "nope"; readonly link: string }
  | { readonly type: "bye"; readonly from: string }
  | { readonly type: "send"; readonly link: Link; readonly kind: Kind; readonly text: string };

export type Effect =
  | { readonly do: "call"; readonly id: number; readonly call: Call }
  | { readonly do: "packet"; readonly id: number; readonly link: Link; readonly packet: Packet }
  | { readonly do: "roll"; readonly to: string; readonly roll: Roll }
  | { readonly do: "nope"; readonly to: string; readonly packet: Packet }
  | { readonly do: "answer"; readonly ask: Ask; readonly home: Home | null }
  | { readonly do: "away"; readonly ask: Ask; readonly link: Link }
  | { readonly do: "guest" | "deliver"; readonly link: Link; readonly kind: Kind; readonly text: string }
  | { readonly do: "broken"; readonly link: Link }
  | { readonly do: "lose"; readonly code: string };

/** ok: served. waiting: what is here is claimed again. gone: no engine that answers. misfit: it is of another cluster. */
export const PHASES = ["ok", "waiting", "gone", "misfit"] as const;
export type Phase = (typeof PHASES)[number];

/** A session that this node has. */
export interface Home {
  readonly fence: string;
  /** Seats that the core was granted and has not given back. */
  grants: number;
  keptAt: number;
}

/** A join on its way. */
export interface Waiting {
  readonly ask: Ask;
  readonly until: number;
  tries: number;
  /** So long the node that it was sent to has to take it. */
  openMs: number;
}

export class Node {
  readonly id: string;
  readonly newId: () => string;
  phase: Phase = "gone";

  // The lease; see lease.ts.
  /** Grows with each lease that does not follow from the one before. */
  incarnation = 0;
  isUp = false;
  downAt: number;
  /** When it was last sure that nobody else could have what it has. */
  provenAt = Number.NEGATIVE_INFINITY;
  /** Which run of the engine it knows; see script.ts. */
  epoch = "";
  /** The engine's clock less this one's; null: it never said. */
  offsetMs: number | null = null;
  /** How far that may be off. */
  inexactMs = 0;
  rttMs = 0;
  /** A time of the engine at which its clock had not been set, though it was long since anybody's last hello; or 0. */
  sureMs = 0;
  /** The engine answered the last hello with an error. */
  isDenied = false;
  /** When the hello was sent that is unanswered; when the last one was. */
  helloAt: number | null = null;
  lastHelloAt = Number.NEGATIVE_INFINITY;
  /** The engine may not know all that is here: it has begun anew, or a call was lost. */
  isBehind = false;
  /** Batches that are claimed again for that, and when they were begun. */
  again: { left: number; readonly at: number } | null = null;

  /** By code. */
  readonly homes = new Map<string, Home>();
  /** By code: who waits for the claim that is under way. */
  readonly claims = new Map<string, Waiting[]>();

  // The links; see traffic.ts.
  readonly links = new Map<string, Link>();
  /** Joins whose link is not taken yet. */
  readonly opening = new Map<Link, Waiting>();
  /** Joins whose link is no more, which ask anew. */
  returned: Waiting[] = [];
  /** Ids of links that have ended, and when. */
  readonly ended = new Map<string, number>();
  /** When another node was last heard of, and when it was last told which links there are. */
  readonly seen = new Map<string, number>();
  readonly toldAt = new Map<string, number>();

  /** By number: what is to be done with the answer. */
  readonly calls = new Map<number, (turn: Turn, reply: Reply) => void>();
  nextCall = 1;
  readonly counts = { lost: 0, cut: 0, late: 0, packets: 0, unclaimed: 0 };

  /** @param id names it to other nodes; `newId` names links, so that nobody can guess at them */
  constructor(id: string, newId: () => string, now: number) {
    this.id = id;
    this.newId = newId;
    this.downAt = now;
  }
}

/** One step: what it works on, when, and what comes of it. */
export interface Turn {
  readonly node: Node;
  readonly now: number;
  readonly effects: Effect[];
}

/** The engine's clock, as far as can be told from here. */
export function engineMs({ node, now }: Turn): number {
  return now + (node.offsetMs ?? 0);
}

export function call({ node, effects }: Turn, call: Call, then: (turn: Turn, reply: Reply) => void = () => {}) {
  const id = node.nextCall++;
  node.calls.set(id, then);
  effects.push({ do: "call", id, call });
}
