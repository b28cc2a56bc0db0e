/** The options of the relay: their defaults, bounds and help. */

import { expect, test } from "bun:test";
import { OPTIONS, optionsHelp, readConfig } from "../../src/program/config.ts";
import { environmentName } from "../../src/program/environment.ts";
import { refusal } from "../support/machines/refusal.ts";

test("without a word, the defaults are those of the wire", () => {
  expect(readConfig([], {})).toMatchObject({
    host: "0.0.0.0",
    port: 8000,
    reusePort: false,
    sessionTtlMs: 600_000,
    joinTimeoutMs: 10_000,
    pingIntervalMs: 25_000,
    drainMs: 30_000,
    maxMessageBytes: 65_536,
    quotaMessages: 2_000,
    quotaBytes: 4_194_304,
    trustProxy: [],
    origins: [],
  });
});

test("peers are as many as the open files leave room for, and asking for more is refused", () => {
  expect(readConfig([], {}, 1_024).maxPeers).toBe(871);
  expect(readConfig(["--max-peers=871"], {}, 1_024).maxPeers).toBe(871);
  expect(() => readConfig(["--max-peers=872"], {}, 1_024)).toThrow(
    '--max-peers "872" is more than the 871 that a limit of 1024 open files allows',
  );
  expect(readConfig([], {}).maxPeers).toBe(10_000_000);
});

test("every option takes both of its bounds and its default", () => {
  for (const option of Object.values(OPTIONS)) {
    expect(refusal([`${option.flag}=${option.default}`])).toBe("taken");
    if (!("min" in option)) continue;
    expect(refusal([option.flag, option.min])).toBe("taken");
    expect(refusal([option.flag, option.max])).toBe("taken");
  }
});

test("the help names every option, its variable, default and bounds", () => {
  const lines = optionsHelp().trimEnd().split("\n");
  for (const [i, option] of Object.values(OPTIONS).entries()) {
    const parts = [option.flag, environmentName(option.flag), option.default];
    for (const part of "min" in option ? [...parts, option.min, option.max, option.what] : [...parts, option.what])
      expect(`${lines[2 * i]}${lines[2 * i + 1]}`).toContain(part);
  }
  expect(lines.length).toBe(2 * Object.keys(OPTIONS).length);
});
