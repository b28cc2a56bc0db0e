/** A locked relay under load for a minute: it grows to 10,000 peers, loses none, drains, and says nothing. */
import { expect, test } from "bun:test";
import { resolve } from "node:path";
import { scrape } from "../support/machines/metrics.ts";
import { measured, residentBytes } from "../support/machines/outside.ts";
import { ROOT, run, spawnRelay } from "../support/relays/relay.ts";

const LOAD = resolve(ROOT, "dist/whisper-load");
/** Well below the limit of open files of the relay, and of each process that makes the load. */
const PAIRS = 5_000;

test("grown to 10,000 peers and under 60 s of load, a locked relay loses nobody and ends well", async () => {
  await using relay = await spawnRelay(
    "binary",
    "--sandbox=require",
    "--admin=127.0.0.1:0",
    `--max-per-address=${4 * PAIRS}`,
  );
  const { pid } = relay.process;
  const unmet = ["--expect=failed=0", "--expect=errors=0"];
  const [held, churned] = await Promise.all([
    run([LOAD, "hold", relay.url, `--pairs=${PAIRS}`, "--rate=1000", "--duration=60s", ...unmet]),
    run([LOAD, "handshake", relay.url, "--rate=100", "--duration=60s", ...unmet]),
  ]);
  for (const { exitCode, stdout } of [held, churned]) expect([exitCode, stdout]).toEqual([0, stdout]);
  const rows = await scrape(relay);
  expect(rows.get("whisper_sandbox_locked")).toBe(1);
  expect(rows.get("whisper_internal_errors_total")).toBe(0);
  expect(rows.get("whisper_self_check_differences_total")).toBe(0);
  expect(rows.get('whisper_upgrades_total{result="taken"}')).toBe(2 * PAIRS + 2 * 100 * 60);
  expect(rows.get('whisper_session_outcomes_total{outcome="paired"}')).toBe(100 * 60);
  measured(`locked: ${(residentBytes(pid) / 1_048_576).toFixed(0)} MiB after 10,000 peers and 6,000 sessions`);
  expect(await relay.stop()).toMatchObject({ exitCode: 0, stderr: "" });
});
