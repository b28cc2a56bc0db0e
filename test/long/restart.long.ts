/**
 * Restarts without downtime, of the binary: with --reuse-port a new relay takes the port while the old one drains, ten
 * times over, while a crowd holds whole sessions through that port. No pair is lost, and whoever finds itself on the
 * wrong relay is told to come back.
 */
import { expect, test } from "bun:test";
import { Random } from "../support/machines/random.ts";
import { equals, until } from "../support/machines/until.ts";
import { holdSession, Tally } from "../support/peers/returning.ts";
import { spawnRelay } from "../support/relays/relay.ts";

const RESTARTS = 10;
const DRAIN_MS = 30_000;
/** Sessions that are held at once. */
const CROWD = 150;
/** Sessions that are completed before each restart, and in every second restart while both relays listen. */
const BETWEEN = 100;
const AMID = 20;
/** Connections that stand in the queue of the old relay when it closes it, in every third restart. */
const QUEUED = 10;

test("ten restarts under churn lose no pair, and all sessions complete", async () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  console.log(`seed ${seed}`);
  const random = new Random(seed);
  const tally = new Tally();
  await using relays = new AsyncDisposableStack();
  const start = async (port: number) =>
    relays.use(
      await spawnRelay(
        "binary",
        `--port=${port}`,
        "--reuse-port",
        `--drain=${DRAIN_MS}ms`,
        `--max-per-address=${10 * CROWD}`,
      ),
    );

  let relay = await start(0);
  const { port } = relay;
  let isOver = false;
  const failures: unknown[] = [];
  const crowd = Array.from({ length: CROWD }, async () => {
    while (!isOver && failures.length === 0) await holdSession(port, tally, random).catch((why) => failures.push(why));
  });
  /** So many sessions more; nothing more is waited for once one has failed. */
  const completed = async (more: number) => {
    const enough = tally.completed + more;
    await until("sessions to complete", () => tally.completed >= enough || failures.length > 0);
  };

  const drainsMs: number[] = [];
  let underway = 0;
  for (let restart = 0; restart < RESTARTS; restart++) {
    await completed(BETWEEN);
    const young = await start(port);
    if (restart % 2 === 1) await completed(AMID);
    if (restart % 3 === 2) {
      relay.process.kill("SIGSTOP"); // the kernel goes on to fill its queue of connections
      await until("connections to queue up", () => tally.knocking >= QUEUED || failures.length > 0);
    }
    underway += tally.underway;
    const since = performance.now();
    const ended = relay.stop();
    relay.process.kill("SIGCONT");
    expect({ ...(await ended), stdout: "" }).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    drainsMs.push(Math.round(performance.now() - since));
    relay = young;
  }
  await completed(BETWEEN);
  isOver = true;
  await Promise.all(crowd);

  const { delaysMs, turnedAway, cutOff, unreachable } = tally;
  console.log(
    [
      `${tally.completed} sessions completed, ${underway} peers in the middle of one when their relay was told to stop`,
      `${delaysMs.length} peers told to come back, ${turnedAway} upgrades refused, ${cutOff} cut off before theirs`,
      `drains took ${drainsMs.join(", ")} ms`,
    ].join("\n"),
  );
  expect(failures).toEqual([]);
  expect(underway).toBeGreaterThan(RESTARTS);
  expect(unreachable).toBe(0); // somebody listened at every moment
  expect(delaysMs.length).toBeGreaterThan(RESTARTS);
  expect(new Set(delaysMs).size).toBeGreaterThan(delaysMs.length / 2);
  expect(Math.max(...drainsMs)).toBeLessThan(DRAIN_MS);
  await until("the last session to end", () => relay.sessions(), equals(0));
  expect((await relay.stop()).exitCode).toBe(0);
});
