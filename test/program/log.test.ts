import { describe, expect, spyOn, test } from "bun:test";
import { Log } from "../../src/program/log.ts";

/** What a log prints, on either stream, while `use` uses it. */
function printed(format: "text" | "json", use: (log: Log) => void): { out: string[]; err: string[] } {
  using out = spyOn(console, "log").mockImplementation(() => {});
  using err = spyOn(console, "error").mockImplementation(() => {});
  use(new Log(format));
  return { out: out.mock.calls.map(String), err: err.mock.calls.map(String) };
}

describe("the log", () => {
  test("for people is a line that begins with the program's name", () => {
    const { out, err } = printed("text", (log) => {
      log.say("start", "version 1, with", { port: "80", "max-peers": 9 });
      log.say("failure", "can't listen");
    });
    expect(out).toEqual(["whisper-signaling: version 1, with port=80 max-peers=9"]);
    expect(err).toEqual(["whisper-signaling: can't listen"]);
  });

  test("for machines is an object on a line, with its time and its event", () => {
    const { out } = printed("json", (log) => log.say("ready", 'a "quote"\nand a line', { port: "80" }));
    expect(JSON.parse(out[0] ?? "")).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      event: "ready",
      message: 'a "quote"\nand a line',
      port: "80",
    });
    expect(out[0]).not.toContain("\n");
  });

  test.each(["text", "json"] as const)("warns once, however often there is reason for it (%s)", (format) => {
    const { out, err } = printed(format, (log) => {
      for (let n = 0; n < 3; n++) for (const line of ["one", "two"]) log.warn(line);
    });
    expect([out.length, err.length]).toEqual([0, 2]);
    expect(err[0]).toContain(format === "text" ? "warning: one" : '"event":"warning","message":"one"');
  });
});
