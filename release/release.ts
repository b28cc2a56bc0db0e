/**
 * Makes a release in dist/release: relay and load tester for each target, packages with both, SHA256SUMS and
 * sbom.cdx.json. Run by `bun run release`. Each binary is built by package.json's own `build` or `build:load`, a second
 * time from a copy in another folder, which must give the same bytes, and so must each package; a binary is started and
 * checked where this machine can run it. It signs and publishes nothing.
 *
 *   bun run release [--only TARGET[,TARGET…]]
 *
 * Exit codes as of the relay: 0 all well, 1 the release can't be made here, 2 it was asked for wrongly.
 */
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { billOfMaterials, COMPILED_IN, type Shipped } from "./bill.ts";
import { KINDS, type Kind, packing } from "./packages.ts";

interface Target {
  /** As Bun calls it. */
  readonly bun: string;
  /** What `file` reads in its header, besides its loader. */
  readonly header: readonly [format: string, processor: string];
  /** Node's names for where it runs as it is. */
  readonly platform: string;
  readonly arch: string;
  /** On Linux, the loader that it asks the kernel for. */
  readonly loader?: string;
}

/** Bun's `-baseline` targets are left out: in this version their runtime is, byte for byte, that of plain x64. */
const TARGETS: Record<string, Target> = {
  "linux-x64": {
    ...{ bun: "bun-linux-x64", header: ["ELF", "x86-64"], platform: "linux", arch: "x64" },
    loader: "/lib64/ld-linux-x86-64.so.2",
  },
  "linux-arm64": {
    ...{ bun: "bun-linux-arm64", header: ["ELF", "aarch64"], platform: "linux", arch: "arm64" },
    loader: "/lib/ld-linux-aarch64.so.1",
  },
  "linux-x64-musl": {
    ...{ bun: "bun-linux-x64-musl", header: ["ELF", "x86-64"], platform: "linux", arch: "x64" },
    loader: "/lib/ld-musl-x86_64.so.1",
  },
  "linux-arm64-musl": {
    ...{ bun: "bun-linux-arm64-musl", header: ["ELF", "aarch64"], platform: "linux", arch: "arm64" },
    loader: "/lib/ld-musl-aarch64.so.1",
  },
  "darwin-x64": { bun: "bun-darwin-x64", header: ["Mach-O", "x86_64"], platform: "darwin", arch: "x64" },
  "darwin-arm64": { bun: "bun-darwin-arm64", header: ["Mach-O", "arm64"], platform: "darwin", arch: "arm64" },
  "windows-x64": { bun: "bun-windows-x64", header: ["PE32+", "x86-64"], platform: "win32", arch: "x64" },
};

/** What is released: the name of each program's files, and the script that builds it. */
const PROGRAMS = [
  { name: packageJson.name, script: "build", isRelay: true },
  { name: "whisper-load", script: "build:load", isRelay: false },
] as const;
type Program = (typeof PROGRAMS)[number];
/** Packages are for systems with glibc and systemd. */
const PACKAGED = ["linux-x64", "linux-arm64"];
/** What makes the browsers' library small, with what that needs. */
const MINIFIER = ["terser", "acorn", "@jridgewell"];
const ROOT = resolve(import.meta.dir, "..");
const RELEASE = join(ROOT, "dist/release");
/** All that a build reads: what the Dockerfile copies, and the libraries in the binaries. */
const SOURCES = [
  "package.json",
  "release",
  "src",
  ...[...Object.keys(COMPILED_IN), ...MINIFIER].map((library) => `node_modules/${library}`),
];
/** Where Debian's libc6-arm64-cross keeps what qemu needs to find for arm64. */
const SYSROOTS = ["/", "/usr/aarch64-linux-gnu"];
/** The longest that one command may take, in ms. A start takes a second in an emulator; a build may fetch a runtime. */
const PATIENCE_MS = 120_000;

class Refusal extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

interface Built extends Shipped {
  readonly bytes: number;
}

async function release(args: readonly string[]): Promise<void> {
  const names = chosen(args);
  const { version, engines } = packageJson;
  if (Bun.version !== engines.bun)
    throw new Refusal(`package.json asks for Bun ${engines.bun}, and this is ${Bun.version}: other bytes`);

  for (const source of SOURCES)
    if (!existsSync(join(ROOT, source))) throw new Refusal(`there is no ${source}: bun install --frozen-lockfile`);

  await rm(RELEASE, { recursive: true, force: true });
  await mkdir(RELEASE, { recursive: true });
  if (Bun.which("file") === null) throw new Refusal("headers are read by file(1): Debian's file has it");
  const built: Built[] = [];
  const table = [["what", "target", "size", "how it was checked"]];
  for (const [target, what] of Object.entries(TARGETS).filter(([target]) => names.has(target)))
    for (const program of PROGRAMS) {
      const file = `${program.name}-${version}-${target}${what.platform === "win32" ? ".exe" : ""}`;
      const binary = await buildTwice(program, what, file);
      built.push(binary);
      table.push([program.name, target, sizeOf(binary), `same bytes twice; ${await tried(program, what, file)}`]);
    }
  for (const [target, { arch }] of Object.entries(TARGETS).filter(
    ([target]) => names.has(target) && PACKAGED.includes(target),
  ))
    for (const kind of KINDS) {
      const made = await packTwice(kind, target, arch);
      if (made !== null) built.push(made);
      const how = made ? "same bytes twice" : `not made: no ${kind.tool} here, which Debian's ${kind.from} has`;
      table.push([kind.suffix, target, made ? sizeOf(made) : "", how]);
    }

  const sbom = billOfMaterials(built);
  await Bun.write(join(RELEASE, "sbom.cdx.json"), sbom);
  const sums = [...built, { file: "sbom.cdx.json", sha256: Bun.SHA256.hash(sbom, "hex") }];
  await Bun.write(join(RELEASE, "SHA256SUMS"), sums.map(({ file, sha256 }) => `${sha256}  ${file}\n`).join(""));
  print(`${inColumns(table)}\nSHA256SUMS and sbom.cdx.json are beside them in dist/release\n`);
}

/** The targets that the command line names: all, or those of --only. */
function chosen(args: readonly string[]): Set<string> {
  const all = Object.keys(TARGETS);
  if (args.length === 0) return new Set(all);
  const [flag, list = "", ...rest] = args.flatMap((arg) =>
    arg.startsWith("--only=") ? ["--only", arg.slice(7)] : arg,
  );
  if (flag !== "--only" || rest.length > 0) throw new Refusal("usage: bun run release [--only TARGET[,TARGET]]", 2);
  const names = list.split(",");
  const unknown = names.find((name) => !all.includes(name));
  if (unknown === undefined) return new Set(names);
  throw new Refusal(`--only ${JSON.stringify(unknown)} is not a target: ${all.join(", ")}`, 2);
}

/** Builds into the release, then from a copy elsewhere; what depends on its folder is no release. */
async function buildTwice(program: Program, target: Target, file: string): Promise<Built> {
  const path = join(RELEASE, file);
  await build(ROOT, program, target, path);
  for (const map of new Bun.Glob("*.map").scanSync(RELEASE)) await rm(join(RELEASE, map)); // the binary carries its own: stack traces name the source without these
  await using copy = await temporaryFolder();
  for (const source of SOURCES) await cp(join(ROOT, source), join(copy.path, source), { recursive: true });
  const again = join(copy.path, "dist", file); // of the same name, for that is in the bytes
  await build(copy.path, program, target, again);
  const [sha256, other] = await Promise.all([sha256Of(path), sha256Of(again)]);
  if (sha256 !== other) throw new Refusal(`${file} is not reproducible: built in another folder, its bytes differ`);
  return { file, bytes: Bun.file(path).size, sha256 };
}

async function build(folder: string, { script: name }: Program, target: Target, outfile: string): Promise<void> {
  const script = [process.execPath, "run", "--cwd", folder, name];
  const env = { ...process.env, BUILD_COMMIT: await commit() }; // the copy is no repository, and must say the same
  const { exitCode, output } = await run([...script, "--target", target.bun, "--outfile", outfile], env);
  if (exitCode !== 0 || !existsSync(outfile)) throw new Refusal(`can't build for ${target.bun}: ${lastLine(output)}`);
}

/** The commit of the working copy, as a build by package.json finds it; "" where there is no repository. */
async function commit(): Promise<string> {
  const { BUILD_COMMIT } = process.env;
  if (BUILD_COMMIT !== undefined) return BUILD_COMMIT;
  const git = ["git", "-C", ROOT, "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty"];
  const { exitCode, output } = await run(git, process.env).catch(() => ({ exitCode: 1, output: "" }));
  return exitCode === 0 ? output.trim() : "";
}

/** A package of the binaries of one target, made twice in different folders; null where its tool is not here. */
async function packTwice(kind: Kind, target: string, arch: string): Promise<Built | null> {
  if (Bun.which(kind.tool) === null) return null;
  const binaries = PROGRAMS.map(({ name }) => [name, join(RELEASE, `${name}-${packageJson.version}-${target}`)]);
  const file = kind.fileName(kind.arch[arch] ?? arch, packageJson.version);
  await using first = await temporaryFolder();
  await using second = await temporaryFolder();
  for (const { path } of [first, second]) {
    const { command, env } = await packing(
      kind,
      arch,
      Object.fromEntries(binaries),
      join(path, file),
      join(path, "scratch"),
    );
    const { exitCode, output } = await run(command, env);
    if (exitCode !== 0 || !existsSync(join(path, file))) throw new Refusal(`can't make ${file}: ${lastLine(output)}`);
  }
  const [sha256, other] = await Promise.all([first, second].map(({ path }) => sha256Of(join(path, file))));
  if (sha256 !== other) throw new Refusal(`${file} is not reproducible: made in another folder, its bytes differ`);
  await cp(join(first.path, file), join(RELEASE, file));
  return { file, bytes: Bun.file(join(RELEASE, file)).size, sha256: `${sha256}` };
}

/** Looks at the header, and starts the binary if this machine can. Says what was done. */
async function tried({ name, isRelay }: Program, target: Target, file: string): Promise<string> {
  const path = join(RELEASE, file);
  const kind = target.header.join(" ");
  const header = await run(["file", "--brief", path]);
  for (const part of [...target.header, ...(target.loader ? [`interpreter ${target.loader},`] : [])])
    if (!header.output.includes(part))
      throw new Refusal(`${file} should be ${part}, and is ${lastLine(header.output)}`);
  const launcher = launcherOf(target);
  if (typeof launcher === "string") return `${kind} by its header, not started: ${launcher}`;
  const command = [...launcher, path];

  const said = await run([...command, "--version"]);
  const missing = /Error loading shared library (\S+?):/.exec(said.output)?.[1];
  if (missing !== undefined) return `${kind} by its header, not started: no ${missing} for musl here`;
  const { version } = packageJson;
  if (said.exitCode !== 0 || said.output !== `${name} ${version} (${await named()}Bun ${Bun.version})\n`)
    throw new Refusal(`${file} --version says: ${lastLine(said.output)}`);
  if (!isRelay) return launcher.length === 0 ? "started" : "started in qemu";
  await startAndCheck(command, file);
  return `${launcher.length === 0 ? "started" : "started in qemu"}, check passed, stopped`;
}

/** How --version names the commit. */
async function named(): Promise<string> {
  const made = await commit();
  return made === "" ? "" : `commit ${made}, `;
}

/** The command line before the binary's own, or why it can't be started here. */
function launcherOf(target: Target): string[] | string {
  if (process.platform !== target.platform) return "another system";
  if (process.arch === target.arch)
    return target.loader === undefined || existsSync(target.loader) ? [] : `no ${target.loader}`;
  const qemu = target.arch === "arm64" && (Bun.which("qemu-aarch64-static") ?? Bun.which("qemu-aarch64"));
  if (!qemu) return "another processor";
  const sysroot = SYSROOTS.find((folder) => existsSync(join(folder, target.loader ?? "")));
  return sysroot === undefined ? `no ${target.loader} for qemu` : [qemu, "-L", sysroot];
}

/** A real start on a free port, `check` against it by the same binary, and an orderly end. */
async function startAndCheck(command: readonly string[], file: string): Promise<void> {
  const relay = spawn([...command, "--host", "127.0.0.1", "--port", "0"]);
  try {
    const port = await listeningPort(relay.stdout);
    if (port === null) throw new Refusal(`${file} does not start: ${lastLine(await relay.stderr.text())}`);
    const check = await run([...command, "check", `ws://127.0.0.1:${port}`]);
    if (check.exitCode !== 0) throw new Refusal(`${file} started, and its check failed: ${lastLine(check.output)}`);
    relay.kill("SIGTERM");
    const exitCode = await relay.exited;
    if (exitCode !== 0 && process.platform !== "win32")
      // where nothing can end in order by a signal
      throw new Refusal(`${file} ended on SIGTERM with exit code ${exitCode}`);
  } finally {
    relay.kill("SIGKILL");
    await relay.exited;
  }
}

/** The port that the relay names; its output is left open behind it, for it has a last word to say. */
async function listeningPort(stdout: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<number | null> {
  const reader = stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const { done, value = "" } = await reader.read();
    text += value;
    const [, port] = /listening on \S+:(\d+)\s/.exec(text) ?? [];
    if (port !== undefined) return Number(port);
    if (done) return null;
  }
}

function sizeOf({ bytes }: Built): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

async function sha256Of(path: string): Promise<string> {
  const hash = new Bun.SHA256();
  for await (const part of Bun.file(path).stream()) hash.update(part);
  return hash.digest("hex");
}

/** A binary sees nothing of this environment; a build sees all of it, for proxies and registries are named there. */
function spawn(command: readonly string[], env: Record<string, string | undefined> = {}) {
  const timeout = { timeout: PATIENCE_MS, killSignal: "SIGKILL" } as const;
  return Bun.spawn([...command], { cwd: tmpdir(), env, stdin: "ignore", stdout: "pipe", stderr: "pipe", ...timeout });
}

async function run(command: readonly string[], env?: Record<string, string | undefined>) {
  const child = spawn(command, env);
  const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { exitCode, output: stdout + stderr };
}

async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "whisper-release-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) || "nothing was said";
}

function inColumns(rows: readonly string[][]): string {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const lines = rows.map(([program = "", target = "", size = "", how = ""]) =>
    `${program.padEnd(width(0))}  ${target.padEnd(width(1))}  ${size.padStart(width(2))}  ${how}`.trimEnd(),
  );
  return lines.join("\n");
}

function print(text: string): void {
  process.stdout.write(text);
}

try {
  await release(process.argv.slice(2));
} catch (failure) {
  if (!(failure instanceof Refusal)) throw failure;
  process.stderr.write(`release: ${failure.message}\n`);
  process.exit(failure.exitCode);
}
