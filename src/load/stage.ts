/**
 * What every scenario of one worker works with: where to connect, what to say, whom to tell. Made once per run, so that
 * a session itself only fills in its code.
 */
import { isIP } from "node:net";
import type { Plan } from "./config.ts";
import { frame, OP, Template } from "./frames.ts";
import { KEY, type Owner, Peer, type Way } from "./peer.ts";
import type { Recorder } from "./recorder.ts";
import { Message, Train } from "./seal.ts";
import { CODE, type Role, type SealedKind, type Wire } from "./wire.ts";

/** What is said in a session, ready to be sent. */
export interface Script {
  readonly join: Readonly<Record<Role, Template | null>>;
  /** What each role sends: the initiator offers and the joiner answers; both send candidates. */
  readonly description: Readonly<Record<Role, Message>>;
  readonly candidate: Readonly<Record<Role, Message>>;
  /** Offer or answer with all candidates right behind it, in one write. */
  readonly train: Readonly<Record<Role, Train>>;
}

/** How peers get to one target, and what they ask of it. */
export interface Route {
  readonly way: Way;
  readonly request: Readonly<Record<Role, Template>>;
}

/** Stands in an upgrade for as many of the last hex digits of the session code; it can't be part of a URL or a header. */
const SHARD = "\0\0\0";

export class Stage {
  readonly plan: Plan;
  readonly wire: Wire;
  readonly recorder: Recorder;
  readonly script: Script;
  /** How many sockets may be open at once. */
  readonly mostPeers: number;
  readonly #routes: readonly Route[];
  readonly #codes = new Codes();
  #begun = 0;

  constructor(plan: Plan, wire: Wire, recorder: Recorder, mostPeers: number) {
    this.plan = plan;
    this.wire = wire;
    this.recorder = recorder;
    this.mostPeers = mostPeers;
    this.script = scriptOf(plan, wire);
    const sources = plan.source.length > 0 ? plan.source : [undefined];
    this.#routes = sources.flatMap((source) => plan.targets.map((target) => routeOf(target, source, plan, wire)));
  }

  /** A session code that nobody has used, as bytes. */
  newCode(): Uint8Array {
    return this.#codes.next();
  }

  /** Where the next session goes: each target in turn, then each source. */
  nextRoute(): Route {
    const route = this.#routes[this.#begun++ % this.#routes.length];
    if (!route) throw new RangeError("a plan without a target");
    return route;
  }

  /** A peer of the session of `code`, which is yet to connect. */
  newPeer(owner: Owner, role: Role, code: Uint8Array, { way, request }: Route): Peer {
    return new Peer(owner, role, way, () => request[role].with(code), this.recorder);
  }
}

/** Session codes of 12 upper-case hex digits, as clients make them, counted up from a random one. */
class Codes {
  readonly #last = Buffer.from(crypto.getRandomValues(new Uint8Array(6)).toHex().toUpperCase());

  next(): Uint8Array {
    for (let at = this.#last.length - 1; at >= 0; at--) {
      const digit = HEX.indexOf(this.#last[at] ?? 0);
      this.#last[at] = HEX[(digit + 1) % HEX.length] ?? 0;
      if (digit + 1 < HEX.length) break;
    }
    return Uint8Array.from(this.#last);
  }
}
const HEX = Buffer.from("0123456789ABCDEF");

function scriptOf(plan: Plan, wire: Wire): Script {
  const isRelay = plan.scenario === "relay"; // whose pairs send each other candidates only, of a size of their own
  const each = <T>(make: (role: Role) => T): Record<Role, T> => ({
    initiator: make("initiator"),
    joiner: make("joiner"),
  });
  const join = (role: Role) => {
    const words = wire.join(role);
    return words === null ? null : new Template(frame(OP.text, Buffer.from(words)), CODE);
  };
  const candidateBytes = isRelay ? plan.sizeBytes : plan.candidateBytes;
  const candidate = each((role) => new Message(wire, "candidate", role, candidateBytes));
  const description = each((role) => new Message(wire, DESCRIBES[role], role, plan.sdpBytes));
  const train = (role: Role) =>
    new Train([description[role], ...Array.from({ length: isRelay ? 0 : plan.candidates }, () => candidate[role])]);
  return { join: each(join), description, candidate, train: each(train) };
}

/** How each role describes itself. */
export const DESCRIBES = { initiator: "offer", joiner: "answer" } as const satisfies Record<Role, SealedKind>;

function routeOf(target: string, source: string | undefined, plan: Plan, wire: Wire): Route {
  const { protocol, hostname, host, port, pathname, search } = new URL(target);
  const shard = plan.shard ? `${search || wire.path("joiner").includes("?") ? "&" : "?"}s=${SHARD}` : "";
  const isTls = protocol === "wss:";
  const name = hostname.replace(/^\[|\]$/g, "");
  const serverName = isIP(name) ? {} : { serverName: name }; // RFC 6066: an address is no name to ask for
  const tls = isTls ? { rejectUnauthorized: !plan.insecure, ...serverName } : false;
  const way = { hostname: name, port: Number(port) || (isTls ? 443 : 80), tls, takesAnyCertificate: plan.insecure };
  const request = (role: Role) => {
    const lines = [
      `GET ${wire.path(role) ? pathname.replace(/\/$/, "") : pathname}${wire.path(role)}${search}${shard} HTTP/1.1`,
      `Host: ${host}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Key: ${KEY}`,
      "Sec-WebSocket-Version: 13",
      ...plan.header,
    ];
    return new Template(Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), CODE, SHARD);
  };
  return {
    way: source === undefined ? way : { ...way, localAddress: source },
    request: { initiator: request("initiator"), joiner: request("joiner") },
  };
}
