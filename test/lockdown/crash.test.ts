/**
 * That a relay keeps what peers told it to itself while it fails: errors whose messages quote a peer, thrown inside
 * the program, and the crash of the runtime itself. What it says is searched as in silence.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod } from "node:fs/promises";
import { type Folder, newFolder } from "../support/machines/folder.ts";
import { equals, until } from "../support/machines/until.ts";
import { LIMITS } from "../support/marks/marked-run.ts";
import { knock, type MarkedPair, markedMessage, markedPair, markedPing, passOn } from "../support/peers/marked-peer.ts";
import { hookedRelays } from "../support/relays/hooked.ts";
import type { Place } from "../support/relays/hooked-main.ts";
import { command, type Outcome, type RunningRelay, spawnProgram } from "../support/relays/relay.ts";
import { type OpenStage, openStage } from "../support/relays/stage.ts";

/** How a peer makes the relay come by each place; the others need nobody. */
const WAYS: Partial<Record<Place, (stage: OpenStage, mallory: MarkedPair) => unknown>> = {
  fetch: (stage) => knock(stage, stage.exempt),
  open: (stage) => knock(stage, stage.exempt),
  message: (stage, { code, bob }) => bob.peer.say(markedMessage(stage, "answer", code)),
  ping: (stage, { bob }) => bob.peer.write(markedPing(stage)),
  close: (_, { bob }) => bob.peer.end(true),
};

/** A pair in the middle of its handshake. */
async function busyPair(stage: OpenStage): Promise<MarkedPair> {
  const pair = await markedPair(stage);
  await passOn(stage, pair.alice.peer, pair.bob.peer, markedMessage(stage, "offer", pair.code));
  return pair;
}

/** The secrets in all that a relay has said by its end. */
async function leaks(stage: OpenStage, { stdout, stderr }: Outcome): Promise<string[]> {
  await Promise.all([stage.exempt, stage.operator].map((recorder) => recorder.quiet()));
  return stage.leaks([
    ["stdout", stdout],
    ["stderr", stderr],
  ]);
}

const spawnHooked = hookedRelays();
let folder: Folder;
beforeAll(async () => {
  folder = await newFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

describe.each(["text", "json"])("with --log=%s", (log) => {
  test.each(["fetch", "open", "message", "ping", "close", "timer", "promise"] as const)(
    "an error that quotes a peer is told without the quotation (%s)",
    async (place) => {
      await using relay = await spawnHooked(...LIMITS, `--log=${log}`);
      await using stage = await openStage(relay, null, false);
      const { alice, bob } = await busyPair(stage);
      const mallory = await busyPair(stage);
      const quotation = stage.markers.make("the message of an error");
      const message = `${quotation}\n    at ${quotation} (${quotation}.ts:1:2)\n${mallory.code}`;
      await relay.ask({ do: "throw", in: place, message });
      await WAYS[place]?.(stage, mallory);
      await until(
        "the error to be counted",
        async () => (await stage.scrape()).get("whisper_internal_errors_total"),
        equals(1),
      );
      for (const { peer } of [alice, bob, mallory.alice, mallory.bob]) peer.end();
      const outcome = await relay.stop();
      expect(await leaks(stage, outcome)).toEqual([]);
      expect(outcome.stderr).toContain("internal error: TypeError at ");
    },
  );
});

describe("a crash of the runtime", () => {
  /** The binary, in an environment where the program that Bun would call home with only writes down that it was run. */
  async function spawnFragile(variables: string[], ...args: string[]): Promise<RunningRelay> {
    const curl = await folder.write("curl", `#!/bin/sh\necho called >> ${folder.file("calls")}\n`);
    await chmod(curl, 0o755);
    return spawnProgram(["/usr/bin/env", `PATH=${folder.path}`, ...variables, ...command("binary", ...args)]);
  }

  test.each(["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL"] as const)(
    "is told without a word of peers (%s)",
    async (signal) => {
      await using relay = await spawnFragile([], ...LIMITS);
      await using stage = await openStage(relay, null, false);
      await busyPair(stage);
      const outcome = await relay.stop(signal);
      expect(outcome.stderr).toContain("Bun has crashed");
      expect(await leaks(stage, outcome)).toEqual([]);
    },
  );

  test("is reported to nobody: not without being asked for, and not out of the sandbox", async () => {
    const asked = "BUN_ENABLE_CRASH_REPORTING=1";
    for (const [variables, sandbox] of [
      [[], "off"],
      [[asked], "require"],
      [[asked], "off"], // so that this test can fail
    ] as const) {
      await using relay = await spawnFragile([...variables], `--sandbox=${sandbox}`);
      await relay.stop("SIGSEGV");
    }
    const calls = Bun.file(folder.file("calls"));
    await until("the file of calls", () => calls.exists());
    expect(await calls.text()).toBe("called\n");
  });
});
