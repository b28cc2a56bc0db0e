/** What the load tester is asked to do, how it is refused, and how it is shared among workers. */
import { describe, expect, test } from "bun:test";
import { OPTIONS, readAsked, SCENARIOS, shareOf } from "../../src/load/config.ts";
import { helpText } from "../../src/load/manual.ts";
import { ConfigError } from "../../src/program/options.ts";

const FAR = "wss://relay.example";
const URL = "ws://127.0.0.1:8000";

function refusal(...args: string[]): string {
  try {
    readAsked(args);
  } catch (failure) {
    if (failure instanceof ConfigError) return failure.message;
    throw failure;
  }
  return "taken";
}

test("a scenario, its targets and its options are read in that order", () => {
  const asked = readAsked(["handshake", URL, "wss://relay.example/path", "--rate", "50", "--duration=90s"]);
  expect(asked.plan).toMatchObject({ scenario: "handshake", rate: 50, durationMs: 90_000, workers: 1 });
  expect(asked.plan.targets).toEqual([URL, "wss://relay.example/path"]);
  expect(asked.options).toEqual({ rate: "50", duration: "90s" });
});

test("texts that may be repeated keep their commas", () => {
  const { plan } = readAsked(["hold", URL, "--header", "X-A: 1, 2", "--header=X-B: 3", "--expect", "failed=0"]);
  expect(plan.header).toEqual(["X-A: 1, 2", "X-B: 3"]);
  expect(plan.expect).toEqual(["failed=0"]);
  expect(readAsked(["hold", URL]).plan.source).toEqual([]);
});

describe("what can't be run is refused in one line that says why", () => {
  test.each([
    [[], 'scenario "" is not handshake or hold or relay or storm or hostile'],
    [["flood", URL], 'scenario "flood" is not'],
    [["hold"], "no URL is given"],
    [["hold", "http://127.0.0.1"], 'target "http://127.0.0.1" is not a ws:// or wss:// URL'],
    [["hold", URL, "--pairs", "0"], '--pairs "0" is not a whole number from 1 to 10000000'],
    [["hold", URL, "--port", "1"], 'unknown option "--port"'],
    [["handshake", URL, "--rate", "5", "--concurrency", "5"], "--rate and --concurrency are not given together"],
    [["handshake", URL, "--header", "a\nb: c"], '--header "a" is not a line such as'],
    [["handshake", `${URL}/?s=abc`, "--shard"], '--shard: target "ws://127.0.0.1:8000/?s=abc" has its own ?s='],
    [["handshake", URL, "--start-at", "2026-01-02T03:04:05"], '--start-at "2026-01-02T03:04:05" is not a time such as'],
    [["handshake", URL, "--start-at", "5"], '--start-at "5" is not a time such as'],
    [["handshake", URL, "--source", "banana"], '--source "banana" is not an IP address'],
    [["handshake", URL, "--workers=51"], '--workers "51" is more than --concurrency "50"'],
    [["handshake", URL, "--rate=9", "--sessions=3", "--workers=4"], '--workers "4" is more than --sessions "3"'],
    [["relay", URL, "--pairs=3", "--workers=4"], '--workers "4" is more than --pairs "3"'],
  ])("%j", (args, message) => {
    expect(refusal(...args)).toStartWith(message);
    expect(refusal(...args)).not.toContain("\n");
  });
});

test.each<[workers: number, cores: number, args: string[]]>([
  [1, 8, ["handshake", FAR, "--rate=1000"]],
  [2, 8, ["handshake", FAR, "--rate=1001"]],
  [8, 8, ["handshake", FAR, "--concurrency=50"]], // as much as there is
  [7, 8, ["handshake", URL, "--concurrency=50"]], // one core is left for the relay
  [2, 8, ["handshake", FAR, "--concurrency=2"]],
  [1, 1, ["handshake", URL, "--rate=9000"]],
  [1, 8, ["hold", FAR, "--pairs=5000"]],
  [2, 8, ["hold", FAR, "--pairs=5001"]],
  [1, 8, ["relay", FAR, "--pairs=400", "--message-rate=10"]], // 8,000 messages a second
  [2, 8, ["relay", FAR, "--pairs=401", "--message-rate=10"]],
])("%d of %d cores get a worker by themselves for %j", (workers, cores, args) => {
  expect(readAsked(args, cores).plan.workers).toBe(workers);
});

test("the shares of all workers are what was asked for", () => {
  const { plan } = readAsked(["hold", URL, "--pairs=11", "--sessions=7", "--rate=10", "--workers=4"]);
  const shares = Array.from({ length: 4 }, (_, worker) => shareOf(plan, worker));
  const sum = (name: "pairs" | "sessions" | "rate" | "concurrency") =>
    shares.reduce((all, share) => all + share[name], 0);
  expect([sum("pairs"), sum("sessions"), sum("rate"), sum("concurrency")]).toEqual([11, 7, 10, 50]);
  expect(shares.map(({ worker, pairs }) => [worker, pairs])).toEqual([
    [0, 3],
    [1, 3],
    [2, 3],
    [3, 2],
  ]);
});

test("every option takes both of its bounds", () => {
  for (const option of Object.values(OPTIONS))
    if ("min" in option)
      for (const value of [option.min, option.max])
        expect(`${option.flag} ${refusal("handshake", URL, option.flag, value)}`).toMatch(
          /taken$|more than --concurrency/,
        );
});

test("the help names every scenario and option, and no variables", () => {
  const help = helpText("1.2.3", "NAMES");
  for (const name of Object.keys(SCENARIOS)) expect(help).toContain(`\n  whisper-load ${name} `);
  for (const { flag, what } of Object.values(OPTIONS)) {
    expect(help).toContain(`\n  ${flag}\n`);
    expect(help).toContain(what);
  }
  expect(help).not.toContain("WHISPER_");
});
