/** The contract, kept by nodes that share an engine, with peers that come to one of them at random. */
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

describe.each([2, 3])("%d nodes", (count) => {
  const start: Start = async (...args) => asOne(await startNodes(count, VARIANT, args, engine));

  wire(start);
  additions(start);
  seats(start);
  quotas(start);
  bystanders(start);
  drain(start);
});
