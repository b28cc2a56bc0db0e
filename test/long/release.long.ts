/**
 * `bun run release` in folders that hold no more than it needs: what it leaves can be verified, started and made again
 * with the same bytes. One target of this machine and a foreign one stand for all. A foreign runtime is fetched once.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { KINDS } from "../../release/packages.ts";
import { pathOf } from "../support/machines/fronts.ts";
import { type Outcome, Output, ROOT, run, spawn } from "../support/relays/relay.ts";

/** All that a release is made from. */
const SOURCES = [
  ...["package.json", "src", "release", "deploy", "docs", "README.md", "CHANGELOG.md", "LICENSE"],
  ...["node_modules/uplot", "node_modules/uqr", "node_modules/@cyclonedx"],
  ...["node_modules/terser", "node_modules/acorn", "node_modules/@jridgewell"],
];
const PREFIX = `${packageJson.name}-${packageJson.version}`;
const NATIVE = process.arch === "arm64" ? "linux-arm64" : "linux-x64";
const BINARIES = [NATIVE, "windows-x64.exe"].flatMap((target) => [
  `${PREFIX}-${target}`,
  `whisper-load-${packageJson.version}-${target}`,
]);
const PACKAGES = KINDS.map((kind) => kind.fileName(kind.arch[process.arch] ?? "", packageJson.version));
const SHIPPED = [...BINARIES, ...PACKAGES];

/** Two folders whose paths differ in depth and length, each with a release of the same source. */
let base: string;
let here: string;
let there: string;
let told: Outcome;

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "whisper-release-test-"));
  here = await sourceIn(join(base, "a"));
  there = await sourceIn(join(base, "b/deeper and with a space"));
  told = await release(here, "--only", `${NATIVE},windows-x64`);
  expect(told).toMatchObject({ exitCode: 0, stderr: "" });
  expect(await release(there, `--only=${NATIVE},windows-x64`)).toMatchObject({ exitCode: 0 });
});

afterAll(() => rm(base, { recursive: true }));

test("a release is its binaries, its packages, their sums and a bill of materials, and nothing else", async () => {
  expect((await readdir(released(here))).sort()).toEqual([...SHIPPED, "SHA256SUMS", "sbom.cdx.json"].sort());
});

test("the sums are what sha256sum checks, and cover every other file", async () => {
  const checked = await run(["sh", "-c", 'cd "$0" && sha256sum -c SHA256SUMS', released(here)]);
  expect(checked).toEqual({
    exitCode: 0,
    stdout: [...SHIPPED, "sbom.cdx.json"].map((file) => `${file}: OK\n`).join(""),
    stderr: "",
  });
});

test("two releases of one source from two folders are the same, byte for byte", async () => {
  for (const file of await readdir(released(here))) {
    const compared = await run(["cmp", join(released(here), file), join(released(there), file)]);
    expect(compared).toEqual({ exitCode: 0, stdout: "", stderr: "" });
  }
});

test("no path of the machine that made it is in a binary", async () => {
  for (const file of BINARIES) expect((await readFile(join(released(here), file))).includes(base)).toBe(false);
});

test("the table says of each target how large it is and how it was checked", () => {
  const [head, native, load, foreign, , ...packages] = told.stdout.split("\n");
  for (const [i, { suffix }] of KINDS.entries())
    expect(packages[i]).toMatch(new RegExp(`^${suffix} +${NATIVE} +\\d+\\.\\d MiB {2}same bytes twice$`));
  expect(head).toMatch(/^what +target +size +how it was checked$/);
  expect(load).toMatch(new RegExp(`^whisper-load +${NATIVE} +\\d+\\.\\d MiB {2}same bytes twice; started$`));
  expect(native).toMatch(
    new RegExp(`^${packageJson.name} +${NATIVE} +\\d+\\.\\d MiB {2}same bytes twice; started, check passed, stopped$`),
  );
  expect(foreign).toMatch(
    /^whisper-signaling +windows-x64 +\d+\.\d MiB {2}same bytes twice; PE32\+ x86-64 by its header, not started: another system$/,
  );
});

test("the bill of materials names the release, its one runtime, and the tools as what they are", async () => {
  const bill = JSON.parse(await readFile(join(released(here), "sbom.cdx.json"), "utf8"));
  const { name, version, license, engines, devDependencies } = packageJson;
  expect(bill).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.6", version: 1 });
  expect(bill).not.toHaveProperty("serialNumber"); // these two would be new with every release
  expect(bill.metadata).not.toHaveProperty("timestamp");

  const { component } = bill.metadata;
  expect(component).toMatchObject({ type: "application", name, version, licenses: [{ license: { id: license } }] });
  const sums = component.components.map((file: { name: string; hashes: { alg: string; content: string }[] }) => {
    expect(file.hashes.map(({ alg }) => alg)).toEqual(["SHA-256"]);
    return `${file.hashes[0]?.content}  ${file.name}\n`;
  });
  const written = (await readFile(join(released(here), "SHA256SUMS"), "utf8")).split(/(?<=\n)/);
  expect(written.filter((line) => !line.endsWith(" sbom.cdx.json\n")).sort()).toEqual(sums.sort());

  const bun = `pkg:npm/bun@${engines.bun}`;
  const [runtime] = bill.components.filter(({ name }: { name: string }) => name === "bun");
  const tools = bill.components.filter((component: object) => component !== runtime);
  expect(runtime).toMatchObject({ name: "bun", version: engines.bun, purl: bun, scope: "required" });
  expect(runtime.licenses).toEqual([{ license: { id: "MIT" } }]);
  expect(tools.map((tool: { name: string; version: string }) => [tool.name, tool.version]).sort()).toEqual(
    Object.entries(devDependencies).sort(),
  );
  for (const tool of tools)
    expect(tool).toMatchObject({
      scope: ["uplot", "uqr"].includes(tool.name) ? "required" : "excluded",
      purl: `pkg:npm/${tool.name.replace("@", "%40")}@${tool.version}`,
    });
  const inside = (["uplot", "uqr"] as const).map((library) => `pkg:npm/${library}@${devDependencies[library]}`);
  expect(bill.dependencies).toContainEqual({ ref: component["bom-ref"], dependsOn: [bun, ...inside] });
});

const hasLintian = pathOf("lintian") !== null;
test.skipIf(!hasLintian && !process.env["CI"])("lintian finds neither an error nor a warning in the .deb", async () => {
  const [deb = ""] = PACKAGES;
  const env = { PATH: `${process.env["PATH"]}`, LC_ALL: "C.UTF-8" };
  const found = await run(["lintian", "--allow-root", "--fail-on", "error,warning", join(released(here), deb)], env);
  expect(found).toMatchObject({ exitCode: 0, stdout: "" });
});

test("the released binary starts, passes its own check, and stops on SIGTERM", async () => {
  const binary = join(released(here), `${PREFIX}-${NATIVE}`);
  const relay = spawn([binary, "--host", "127.0.0.1", "--port", "0"]);
  try {
    const [, port] = await new Output(relay.stdout).until(/listening on \S+:(\d+)/);
    expect(await run([binary, "check", `ws://127.0.0.1:${port}`])).toMatchObject({ exitCode: 0 });
    relay.kill("SIGTERM");
    expect(await relay.exited).toBe(0);
  } finally {
    relay.kill("SIGKILL");
    await relay.exited;
  }
});

test.each([
  [["--only", "linux-x64,beos"], '--only "beos" is not a target: linux-x64, '],
  [["--only"], '--only "" is not a target: '],
  [["--only", "linux-x64", "linux-arm64"], "usage: "],
  [["--fast"], "usage: "],
])("%j is refused in one line before anything is built", async (args, why) => {
  const before = await readdir(released(here));
  const refused = await release(here, ...args);
  expect(refused).toMatchObject({ exitCode: 2, stdout: "" });
  expect(refused.stderr).toMatch(/^[^\n]+\n$/);
  expect(refused.stderr).toStartWith(`release: ${why}`);
  expect(await readdir(released(here))).toEqual(before);
});

test("a build whose bytes depend on its folder is no release: exit code 1, one line, no sums", async () => {
  const folder = await sourceIn(join(base, "c"));
  const text = await readFile(join(folder, "package.json"), "utf8");
  const build = JSON.stringify(`${packageJson.scripts.build} --banner "/*! $PWD */"`);
  await writeFile(
    join(folder, "package.json"),
    text.replace(JSON.stringify(packageJson.scripts.build), () => build),
  );
  expect(await release(folder, "--only", NATIVE)).toEqual({
    exitCode: 1,
    stdout: "",
    stderr: `release: ${PREFIX}-${NATIVE} is not reproducible: built in another folder, its bytes differ\n`,
  });
  expect(await readdir(released(folder))).not.toContain("SHA256SUMS");
});

/** A folder that holds what a release is made from, and no more. */
async function sourceIn(folder: string): Promise<string> {
  for (const source of SOURCES) {
    await mkdir(dirname(join(folder, source)), { recursive: true });
    await cp(join(ROOT, source), join(folder, source), { recursive: true });
  }
  return folder;
}

function released(folder: string): string {
  return join(folder, "dist/release");
}

function release(folder: string, ...args: string[]): Promise<Outcome> {
  // --silent: without the bunfig.toml of the root, Bun would print the script too.
  const command = [process.execPath, "run", "--silent", "--cwd", folder, "release", ...args];
  return run(command, { HOME: process.env["HOME"] ?? tmpdir() }); // where Bun keeps the runtimes that it has fetched
}
