/** Faults on purpose, one in each part that the cluster rests on, and by which words the simulation has to find them. */
import { Link } from "../../../src/cluster/links.ts";
import type { Reply } from "../../../src/cluster/script.ts";
import type { ModelEngine } from "./model-engine.ts";
import type { Plant } from "./simulation.ts";

type Call = ModelEngine["call"];

/** An engine that does its calls in another way. */
function engine(instead: (engine: ModelEngine, call: Call, ...args: Parameters<Call>) => Reply): Plant {
  return {
    engine(engine) {
      const call: Call = engine.call.bind(engine);
      engine.call = (...args) => instead(engine, call, ...args);
    },
  };
}

/** Links that do something else with what they receive. */
function links(
  instead: (receive: Link["receive"], ...args: Parameters<Link["receive"]>) => ReturnType<Link["receive"]>,
) {
  const { receive } = Link.prototype;
  return {
    node() {
      Link.prototype.receive = function (...args) {
        return instead((...others) => receive.call(this, ...others), ...args);
      };
    },
    [Symbol.dispose]() {
      Link.prototype.receive = receive;
    },
  };
}

const TWO = "two nodes have one session";

/** What is wrong, how it shows, and how it is done. */
export const PLANTED: [fault: string, found: string, plant: () => Plant & Partial<Disposable>][] = [
  [
    "a node that goes on after its lease has ended",
    TWO,
    () => ({ node: ({ node }) => Object.defineProperty(node, "provenAt", { get: () => Infinity, set() {} }) }),
  ],
  [
    "nodes that do not notice that the engine's clock was set",
    TWO,
    () => ({ node: ({ node }) => Object.defineProperty(node, "inexactMs", { get: () => Infinity, set() {} }) }),
  ],
  [
    "an engine that lets anybody claim right after it began anew",
    TWO,
    () =>
      engine((engine, call, names, given, now) => {
        const reply = call(names, given, now);
        if (reply?.[0] !== "wait") return reply;
        const [, node, incarnation, , , fence] = given;
        for (const name of names)
          engine.entries.set(`at:${name}`, {
            value: `${node}|${incarnation}|${fence}|${engine.entries.get("epoch")?.value.split("|")[2]}`,
            until: now + 60_000,
          });
        return ["mine"];
      }),
  ],
  [
    "nodes that do not claim again what an engine has forgotten",
    TWO,
    () => engine((_, call, names, given, now) => (given[0] === "keep" ? ["kept"] : call(names, given, now))),
  ],
  [
    "a claim that is given up though the fence is of an older one",
    TWO,
    () =>
      engine((engine, call, names, given, now) => {
        if (given[0] !== "release") return call(names, given, now);
        for (const name of names) engine.entries.delete(`at:${name}`);
        return ["released"];
      }),
  ],
  [
    "a claim that is taken from a node that lives",
    TWO,
    () =>
      engine((engine, call, names, given, now) => {
        if (given[0] === "claim") for (const name of names) engine.entries.delete(`at:${name}`);
        return call(names, given, now);
      }),
  ],
  [
    "links that skip what is missing",
    "comes after",
    () =>
      links((receive, ...args) => {
        const what = receive(...args);
        return what === "ask" ? "deliver" : what;
      }),
  ],
  [
    "links that deliver twice what came twice",
    "comes after",
    () =>
      links((receive, ...args) => {
        const what = receive(...args);
        return what === "drop" ? "deliver" : what;
      }),
  ],
  [
    "a core that never gives a seat back",
    "homes are left",
    () => ({
      node({ bridge }) {
        bridge.giveBack = () => {};
      },
    }),
  ],
];
