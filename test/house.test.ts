/** The rules of the house: who may import whom, how much there is to audit, and that no fact stands in two versions. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { HEARD_MS, PROBE_MS } from "../src/core/admission.ts";
import { MAX_DEPTH, MAX_PIECES } from "../src/core/json.ts";
import { GRACE_MS } from "../src/core/liveness.ts";
import * as wire from "../src/core/protocol.ts";
import { LEAST_WAIT_MS, READ_LIMIT_FACTOR } from "../src/core/relay.ts";
import { CHECK_OPTIONS, PRINT_OPTIONS } from "../src/program/commands.ts";
import { OPTIONS, readConfig } from "../src/program/config.ts";
import { environmentName } from "../src/program/environment.ts";
import { EXIT } from "../src/program/failure.ts";
import { ROOT } from "./support/relays/relay.ts";

/**
 * Which folders of src/ each folder may import from, types included; a file beside main.ts is of the folder "". What
 * comes with Bun and Node.js is free, but for `process`.
 */
const ARROWS: Record<string, readonly string[]> = {
  core: [],
  lockdown: ["core"],
  web: ["core"],
  program: ["core", "lockdown", "web", "cluster"], // of the last, its types alone, see below
  cluster: ["core", "lockdown"],
  load: ["core", "lockdown", "program"],
  client: ["core"], // its types alone, see below
  demo: ["client"],
  "": ["core", "lockdown", "web", "program", "cluster"],
};
/** What a reviewer reads: every physical line of the core and of all that it imports, types too. */
const CORE_LINES = 1_116;
/** How long that takes: to read it, and to look for faults in it, which goes ten times and more as slowly. */
const LINES_A_MINUTE = 40;
const LINES_AN_HOUR = 400;
const LINES_OF_A_FILE = 400;

/** Rooms that hold names, tables or one part of another room, and the files of tests that try them with it. */
const TRIED_ELSEWHERE: Record<string, string> = {
  "cluster/bridge": "cluster/simulation",
  "cluster/cluster": "long/cluster-contract",
  "cluster/directory": "cluster/simulation",
  "cluster/driver": "long/cluster-contract",
  "cluster/engine": "long/cluster-faults",
  "cluster/helper": "cluster/nodes",
  "cluster/joins": "cluster/simulation",
  "cluster/lease": "cluster/simulation",
  "cluster/node": "cluster/simulation",
  "cluster/pipe": "cluster/nodes",
  "cluster/times": "cluster/simulation",
  "cluster/traffic": "cluster/simulation",
  "core/events": "program/metrics",
  "core/liveness": "program/clock",
  "core/peer": "core/admission",
  "lockdown/allowed": "lockdown/filter",
  "lockdown/libc": "lockdown/sandbox",
  "lockdown/refused": "lockdown/filter",
  "lockdown/syscalls": "lockdown/filter",
  "program/cluster-files": "cluster/nodes",
  "program/cluster-options": "cluster/nodes",
  "program/build": "program/cli",
  "program/caller": "program/check",
  "program/commands": "program/cli",
  "program/draining": "program/signals",
  "program/help": "program/manual",
  "program/hosts": "program/check",
  "program/ice-urls": "program/turn",
  "program/library": "web/script",
  "program/nftables": "ops/nftables",
  "program/proxies": "program/print",
  "program/stun": "program/turn-check",
  "program/unit": "program/print",
  "program/wrappers": "program/signals",
  "web/headers": "web/http",
  "web/page": "program/tls-browser",
};

const read = (path: string) => readFileSync(resolve(ROOT, path), "utf8");
const lines = (path: string) => read(path).trimEnd().split("\n").length;
const list = (pattern: string) => [...new Bun.Glob(pattern).scanSync({ cwd: ROOT, dot: true })].sort();

const SOURCES = list("src/**/*.ts");
const BENCH = list("bench/*.{ts,mjs}");
const TESTS = list("test/**/*.ts");
/** By the name that the docs give a file of tests: the titles of what is in it. */
const TITLES = new Map(
  TESTS.map((path) => [
    path.replace(/^test\/|(\.(test|long))?\.ts$/g, ""),
    titlesIn(readFileSync(resolve(ROOT, path), "utf8")),
  ]),
);
const DOCS = ["README.md", ...list("docs/*.md")];

/** The titles of the tests and groups of tests in a file: the texts that stand right before a function. */
function titlesIn(text: string): string[] {
  const titled = text.matchAll(/(?<!\b(?:skip|todo|until))\(\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`),\s*(?:async )?\(/g);
  return [...titled].map(([, quoted, template]) => quoted?.replaceAll('\\"', '"') ?? template ?? "");
}

/** What a cell names and is not there: each line is a file of tests and the title of one in it. */
function missingTests(cell: string): string[] {
  return cell.split("<br>").filter((line) => {
    const [, file = "", title = ""] = /^([\w/-]+) (.+)$/.exec(line) ?? [];
    return !TITLES.get(file)?.includes(title);
  });
}

/** What a link may name behind `#`: the headings of a document, as GitHub makes names of them. */
function anchorsOf(path: string): Set<string> {
  const headings = read(path)
    .replace(/^```.*?^```/gms, "")
    .matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N}_ -]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

const folderOf = (path: string) => /^src\/(\w+)\//.exec(path)?.[1] ?? "";

/** The files of src/ that a file names, for values or for types, at the start or later. */
function importsOf(path: string): string[] {
  const named = [...read(path).matchAll(/\b(?:from|import) ?\(?"(\.{1,2}\/[^"]+)"/g)];
  return named
    .map(([, name = ""]) => relative(ROOT, resolve(ROOT, dirname(path), name)))
    .filter((target) => /^src\//.test(target));
}

/** These files and all that they import, directly or not. */
function closureOf(paths: readonly string[]): Set<string> {
  const closure = new Set(paths);
  for (const path of closure) for (const target of importsOf(path)) closure.add(target);
  return closure;
}

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
  test("no arrow between folders points up, and no room imports in a circle", () => {
    const wrong = SOURCES.flatMap((path) =>
      importsOf(path)
        .filter((target) => folderOf(target) !== folderOf(path) && !ARROWS[folderOf(path)]?.includes(folderOf(target)))
        .map((target) => `${path} imports ${target}`),
    );
    expect(wrong).toEqual([]);
    expect(SOURCES.filter((path) => closureOf(importsOf(path)).has(path))).toEqual([]);
  });

  test("the browsers' library takes nothing of the relay but types", () => {
    const lines = list("src/client/*.ts").flatMap(
      (path) => read(path).match(/^.*\b(from|import) ?\(?"\.\..*$/gm) ?? [],
    );
    expect(lines.filter((line) => !/^(import|export) type /.test(line))).toEqual([]);
  });

  test("what is for a cluster is loaded by the front door alone, where it is switched on", () => {
    const others = SOURCES.filter((path) => folderOf(path) !== "cluster").flatMap((path) =>
      (read(path).match(/^.*(from|import\() ?"[./]+cluster\/.*$/gm) ?? []).map((line) => `${path}: ${line.trim()}`),
    );
    expect(others.filter((line) => !/: import type |await import\(|\[import\(/.test(line))).toEqual([]);
    expect(others.filter((line) => /\bimport\(/.test(line) && !line.startsWith("src/main.ts"))).toEqual([]);
  });

  test("every room has a file of tests of its name, or says where it is tried", () => {
    const rooms = SOURCES.map(
      (path) => /^src\/((?:core|lockdown|program|web|cluster)\/[\w-]+)\.ts$/.exec(path)?.[1] ?? "",
    );
    const without = rooms.filter((room) => room !== "" && !TITLES.has(room));
    expect(without).toEqual(Object.keys(TRIED_ELSEWHERE).sort());
    expect(Object.values(TRIED_ELSEWHERE).filter((file) => !TITLES.has(file))).toEqual([]);
  });

  test("only the front door touches the process", () => {
    const touching = SOURCES.filter((path) =>
      /\bprocess\b\s*[.[]|console\./.test(read(path).replace(/\/\*.*?\*\//gs, "")),
    );
    expect(touching).toEqual(["src/load/front.ts", "src/main.ts"]);
  });

  test("the core can be read in one sitting, and the docs say how much it is", () => {
    const core = closureOf(list("src/core/*.ts"));
    const total = [...core].map(lines).reduce((sum, count) => sum + count);
    expect(total).toBeLessThan(CORE_LINES);
    expect(CORE_LINES - total).toBeLessThan(LINES_A_MINUTE); // the number that is said is the number
    const times = [Math.ceil(CORE_LINES / LINES_A_MINUTE), Math.ceil(CORE_LINES / LINES_AN_HOUR)];
    for (const path of ["README.md", "docs/SECURITY.md"])
      expect(read(path)).toMatch(
        new RegExp(`under ${CORE_LINES}\\b[^|]{0,100}\\b${times[0]} minutes[^|]{0,40}\\b${times[1]} hours`),
      );
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
      "exports",
      "files",
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

  test("the table of exit codes has those of the program, and says which of them the unit does not try again", () => {
    const section = read("docs/OPERATIONS.md").split("### Exit codes")[1]?.split("\n#")[0] ?? "";
    const rows = [...section.matchAll(/^\| (\d+) \|.*\| (yes|no)?[^|]*\|$/gm)].map(([, code, again]) => [code, again]);
    const codes: number[] = Object.values(EXIT);
    expect(rows.slice(0, -1).map(([code]) => Number(code))).toEqual(codes);
    const never = rows.filter(([, again]) => again === "no").map(([code]) => code);
    expect(read("deploy/whisper-signaling.service")).toContain(`\nRestartPreventExitStatus=${never.join(" ")}\n`);
  });

  test("the protocol's table of errors is the table of errors", () => {
    const rows = table("docs/PROTOCOL.md", "errors").map(([name, close, retry]) => [
      name,
      Number.parseInt(close ?? "", 10) || null,
      retry === "yes",
    ]);
    expect(rows).toEqual(Object.entries(wire.ERRORS).map(([name, { close, retry }]) => [name, close, retry]));
  });

  test("each number of the protocol is the default or the constant that it is marked as", () => {
    const { FORGIVEN_BAD_MESSAGES } = wire;
    const { maxMessageBytes, sessionTtlMs } = readConfig([], {});
    const constants: Record<string, number> = {
      ...{ HEARD_MS, PROBE_MS, GRACE_MS, MAX_DEPTH, MAX_PIECES, LEAST_WAIT_MS, FORGIVEN_BAD_MESSAGES },
      CLOSING_BAD_MESSAGE: FORGIVEN_BAD_MESSAGES + 1,
      READ_LIMIT: maxMessageBytes * READ_LIMIT_FACTOR,
    };
    const units: Record<string, number> = { second: 1_000, minute: 60_000, KiB: 1_024, MiB: 1_048_576 };
    const words: Record<string, number> = { Five: 5, sixth: 6 };
    const defaults = Object.entries(readConfig([], {}));
    const names = Object.entries(OPTIONS).map(([key, { flag }]) => [flag.slice(2), key] as const);
    const meant = (name: string) =>
      constants[name] ?? defaults.find(([key]) => key === names.find(([flag]) => flag === name)?.[1])?.[1];
    const text = read("docs/PROTOCOL.md");
    const marked = /([\d,]+|\w+)(?: (second|minute|KiB|MiB)s?)?<!-- ([\w-]+) -->/g;
    const marks = [...text.matchAll(marked)].map(([said, number = "", unit = "", name = ""]) => ({
      said,
      is: (words[number] ?? Number(number.replaceAll(",", ""))) * (units[unit] ?? 1),
      shouldBe: meant(name),
    }));
    expect(marks.filter(({ is, shouldBe }) => is !== shouldBe)).toEqual([]);
    expect(marks.length).toBe(text.match(/\S<!-- /g)?.length ?? 0);
    expect(text).toContain(`"expiresInMs":${sessionTtlMs}`);
    const unmarked = text
      .replaceAll(marked, "")
      .match(/\d[\d,]* (?:seconds?|minutes?|KiB|MiB|messages|a second|deep)/g);
    expect(unmarked).toEqual(["5 seconds"]); // after which an idle session is gone at the latest: a promise, no setting
  });

  test("every promise names tests that there are", () => {
    const rows = table("docs/SECURITY.md", "promises");
    expect(rows.length).toBeGreaterThan(5);
    for (const [promise, , named = ""] of rows) expect([promise, missingTests(named)]).toEqual([promise, []]);
  });

  test("every defence in the table of threats names options and tests that there are", () => {
    const rows = table("docs/SECURITY.md", "threats");
    expect(rows.length).toBeGreaterThan(20);
    const flags = Object.values(OPTIONS).map(({ flag }) => flag as string);
    for (const [threat, , options = "", named = ""] of rows) {
      const unknown = options.split(", ").filter((flag) => flag !== "" && !flags.includes(flag));
      expect([threat, unknown, missingTests(named)]).toEqual([threat, [], []]);
    }
  });

  test("a test that is renamed, skipped or gone is missed", () => {
    const file =
      'test("a", () => {});\ntest.each([1])("b %d", async (n) => {});\ntest.skip("c", () => {});\nawait until("d", () => true);';
    expect(titlesIn(file)).toEqual(["a", "b %d"]);
    expect(
      missingTests(
        "house a test that is renamed, skipped or gone is missed<br>house a test that never was<br>nowhere a",
      ),
    ).toEqual(["house a test that never was", "nowhere a"]);
  });

  test("the version of Bun is the same wherever it is named", () => {
    const bun = packageJson.engines.bun;
    expect(packageJson.devDependencies["@types/bun"]).toBe(bun);
    expect(Bun.version).toBe(bun);
    for (const path of [...DOCS, ".ci/run", "Dockerfile"])
      for (const [named] of read(path).matchAll(/bun[@:]\d+\.\d+\.\d+/g))
        expect(`${path} ${named.slice(4)}`).toBe(`${path} ${bun}`);
  });

  test("every link in the docs leads somewhere, and to a heading that is there", () => {
    const dead = DOCS.flatMap((path) =>
      [...read(path).matchAll(/\]\((?!https?:)([^)#]*)#?([^)]*)\)/g)]
        .map(([, file = "", anchor = ""]) => ({ file: file ? join(dirname(path), file) : path, anchor }))
        .filter(({ file, anchor }) => !existsSync(resolve(ROOT, file)) || (anchor && !anchorsOf(file).has(anchor)))
        .map(({ file, anchor }) => `${path}: ${file}#${anchor}`),
    );
    expect(dead).toEqual([]);
  });

  test("every option and every error is in the docs by its name", () => {
    for (const { flag } of Object.values(OPTIONS)) expect(read("README.md")).toContain(`\`${flag}\``);
    for (const { flag } of Object.values({ ...CHECK_OPTIONS, ...PRINT_OPTIONS }))
      expect(read("docs/OPERATIONS.md")).toContain(flag);
    for (const name of Object.keys(wire.ERRORS)) expect(read("docs/PROTOCOL.md")).toContain(`| \`${name}\` |`);
  });
});
