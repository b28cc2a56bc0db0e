/**
 * The wire spoken by a client that shares no code with Bun: Python's websockets (Debian: python3-websockets) plays,
 * this file judges. Where it is missing this is skipped, but never under CI.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { ROOT, run, type Start } from "../../support/relays/relay.ts";

const PYTHON = "/usr/bin/python3";
const PLAYER = resolve(ROOT, "test/support/peers/independent.py");
const READY = '{"type":"ready"}';
const PONG = '{"type":"pong"}';

/** By the name that independent.py gives it: what it shows, and what must be seen. */
const SCENARIOS: [name: string, sentence: string, seen: unknown[]][] = [
  [
    "ready_in_either_order",
    "whoever joins first, both are told ready, exactly so",
    [
      ["joined", 32, 600_000],
      [READY, READY],
      ["joined", 32, 600_000],
      [READY, READY],
    ],
  ],
  [
    "byte_for_byte",
    "offers, answers and candidates arrive byte for byte both ways, in fragments too",
    Array(10).fill(true),
  ],
  [
    "third_peer",
    "a third peer is refused in either role and the pair never notices",
    [
      [["session-full"], [4500, "session-full"]],
      [["session-full"], [4500, "session-full"]],
      [true, true],
    ],
  ],
  [
    "held_seat",
    "a held seat is refused as soon as its holder has answered the relay's ping",
    [["role-taken"], [4501, "role-taken"], [READY, READY], [true, true]],
  ],
  [
    "leaving",
    "who leaves is closed, the other is told, keeps its seat and is ready again when somebody comes",
    [[1000, ""], ["peer-left"], ["no-peer"], [READY, READY], ["peer-left"]],
  ],
  [
    "takeover",
    "who comes back with its token has its seat at once, and its old socket is closed",
    [["joined", "ready"], ["ready"], ["replaced"], [4504, "replaced"], [true, true]],
  ],
  [
    "bad_messages",
    "five bad messages are forgiven, the sixth is not",
    [...Array(5).fill(["bad-message"]), ["pong"], [["bad-message"], [4505, "bad-message"]]],
  ],
  ["pings", "a ping is answered, as a message and as a frame", [PONG, 0, 2, 125]],
  [
    "sizes",
    "64 KiB pass, one byte more is too large, and much more is too",
    [65_536, true, [["too-large"], [1009, "too-large"], ["peer-left"]], 1009],
  ],
  ["no_compression", "an offer to compress is not taken up", [null, PONG]],
  ["closing", "a close is answered with its own code", [4999]],
];

const missing = !existsSync(PYTHON)
  ? PYTHON
  : Bun.spawnSync([PYTHON, "-c", "import websockets"]).success
    ? null
    : "python3-websockets";
const hasPlayer = missing === null;

/** @param start starts the relay that is tried */
export function independent(start: Start): void {
  if (!hasPlayer) console.warn(`no other client is tried, there is no ${missing}`);

  test.skipIf(!process.env["CI"])("CI has another client to test with", () => {
    expect(hasPlayer).toBe(true);
  });

  describe.skipIf(!hasPlayer)("another client", () => {
    const seen = new Map<string, unknown>();

    beforeAll(async () => {
      await using relay = await start();
      const { stdout, stderr } = await run([PYTHON, PLAYER, relay.url]);
      for (const line of stdout.trim().split("\n")) {
        const played = JSON.parse(line);
        seen.set(played.scenario, played.seen);
      }
      expect(stderr).toBe("");
    });

    test("plays all scenarios", () => {
      expect([...seen.keys()].sort()).toEqual(SCENARIOS.map(([name]) => name).sort());
    });

    test.each(SCENARIOS)("%s: %s", (name, _sentence, expected) => {
      expect(seen.get(name)).toEqual(expected);
    });
  });
}
