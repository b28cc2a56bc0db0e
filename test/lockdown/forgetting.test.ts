/** That a session which has ended is in the heap no more, however it ended. */
import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { readConfig } from "../../src/program/config.ts";
import { newFolder } from "../support/machines/folder.ts";
import { Secrets, type Told } from "../support/marks/secrets.ts";
import { inTurns } from "../support/peers/crowd.ts";
import { asking } from "../support/relays/asked.ts";
import { spawnProgram } from "../support/relays/relay.ts";

const PROGRAM = resolve(import.meta.dir, "../support/relays/snapshot-relay.ts");
const SESSIONS = 1_000;
const AT_ONCE = 50;
const { sessionTtlMs: TTL_MS } = readConfig([], {});

/** A relay in a process of its own, since this one knows all the secrets. */
async function startSnapshotRelay() {
  const relay = await spawnProgram([process.execPath, "--smol", PROGRAM], { stdin: "pipe" });
  const ask = asking(relay);
  return {
    url: relay.url,
    tell: async (what: number | string) => Number(await ask(what)),
    [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose](),
  };
}

async function bothClose({ alice, bob }: Told): Promise<void> {
  for (const client of [alice, bob]) client.close();
  await Promise.all([alice.closed, bob.closed]);
}

test("of 1,000 sessions that were closed, left, cut, taken over or expired, the heap holds nothing", async () => {
  await using folder = await newFolder();
  await using relay = await startSnapshotRelay();
  const secrets = new Secrets();
  async function inHeap(): Promise<Set<string>> {
    const path = folder.file("heap");
    await relay.tell(path);
    return secrets.findIn(await readFile(path, "latin1"));
  }
  const ends: ((told: Told) => Promise<void>)[] = [
    bothClose,
    async function bothLeave({ alice, bob }) {
      for (const client of [alice, bob]) client.send({ type: "leave" });
      await Promise.all([alice.closed, bob.closed]);
    },
    async function bothAreCut({ alice, bob }) {
      for (const client of [alice, bob]) client.terminate();
      await Promise.all([alice.closed, bob.closed]);
    },
    async function oneIsReplaced(told) {
      const [again] = await secrets.join(relay.url, told.code, true, told.aliceToken);
      expect((await told.alice.closed).reason).toBe("replaced");
      await bothClose({ ...told, alice: again });
    },
  ];

  const expiring = await inTurns(SESSIONS / 5, AT_ONCE, (n) => secrets.tell(relay.url, n));
  const whileOpen = await inHeap();
  for (const { code, aliceToken } of expiring)
    for (const secret of [code, aliceToken]) expect(whileOpen).toContain(secret);
  await relay.tell(TTL_MS);
  for (const { alice, bob } of expiring)
    for (const { closed } of [alice, bob]) expect((await closed).reason).toBe("session-expired");
  await inTurns(SESSIONS - expiring.length, AT_ONCE, async (n) => {
    const told = await secrets.tell(relay.url, expiring.length + n);
    await ends[n % ends.length]?.(told);
  });
  while ((await relay.tell(TTL_MS)) > 0);
  expect(await inHeap()).toBeEmpty();
});
