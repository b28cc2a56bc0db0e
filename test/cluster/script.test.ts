/** The script in a real engine, beside the model of it that the simulation runs: the same calls give the same answers. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { keyOf, SCRIPT } from "../../src/cluster/script.ts";
import { EPOCH_MS } from "../../src/cluster/times.ts";
import { EngineProcess, PROGRAMS } from "../support/cluster/engine-process.ts";
import { ModelEngine } from "../support/cluster/model-engine.ts";
import { Random } from "../support/machines/random.ts";

const CALLS = 600;
/** So much later the engine may look at its clock than the test, on a busy machine. */
const BUSY_MS = 1_000;
const NODES = ["one", "two"];
const NAMES = ["a", "b", "c"];

describe.each(PROGRAMS)("the script (%s)", (program) => {
  let engine: EngineProcess;
  let client: Bun.RedisClient;
  beforeAll(async () => {
    engine = await EngineProcess.start({ program });
    client = new Bun.RedisClient(`redis+unix://${engine.path}`);
  });
  afterAll(async () => {
    client.close();
    await engine[Symbol.asyncDispose]();
  });

  const answers = new Set<string>();
  const call = (names: readonly string[], words: readonly string[]) =>
    client.send("EVAL", [SCRIPT, `${names.length}`, ...names.map(keyOf), ...words]);

  async function now(): Promise<number> {
    const [seconds, micros]: string[] = await client.send("TIME", []);
    return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  }

  /** What is in the engine, as the model has it; times of lives left out. */
  async function contents(): Promise<Record<string, string>> {
    const keys: string[] = await client.send("KEYS", ["whisper:*"]);
    const found = await Promise.all(
      keys.map(async (key) => [key.slice("whisper:".length), await client.get(key)] as const),
    );
    return Object.fromEntries(found.map(([key, value]) => [key, value ?? ""]).sort());
  }

  test.each([1, 2, 3])("random calls, lapses and new beginnings go as in the model (seed %d)", async (seed) => {
    const random = new Random(seed);
    await client.send("FLUSHALL", []);
    const model = new ModelEngine(await now());
    let run = "run";
    const incarnations = new Map(NODES.map((node) => [node, 1]));
    const epochs = new Map<string, string>();
    for (let n = 0; n < CALLS; n++) {
      const at = await now();
      const node = random.pick(NODES);
      const inc = `${(incarnations.get(node) ?? 1) - (random.below(8) === 0 ? 1 : 0)}`;
      const epoch = epochs.get(node) ?? "";
      const names = random.below(2) === 0 ? [random.pick(NAMES)] : ["a", "b"];
      const fence = () => `${1 + random.below(6)}`;
      const who = [node, inc, run];
      const upMs = random.pick([0, 20_000]);
      const words: string[] = random.pick([
        [
          "hello",
          ...who,
          epoch,
          `${random.below(2)}`,
          random.below(20) === 0 ? "2/2" : "1/1",
          `${upMs}`,
          `${random.below(2)}`,
        ],
        ["claim", ...who, epoch, fence()],
        ["claim", ...who, epoch, fence()],
        ["keep", ...who, epoch, fence()],
        ["release", ...who, fence()],
        ["bye", ...who],
      ]);
      if (random.below(40) === 0) incarnations.set(node, (incarnations.get(node) ?? 1) + 1);
      if (random.below(60) === 0) {
        await client.del(`whisper:node:${node}`); // its lease has ended
        model.entries.delete(`node:${node}`);
      }
      if (random.below(100) === 0) run = `run-${n}`;
      if (random.below(150) === 0) {
        await client.send("FLUSHALL", []);
        model.entries.clear();
      }
      if (random.below(30) === 0) {
        const [number, of, since, layout] = (await client.get("whisper:epoch"))?.split("|") ?? [];
        // It has been there for long, or the clock was set back since it began.
        const id = `${number}|${of}|${Number(since) + random.pick([-20_000, -20_000, -20_000, 3_600_000])}`;
        const older = `${id}|${layout}`;
        const leftMs = EPOCH_MS - random.pick([0, 0, 0, 3_000, 3_000, 60_000, -60_000]); // nobody has said hello, or the clock was set
        if (of !== undefined) await client.send("SET", ["whisper:epoch", older, "PX", `${leftMs}`]);
        if (of !== undefined) model.entries.set("epoch", { value: older, until: at + leftMs });
        for (const node of NODES) if (of !== undefined) epochs.set(node, random.below(4) === 0 ? "" : id);
      }
      const real: (string | number)[] = (await call(names, words)).map((one: string | number) =>
        typeof one === "number" ? one : `${one}`,
      );
      const modelled = [...(model.call(names, words, at) ?? [])];
      answers.add(`${words[0]} ${real[0]}`);
      // The two looked at the clock one after the other: the model takes over when the epoch began.
      const value = await client.get("whisper:epoch");
      const entry = model.entries.get("epoch");
      if (value !== null && entry) {
        const [since = "", sinceInModel = ""] = [value, entry.value].map((each) => each.split("|")[2]);
        expect(Number(since) - Number(sinceInModel)).toBeWithin(0, BUSY_MS);
        model.entries.set("epoch", { ...entry, value: entry.value.replace(sinceInModel, since) });
      }
      if (real[0] === "ok" || real[0] === "odd") {
        expect(Number(real[1]) - Number(modelled[1])).toBeWithin(0, BUSY_MS);
        modelled.splice(1, 2, real[1] ?? "", real[2] ?? "");
      }
      expect([words, ...real]).toEqual([words, ...modelled]);
      expect(await contents()).toEqual(
        Object.fromEntries([...model.entries].map(([key, { value }]) => [key, value]).sort()) as Record<string, string>,
      );
    }
  });

  test("an epoch that is yet to come is followed by another at once, however sure a node is of the clock", async () => {
    await client.send("FLUSHALL", []);
    const at = await now();
    const epoch = `3|run|${at + 3_600_000}`;
    await client.send("SET", ["whisper:epoch", `${epoch}|1/1`, "PX", `${EPOCH_MS}`]);
    const [what, , next] = await call([], ["hello", "one", "1", "run", epoch, "1", "1/1", "0", `${at}`]);
    const [number, run, since] = next.split("|");
    expect([what, number, run]).toEqual(["ok", "4", "run"]);
    expect(Number(since) - at).toBeWithin(0, BUSY_MS);
  });

  test("the calls had every answer that there is", () => {
    const expected = [
      "hello ok",
      "hello lapsed",
      "hello odd",
      "hello layout",
      "claim mine",
      "claim owner",
      "claim stale",
      "keep kept",
    ];
    expect(expected.filter((answer) => !answers.has(answer))).toEqual([]);
  });

  test("everything that it writes has a time to live", async () => {
    for (const key of (await client.send("KEYS", ["whisper:*"])) as string[])
      expect(await client.ttl(key)).toBeWithin(1, 90_000);
  });
});
