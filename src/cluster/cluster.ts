/**
 * A directory shared by nodes, loaded where --cluster is set: one driver for each engine, and the sessions spread over them
 * by a hash that all nodes have in common. Owns the spread, what is said at the start, and what is counted.
 *
 * The relay itself makes no connection. For each engine there is a helper, started before the relay's lock.
 */
import { createHash } from "node:crypto";
import { isIP } from "node:net";
import type { Answer, Seat } from "../core/admission.ts";
import type { Peer } from "../core/peer.ts";
import type { JoinMessage } from "../core/protocol.ts";
import type { Directory } from "../core/relay.ts";
import type { Host } from "./bridge.ts";
import { Driver, type Helper, STATES, type State } from "./driver.ts";
import { type EngineConfig, STAGES } from "./pipe.ts";
import { Sealer } from "./seal.ts";

/** At the start an engine is waited for so long; then the relay begins without it. */
const START_MS = 3_500;

/** An engine as the operator names it. */
export interface EngineUrl {
  readonly host: string;
  readonly port: number;
  /** The path of a socket; null: host and port. */
  readonly path: string | null;
  readonly isTls: boolean;
  readonly user: string | null;
  readonly database: number;
}

export interface ClusterConfig {
  readonly engines: readonly EngineUrl[];
  /** One, or two while one takes the place of the other. */
  readonly secrets: readonly string[];
  readonly password: string | null;
  /** The authority that has signed the engines' certificates, as PEM. */
  readonly ca: string | null;
  readonly mayPersist: boolean;
  /** Whether the helpers lock themselves. */
  readonly isLocked: boolean;
}

/** What a cluster is given of the process around it. */
export interface Dependencies {
  /** @param port that it is confined to, 0 for no port; without it, it is not confined */
  startHelper(...port: readonly string[]): Helper;
  warn(line: string): void;
  /** A helper has ended by itself: the relay can't go on without it. */
  ended(): void;
}

/** A family of metrics: name, type, help, label and rows. */
export type Family = readonly [name: string, type: string, help: string, label: string, rows: [string, number][]];

export class Cluster implements Directory {
  readonly #drivers: readonly Driver[];

  private constructor(drivers: readonly Driver[]) {
    this.#drivers = drivers;
  }

  /**
   * Starts the helpers and waits until each has reached its engine, or could not.
   * @returns the cluster, or why there can't be one: words for the operator
   */
  static async start(config: ClusterConfig, around: Dependencies): Promise<Cluster | string> {
    const sealer = new Sealer(config.secrets);
    const drivers: Driver[] = [];
    let isServing = false; // until then one line says it all
    for (const [i, engine] of config.engines.entries()) {
      const addresses = await addressesOf(engine);
      if (typeof addresses === "string") return addresses;
      const layout = `${i + 1}/${config.engines.length}`;
      const warn = (line: string) => isServing && around.warn(line);
      const ended = () => around.ended();
      const port = engine.path === null ? engine.port : 0;
      const helper = around.startHelper(...(config.isLocked ? [`${port}`] : []));
      drivers.push(new Driver(helper, helperConfig(config, engine, addresses), { sealer, layout, warn, ended }));
    }
    const firsts = drivers.map(({ first }) => Promise.race([first, Bun.sleep(START_MS)]));
    for (const [i, report] of (await Promise.all(firsts)).entries()) {
      const name = nameOf(config.engines[i]);
      if (report?.[0] === "down" && report[1] === "settings")
        return `--cluster ${name}: ${report[2]}${config.mayPersist ? "" : "; --cluster-allow-persistence lets that be"}`;
      if (report?.[0] === "down" && report[1] === "greet") return `--cluster ${name}: it refuses us (${report[2]})`;
      if (report?.[0] !== "up") around.warn(`--cluster ${name} can't be reached: nobody new is taken until it can`);
      const [toLock, toConfinement] = drivers[i]?.obstacles ?? [];
      if (toLock) around.warn(`the sandbox of a helper of --cluster is off: ${toLock}`);
      if (toConfinement) around.warn(`a helper of --cluster may connect to any port: ${toConfinement}`);
    }
    isServing = true;
    return new Cluster(drivers);
  }

  serve(host: Host): void {
    for (const driver of this.#drivers) driver.serve(host);
  }

  /** Lets the helpers go. */
  end(): void {
    for (const driver of this.#drivers) driver.end();
  }

  ask(join: JoinMessage, peer: Peer, answer: (answer: Answer) => void): void {
    this.#of(join.sessionCode).bridge.ask(join, peer, answer);
  }

  withdraw(join: JoinMessage): void {
    this.#of(join.sessionCode).bridge.withdraw(join);
  }

  giveBack(seat: Seat): void {
    this.#of(seat.sessionCode).bridge.giveBack(seat);
  }

  watch(): void {
    for (const { bridge } of this.#drivers) bridge.watch();
  }

  /** Whether joins are taken, as far as engines go: a session whose engine is gone can't begin. */
  get isCutOff(): boolean {
    return this.#drivers.some(({ state }) => state !== "ok");
  }

  metrics(): Family[] {
    const sum = (count: (driver: Driver) => number) =>
      this.#drivers.reduce((total, driver) => total + count(driver), 0);
    const states = new Map<State, number>(STATES.map((state) => [state, 0]));
    for (const { state } of this.#drivers) states.set(state, (states.get(state) ?? 0) + 1);
    const rtt = Math.max(...this.#drivers.map(({ node }) => node.rttMs)) / 1_000;
    return [
      ["whisper_cluster_engines", "gauge", "Engines by state.", "state", [...states]],
      ["whisper_cluster_round_trip_seconds", "gauge", "To the slowest engine and back.", "", [["", rtt]]],
      [
        "whisper_cluster_errors_total",
        "counter",
        "What went wrong with an engine, by stage.",
        "stage",
        STAGES.map((stage) => [stage, sum(({ errors }) => errors.get(stage) ?? 0)]),
      ],
      [
        "whisper_cluster_peers",
        "gauge",
        "Peers with a session at another node (away), or of another node with a session here (guest).",
        "state",
        [
          ["away", sum(({ bridge }) => bridge.away)],
          ["guest", sum(({ bridge }) => bridge.guests)],
        ],
      ],
      [
        "whisper_cluster_packets_total",
        "counter",
        "Packets to other nodes.",
        "",
        [["", sum(({ node }) => node.counts.packets)]],
      ],
      [
        "whisper_cluster_ended_total",
        "counter",
        "What the cluster cost: joins without an answer, sessions whose lease was lost, links cut.",
        "what",
        [
          ["join", sum(({ node }) => node.counts.unclaimed)],
          ["lease", sum(({ node }) => node.counts.lost)],
          ["link", sum(({ node }) => node.counts.cut)],
        ],
      ],
    ];
  }

  /** Not by a secret: two nodes that know another one than each other still find the same engine. */
  #of(code: string): Driver {
    const [only] = this.#drivers;
    if (this.#drivers.length === 1 && only) return only;
    const at = createHash("sha256").update(`engine ${code}`).digest().readUInt32BE(0) % this.#drivers.length;
    const driver = this.#drivers[at];
    if (!driver) throw new Error("a cluster without an engine");
    return driver;
  }
}

function nameOf(engine: EngineUrl | undefined): string {
  return engine?.path ?? `${engine?.host}:${engine?.port}`;
}

/** The helper has no files, and so no DNS: a name is looked up here, once. */
async function addressesOf(engine: EngineUrl): Promise<string[] | string> {
  if (engine.path !== null) return [engine.path];
  if (isIP(engine.host)) return [engine.host];
  try {
    const found = await Bun.dns.lookup(engine.host);
    return [...new Set(found.map(({ address }) => address))];
  } catch {
    return `--cluster ${nameOf(engine)}: there is no address for that name`;
  }
}

function helperConfig(
  { password, ca, mayPersist, isLocked }: ClusterConfig,
  { host, port, path, isTls, user, database }: EngineUrl,
  addresses: readonly string[],
): Omit<EngineConfig, "node" | "atMs"> {
  return {
    ...{ addresses, port, isSocket: path !== null, tlsName: isTls ? host : null },
    ...{ ca, user, password, database, mayPersist, isLocked },
  };
}
