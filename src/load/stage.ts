/**
 * What every scenario of one worker works with: where to connect, what to say, whom to tell. Made once per run, so that
 * a session itself only fills in its code.
 */
import type { Plan } from "./config.ts";
import { frame, OP, Template } from "./frames.ts";
import { type Owner, Peer, type Way } from "./peer.ts";
import type { Recorder } from "./recorder.ts";
import { CODE, type Role, type Wire } from "./wire.ts";

/** What is said in a session, ready to be sent. */
export interface Script {
  readonly join: Readonly<Record<Role, Template | null>>;
  /** The offer, and the answer, each with all its candidates behind it: they leave in one write. */
  readonly offer: Template;
  readonly answer: Template;
  /** A single message, of the size that the relay scenario asks for. */
  readonly message: Readonly<Record<Role, Template>>;
}

/** How peers get to one target, and what they ask of it. */
export interface Route {
  readonly way: Way;
  readonly request: Readonly<Record<Role, Template>>;
}

/** Of RFC 6455's own example: relays have to take any, and compute the same from all. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

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
  const text = (words: string) => frame(OP.text, Buffer.from(words));
  const join = (role: Role) => {
    const words = wire.join(role);
    return words === null ? null : new Template(text(words), CODE);
  };
  const train = (kind: "offer" | "answer", role: Role) => {
    const candidate = text(wire.message("candidate", role, plan.candidateBytes));
    const candidates = Array.from({ length: plan.candidates }, () => candidate);
    return new Template(Buffer.concat([text(wire.message(kind, role, plan.sdpBytes)), ...candidates]), CODE);
  };
  const message = (role: Role) => new Template(text(wire.message("candidate", role, plan.sizeBytes)), CODE);
  return {
    join: { initiator: join("initiator"), joiner: join("joiner") },
    offer: train("offer", "initiator"),
    answer: train("answer", "joiner"),
    message: { initiator: message("initiator"), joiner: message("joiner") },
  };
}

function routeOf(target: string, source: string | undefined, plan: Plan, wire: Wire): Route {
  const { protocol, hostname, host, port, pathname, search } = new URL(target);
  const isTls = protocol === "wss:";
  const tls = isTls ? { rejectUnauthorized: !plan.insecure, serverName: hostname } : false;
  const way = { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || (isTls ? 443 : 80), tls };
  const request = (role: Role) => {
    const lines = [
      `GET ${pathname.replace(/\/$/, "")}${wire.path(role) || "/"}${search} HTTP/1.1`,
      `Host: ${host}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Key: ${KEY}`,
      "Sec-WebSocket-Version: 13",
      ...plan.header,
    ];
    return new Template(Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), CODE);
  };
  return {
    way: source === undefined ? way : { ...way, localAddress: source },
    request: { initiator: request("initiator"), joiner: request("joiner") },
  };
}
