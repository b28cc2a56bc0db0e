/** Lines about limits that refuse: by a clock that is set by hand, and once on the binary. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { REFUSALS } from "../../src/core/events.ts";
import { ERRORS, type ErrorName } from "../../src/core/protocol.ts";
import { OPTIONS } from "../../src/program/config.ts";
import { type Fact, Refusals } from "../../src/program/refusals.ts";
import { RawClient, UPGRADE } from "../support/peers/raw.ts";
import { ROOT, spawnRelay } from "../support/relays/relay.ts";

/** Refusals at a time that stands still, and what was said of them. */
function watched() {
  const clock = { at: 5_000 };
  const [lines, facts]: [string[], Fact[]] = [[], []];
  const refusals = new Refusals(
    () => clock.at,
    (line, fact) => {
      lines.push(line);
      facts.push(fact);
    },
  );
  return {
    ...{ refusals, lines, facts },
    /** Lets so many seconds pass, each with a turn. */
    pass(seconds: number) {
      for (let s = 0; s < seconds; s++) {
        clock.at += 1_000;
        refusals.turn();
      }
    },
  };
}

const ADDRESS = "limit (--max-per-address, --connect-rate and --connect-burst)";

describe("a limit that refuses is told of", () => {
  test("once when it begins, however many it refuses", () => {
    const { refusals, lines, facts, pass } = watched();
    for (let n = 0; n < 100; n++) refusals.upgraded("address");
    pass(59);
    expect(lines).toEqual([`${ADDRESS} begins to refuse; counted as upgrades address`]);
    expect(facts).toEqual([{ limit: "upgrades address", refused: 1, "refused-in-all": 1, seconds: 0 }]);
  });

  test("once a minute while it does, and once when a minute was without", () => {
    const { refusals, lines, facts, pass } = watched();
    for (let n = 0; n < 3; n++) refusals.upgraded("address");
    pass(60);
    for (let n = 0; n < 5; n++) refusals.upgraded("address");
    pass(60);
    refusals.upgraded("address");
    pass(60);
    pass(600);
    expect(lines.map((line) => line.replace(ADDRESS, "").replace("; counted as upgrades address", "").trim())).toEqual([
      "begins to refuse",
      "still refuses: 2 in the last minute",
      "still refuses: 5 in the last minute",
      "still refuses: 1 in the last minute",
      "refuses no more: it refused 9 in all",
    ]);
    expect(facts.map((fact) => [fact.refused, fact["refused-in-all"], fact.seconds])).toEqual([
      [1, 1, 0], // so that the counts of all lines add up to the last one's sum
      [2, 3, 60],
      [5, 8, 120],
      [1, 9, 180],
      [0, 9, 240],
    ]);
  });

  test("anew when it begins again", () => {
    const { refusals, lines, pass } = watched();
    refusals.refused("slow");
    pass(60);
    refusals.refused("slow");
    expect(lines.map((line) => /begins|no more/.exec(line)?.[0])).toEqual(["begins", "no more", "begins"]);
  });

  test("by both that may be why, where there is a cluster", () => {
    const lines: string[] = [];
    new Refusals(
      () => 0,
      (line) => lines.push(line),
      true,
    ).refused("at-capacity");
    expect(lines.join()).toContain("limit (--max-waiting, or an engine of --cluster) begins to refuse");
  });

  test("apart from other limits", () => {
    const { refusals, lines } = watched();
    refusals.upgraded("at-capacity");
    refusals.refused("at-capacity");
    expect(lines.map((line) => /\((.*?)\)/.exec(line)?.[1])).toEqual(["--max-peers", "--max-waiting"]);
  });
});

test("what is no limit is not told of, and what is told of names options that there are and a row of the metrics", () => {
  const { refusals, lines, facts } = watched();
  for (const result of ["taken", "malformed", ...REFUSALS] as const) refusals.upgraded(result);
  for (const name of Object.keys(ERRORS) as ErrorName[]) refusals.refused(name);
  const named = lines.flatMap((line) => line.match(/--[\w-]+/g) ?? []);
  const flags: string[] = Object.values(OPTIONS).map(({ flag }) => flag);
  expect(named.filter((flag) => !flags.includes(flag))).toEqual([]);
  const rows = readFileSync(resolve(ROOT, "test/fixtures/metrics.txt"), "utf8");
  for (const { limit } of facts) {
    const [family, label] = limit.split(" ");
    expect(rows).toMatch(new RegExp(`^whisper_${family}_total\\{\\w+="${label}"\\} `, "m"));
  }
  for (const quiet of ["taken", "malformed", "draining", "no-peer", "session-full", "role-taken", "bad-message"])
    expect(facts.map(({ limit }) => limit.split(" ")[1])).not.toContain(quiet);
});

test.each(["text", "json"])("the binary says so once, without an address (--log %s)", async (log) => {
  await using relay = await spawnRelay("binary", "--exempt=none", "--max-per-address=1", `--log=${log}`);
  const clients = await Promise.all(Array.from({ length: 5 }, () => RawClient.dial(relay.port)));
  for (const client of clients) client.write(UPGRADE);
  await Promise.all(clients.map((client) => client.head()));
  for (const client of clients) client.end();
  const { stderr } = await relay.stop();
  expect(stderr.trimEnd()).not.toContain("\n");
  expect(stderr).not.toMatch(/\d+\.\d+\.\d+\.\d+/);
  if (log === "text")
    expect(stderr).toBe(`whisper-signaling: warning: ${ADDRESS} begins to refuse; counted as upgrades address\n`);
  else
    expect(JSON.parse(stderr)).toMatchObject({
      level: "warning",
      event: "limit",
      limit: "upgrades address",
      seconds: 0,
    });
});
