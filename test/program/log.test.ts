import { describe, expect, test } from "bun:test";
import { Log } from "../../src/program/log.ts";

/** A stream that takes as many lines as it is told to, all unless told. */
class Stream {
  readonly lines: string[] = [];
  room = Number.POSITIVE_INFINITY;

  write(line: string): boolean {
    if (this.lines.length >= this.room) return false;
    this.lines.push(line);
    return true;
  }
}

/** What a log prints, on either stream, while `use` uses it. */
function printed(format: "text" | "json", use: (log: Log, out: Stream) => void): { out: string[]; err: string[] } {
  const [out, err] = [new Stream(), new Stream()];
  use(new Log(format, out, err), out);
  return { out: out.lines, err: err.lines };
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
    const { out } = printed("json", (log) =>
      log.say("ready", 'a "quote"\nand a line', { port: 80 }, { "reuse-port": true, exempt: ["::1"] }),
    );
    expect(JSON.parse(out[0] ?? "")).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      level: "info",
      event: "ready",
      message: 'a "quote"\nand a line',
      port: 80,
      "reuse-port": true,
      exempt: ["::1"],
    });
    expect(out[0]).not.toContain("\n");
  });

  test.each([
    ["start", "info", "out"],
    ["limit", "warning", "err"],
    ["failure", "error", "err"],
  ] as const)("gives %s the level %s, and the stream of that", (event, level, stream) => {
    const lines = printed("json", (log) => log.say(event, "x"))[stream];
    expect(lines.map((line) => JSON.parse(line).level)).toEqual([level]);
  });

  test.each(["text", "json"] as const)(
    "counts the lines that its stream does not take, and says so in the next (%s)",
    (format) => {
      const { out, err } = printed(format, (log, stream) => {
        stream.room = 1;
        for (const line of ["taken", "lost", "lost too"]) log.say("ready", line);
        log.warn("on the other stream");
        expect(log.dropped).toBe(2);
        stream.room = 3;
        for (const line of ["after", "later", "lost again"]) log.say("ready", line);
        expect(log.dropped).toBe(3);
        stream.room = 4;
        log.say("ready", "at last");
      });
      expect(out.length).toBe(4);
      expect(out[1]).toContain(format === "text" ? "after lines-dropped-before=2" : '"lines-dropped-before":2');
      expect(out[3]).toContain(format === "text" ? "at last lines-dropped-before=1" : '"lines-dropped-before":1');
      expect([out[2], ...err].join()).not.toContain("lines-dropped");
    },
  );

  test.each(["text", "json"] as const)("warns once, however often there is reason for it (%s)", (format) => {
    const { out, err } = printed(format, (log) => {
      for (let n = 0; n < 3; n++) for (const line of ["one", "two"]) log.warn(line);
    });
    expect([out.length, err.length]).toEqual([0, 2]);
    expect(err[0]).toContain(
      format === "text" ? "warning: one" : '"level":"warning","event":"warning","message":"one"',
    );
  });
});
