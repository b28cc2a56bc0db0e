/** The rules of the house: who may import whom, how much there is to audit, and that no fact stands in two versions. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { OPTIONS } from "../src/config.ts";
import { environmentName } from "../src/options.ts";
import { ERRORS } from "../src/protocol.ts";
import { ROOT } from "./support/relay.ts";

/** What each room may import; types are free. */
const IMPORTS: Record<string, string[]> = {
  "src/addresses.ts": [],
  "src/admin.ts": [],
  "src/failure.ts": [],
  "src/json.ts": [],
  "src/limits.ts": [],
  "src/liveness.ts": [],
  "src/log.ts": [],
  "src/probes.ts": [],
  "src/page.ts": [],
  "src/peer.ts": ["node:crypto"],
  "src/metrics.ts": ["./protocol.ts"],
  "src/resources.ts": ["node:fs"],
  "src/scrubber.ts": [],
  "src/syscalls.ts": [],
  "src/sandbox.ts": ["./syscalls.ts", "bun:ffi", "node:fs", "node:os"],
  "src/tls.ts": ["./options.ts", "node:crypto", "node:fs"],
  "src/sessions.ts": [],
  "src/protocol.ts": ["./json.ts"],
  "src/options.ts": ["./addresses.ts"],
  "src/config.ts": ["./options.ts"],
  "src/check.ts": ["./protocol.ts"],
  "src/print.ts": ["./options.ts"],
  "src/http.ts": ["./addresses.ts", "./limits.ts", "./page.ts"],
  "src/relay.ts": [
    ...["./http.ts", "./limits.ts", "./liveness.ts", "./peer.ts", "./probes.ts", "./protocol.ts", "./sessions.ts"],
  ],
  "src/main.ts": [
    ...["../package.json", "./admin.ts", "./check.ts", "./config.ts", "./failure.ts", "./log.ts", "./metrics.ts"],
    ...["./options.ts", "./print.ts", "./relay.ts", "./resources.ts", "./sandbox.ts", "./scrubber.ts", "./tls.ts"],
  ],
  // The load tester: of the relay it takes nothing but how options and limits are read.
  "src/load/axis.ts": ["./figures.ts"],
  "src/load/config.ts": ["../options.ts"],
  "src/load/coordinator.ts": ["./config.ts", "./cost.ts", "./display.ts", "./tally.ts", "node:os"],
  "src/load/cost.ts": ["bun:ffi", "node:fs"],
  "src/load/curves.ts": ["./axis.ts", "./facts.ts", "./figures.ts", "./histogram.ts", "./result.ts"],
  "src/load/display.ts": ["./figures.ts"],
  "src/load/exchange.ts": ["./hold.ts", "./pacer.ts", "./scenario.ts"],
  "src/load/expect.ts": ["../options.ts", "./figures.ts", "./result.ts"],
  "src/load/facts.ts": ["./expect.ts", "./figures.ts", "./result.ts"],
  "src/load/figures.ts": [],
  "src/load/frames.ts": [],
  "src/load/front.ts": [
    "../../package.json",
    "../options.ts",
    "../resources.ts",
    "./config.ts",
    "./coordinator.ts",
    "./display.ts",
    "./expect.ts",
    "./report.ts",
    "./summary.ts",
    "./worker.ts",
    "node:fs",
  ],
  "src/load/handshake.ts": ["./pacer.ts", "./pair.ts", "./scenario.ts"],
  "src/load/histogram.ts": [],
  "src/load/hold.ts": ["./pacer.ts", "./pair.ts", "./scenario.ts"],
  "src/load/hostile.ts": ["./frames.ts", "./handshake.ts", "./pair.ts", "./wire.ts"],
  "src/load/main.ts": ["./front.ts", "./wire.ts"],
  "src/load/pacer.ts": [],
  "src/load/pair.ts": [],
  "src/load/peer.ts": ["./frames.ts"],
  "src/load/plot.ts": [],
  "src/load/recorder.ts": ["./histogram.ts", "./result.ts"],
  "src/load/report.ts": ["./curves.ts", "./facts.ts", "./figures.ts", "./plot.ts", "./result.ts", "./style.ts"],
  "src/load/result.ts": [],
  "src/load/scenario.ts": [],
  "src/load/stage.ts": ["./frames.ts", "./peer.ts", "./wire.ts"],
  "src/load/storm.ts": ["./hold.ts", "./pacer.ts", "./scenario.ts"],
  "src/load/style.ts": [],
  "src/load/summary.ts": ["./facts.ts", "./figures.ts"],
  "src/load/tally.ts": ["./histogram.ts", "./recorder.ts", "./result.ts"],
  "src/load/wire.ts": [],
  "src/load/worker.ts": [
    "./exchange.ts",
    "./handshake.ts",
    "./hold.ts",
    "./hostile.ts",
    "./recorder.ts",
    "./stage.ts",
    "./storm.ts",
  ],
};
const AUDITED = ["src/protocol.ts", "src/sessions.ts", "src/limits.ts", "src/relay.ts"];
const AUDITED_LINES = 600;
const LINES_OF_A_FILE = 400;

const read = (path: string) => readFileSync(resolve(ROOT, path), "utf8");
const lines = (path: string) => read(path).trimEnd().split("\n").length;
const list = (pattern: string) => [...new Bun.Glob(pattern).scanSync({ cwd: ROOT, dot: true })].sort();

const SOURCES = list("src/**/*.ts");
const BENCH = list("bench/*.{ts,mjs}");
const TESTS = list("test/**/*.ts");
const TEST_NAMES = TESTS.map((path) => path.replace(/^test\/|\.(test|long)\.ts$/g, ""));
const DOCS = ["README.md", ...list("docs/*.md")];

/** The rows of the Markdown table between two markers, as cells. */
function table(path: string, marker: string): string[][] {
  const [, block = ""] = new RegExp(`<!-- ${marker}:[^\\n]*\\n(.*?)<!-- /${marker} -->`, "s").exec(read(path)) ?? [];
  const rows = block.trim().split("\n").slice(2);
  return rows.map((row) =>
    row
      .replace(/^\| ?| ?\|$/g, "")
      .split(/ ?\|(?: |(?=\|))/)
      .map((cell) => cell.replaceAll("`", "").trim()),
  );
}

describe("architecture", () => {
  test("every room imports what it may and nothing else", () => {
    const transpiler = new Bun.Transpiler({ loader: "ts" });
    const imports = SOURCES.map((path) => [
      path,
      transpiler
        .scanImports(read(path))
        .map(({ path }) => path)
        .sort(),
    ]);
    expect(Object.fromEntries(imports)).toEqual(IMPORTS);
  });

  test("only the front door touches the process", () => {
    const touching = SOURCES.filter((path) =>
      /\bprocess\b\s*[.[]|console\./.test(read(path).replace(/\/\*.*?\*\//gs, "")),
    );
    expect(touching).toEqual(["src/load/front.ts", "src/log.ts", "src/main.ts"]);
    expect(read("src/log.ts")).not.toMatch(/process\s*[.[]/);
  });

  test("the audited files can be read in one sitting", () => {
    const written = (path: string) =>
      read(path)
        .split("\n")
        .filter((line) => line.trim() !== "").length;
    const total = AUDITED.map(written).reduce((sum, count) => sum + count);
    expect(total).toBeLessThanOrEqual(AUDITED_LINES);
    expect(read("README.md")).toContain(`under ${AUDITED_LINES} lines`);
  });

  test("no file is too long", () => {
    expect([...SOURCES, ...BENCH, ...TESTS].filter((path) => lines(path) > LINES_OF_A_FILE)).toEqual([]);
  });

  test("every source file begins with what it owns", () => {
    expect([...SOURCES, ...BENCH].filter((path) => !/^\/\*\*\s/.test(read(path)))).toEqual([]);
  });

  test("there is nothing to install at run time, and the tools have exact versions", () => {
    const allowed = [
      "devDependencies",
      "engines",
      "scripts",
      "name",
      "version",
      "description",
      "license",
      "private",
      "type",
    ];
    expect(Object.keys(packageJson).sort()).toEqual(allowed.sort());
    for (const version of Object.values(packageJson.devDependencies)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test("nothing is left for later", () => {
    const later = new RegExp(["TO", "DO|FIX", "ME|XX", "X|HA", "CK"].join(""));
    expect([...SOURCES, ...BENCH, ...TESTS, ...DOCS].filter((path) => later.test(read(path)))).toEqual([]);
  });
});

describe("each fact in one place", () => {
  test("README's table of options is the table of options", () => {
    const expected = Object.values(OPTIONS).map((option) => [
      option.flag,
      environmentName(option.flag),
      option.default,
      ...("min" in option ? [option.min, option.max] : ["", ""]),
      option.what,
    ]);
    const rows = table("README.md", "options").map((row) => row.join("|").replaceAll("| ", "|").split("|"));
    expect(rows).toEqual(expected);
  });

  test("the protocol's table of errors is the table of errors", () => {
    const rows = table("docs/PROTOCOL.md", "errors").map(([name, close]) => [
      name,
      Number.parseInt(close ?? "", 10) || null,
    ]);
    expect(rows).toEqual(Object.entries(ERRORS).map(([name, { close }]) => [name, close]));
  });

  test("every promise names tests that exist", () => {
    const rows = table("docs/SECURITY.md", "promises");
    expect(rows.length).toBeGreaterThan(5);
    for (const [promise, , named = ""] of rows)
      expect([promise, named.split(", ").filter((name) => !TEST_NAMES.includes(name))]).toEqual([promise, []]);
  });

  test("every defence in the table of threats names options and tests that exist", () => {
    const rows = table("docs/SECURITY.md", "threats");
    expect(rows.length).toBeGreaterThan(20);
    const flags = Object.values(OPTIONS).map(({ flag }) => flag as string);
    for (const [threat, , options = "", named = ""] of rows) {
      expect([threat, options.split(", ").filter((flag) => flag !== "" && !flags.includes(flag))]).toEqual([
        threat,
        [],
      ]);
      expect([threat, named.split(", ").filter((name) => !TEST_NAMES.includes(name))]).toEqual([threat, []]);
    }
  });

  test("the version of Bun is the same wherever it is named", () => {
    const bun = packageJson.engines.bun;
    expect(packageJson.devDependencies["@types/bun"]).toBe(bun);
    expect(Bun.version).toBe(bun);
    for (const path of [...DOCS, ".ci/run", "Dockerfile"])
      for (const [named] of read(path).matchAll(/bun[@:]\d+\.\d+\.\d+/g))
        expect(`${path} ${named.slice(4)}`).toBe(`${path} ${bun}`);
  });

  test("every link in the docs leads somewhere", () => {
    const dead = DOCS.flatMap((path) =>
      [...read(path).matchAll(/\]\((?!https?:)([^)#]+)/g)]
        .map(([, target = ""]) => resolve(ROOT, dirname(path), target))
        .filter((target) => !existsSync(target)),
    );
    expect(dead).toEqual([]);
  });

  test("every option and every error is in the docs by its name", () => {
    for (const { flag } of Object.values(OPTIONS)) expect(read("README.md")).toContain(`\`${flag}\``);
    for (const name of Object.keys(ERRORS)) expect(read("docs/PROTOCOL.md")).toContain(`| \`${name}\` |`);
  });
});
