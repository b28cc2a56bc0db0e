/**
 * The contract, kept by nodes that share an engine, with peers that come to one of them at random. The engine is Redis;
 * CLUSTER_ENGINE=valkey-server names another.
 */
import { afterAll, describe } from "bun:test";
import { additions } from "../contract/suite/additions.ts";
import { bystanders } from "../contract/suite/bystanders.ts";
import { drain } from "../contract/suite/drain.ts";
import { quotas } from "../contract/suite/quotas.ts";
import { seats } from "../contract/suite/seats.ts";
import { wire } from "../contract/suite/wire.ts";
import { EngineProcess } from "../support/cluster/engine-process.ts";
import { asOne, startNodes } from "../support/cluster/nodes.ts";
import type { Start } from "../support/relays/relay.ts";

const VARIANT = process.env["CLUSTER_VARIANT"] === "source" ? "source" : "binary";

const engine = await EngineProcess.start();
afterAll(() => engine[Symbol.asyncDispose]());

/** What each node counts for itself: with these, peers all come to one. */
const BY_NODE = /^--(max-|failed-join|connect-|exempt=|reuse-port)/;

describe.each([2, 3])("%d nodes", (count) => {
  const start: Start = async (...args) => {
    const isShared = args.includes("--reuse-port") || args.some((arg) => arg.startsWith("--port="));
    if (isShared) return startAlone(...args);
    const isPinned = args.some((arg) => BY_NODE.test(arg) && arg !== "--exempt=none");
    return asOne(await startNodes(count, VARIANT, args, engine), isPinned);
  };
  /** One node of a cluster, without a door before it. */
  const startAlone: Start = async (...args) => {
    const cluster = await startNodes(1, VARIANT, args, engine);
    const [relay] = cluster.nodes;
    if (!relay) throw new Error("no node");
    return { ...relay, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() };
  };

  wire(start);
  additions(start);
  seats(start);
  quotas(start);
  bystanders(start, startAlone, true);
  drain(start, startAlone);
});
