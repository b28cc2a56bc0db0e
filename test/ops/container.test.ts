/**
 * The container image, as far as it can be tried without an engine: what the Dockerfile says, and its own command
 * lines run as process 1 in a root that holds the binary, its libraries and /proc, and can't be written to.
 */
import { expect, test } from "bun:test";
import { chmod, cp, mkdir, readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { engines } from "../../package.json" with { type: "json" };
import { OPTIONS } from "../../src/program/config.ts";
import { newFolder } from "../support/machines/folder.ts";
import { Output, ROOT, run, spawn } from "../support/relays/relay.ts";

const BINARY = join(ROOT, "dist/whisper-signaling"); // `bun run test` builds it first
/** What a container hangs for at most before it is killed, so that a failed test leaves none behind. */
const PATIENCE_MS = 15_000;

const [build = [], image = []] = stagesOf(await readFile(join(ROOT, "Dockerfile"), "utf8"));
const entrypoint = execForm(said(image, "ENTRYPOINT"));
const healthcheck = execForm(said(image, "HEALTHCHECK"));
/** As numbers, since an image without /etc/passwd has no names. */
const [uid = "", gid = ""] = (said(image, "USER")[0] ?? "").split(":");
/** Where the binary is in the image. */
const [, target = ""] = /^--from=build \S+ (\S+)$/.exec(said(image, "COPY").join("\n")) ?? [];

test("the image is built by the Bun that package.json asks for", () => {
  expect(said(build, "FROM")).toEqual([`oven/bun:${engines.bun}-debian AS build`]);
});

test("the build needs nothing but what the Dockerfile copies, and nothing else is sent to it", async () => {
  await using folder = await newFolder();
  const copied = said(build, "COPY").map((paths) => paths.split(" ")[0] ?? "");
  for (const path of copied) await cp(join(ROOT, path), join(folder.path, path), { recursive: true });
  expect(said(build, "RUN")).toEqual(["bun run build"]);
  expect(await run([process.execPath, "run", "--cwd", folder.path, "build"])).toMatchObject({ exitCode: 0 });
  const built = await run([join(folder.path, "dist/whisper-signaling"), "--version"]);
  expect(built).toMatchObject({ exitCode: 0, stdout: expect.stringContaining(`Bun ${engines.bun}`) });

  const sent = (await readFile(join(ROOT, ".dockerignore"), "utf8")).split("\n").filter((line) => /^[^#]/.test(line));
  expect(sent).toEqual(["*", ...copied.map((path) => `!${path}`)]);
});

test("the port that the image exposes is the one that a relay takes where none is said", () => {
  expect(said(image, "EXPOSE")).toEqual([OPTIONS.port.default]);
});

test.skipIf(Bun.which("ldd") === null)("the binary needs only glibc, which is all that the image has", async () => {
  const names = (await libraries()).map((path) => path.slice(path.lastIndexOf("/") + 1));
  const others = names.filter((name) => !/^(lib(c|m|dl|pthread|rt|resolv)\.so\.\d|ld-linux[-\w]*\.so\.\d)$/.test(name));
  expect(others).toEqual([]);
  expect(names).toContain("libc.so.6");
});

const obstacle = whyNoContainer();
if (obstacle !== null) console.warn(`the image's commands can't be tried here: ${obstacle}`);

test.skipIf(obstacle !== null && !process.env["CI"])(
  "in a bare read-only root the image serves as an ordinary user, is healthy, and stops on SIGTERM without a trace",
  async () => {
    if (obstacle !== null) throw new Error(obstacle);
    let root: string;
    let pid: number;
    {
      await using folder = await newFolder();
      root = folder.path;
      await fill(root);
      await using container = await start(root, entrypoint, { WHISPER_HOST: "127.0.0.1", WHISPER_PORT: "0" });
      pid = container.pid;

      const status = await statusOf(pid);
      expect(status.get("NSpid")).toBe(`${pid} 1`);
      expect(Number(uid) * Number(gid)).toBeGreaterThan(0); // of no rights, and not by a name
      expect(status.get("Uid")).toBe(Array(4).fill(uid).join(" "));
      expect(status.get("Gid")).toBe(Array(4).fill(gid).join(" "));
      expect(status.get("Groups")).toBe("");
      expect(Number(status.get("CapEff"))).toBe(0);
      expect(await readlink(`/proc/${pid}/root`)).toBe(root);
      expect(await mountsOf(pid)).toEqual(["/ ro", "/proc ro"]);
      const write = writeFile(`/proc/${pid}/root/trace`, ""); // as root: what refuses is the mount, not the owner
      expect(await write.catch((failure) => failure.code)).toBe("EROFS");

      const health = await run(contained(root, healthcheck), {
        WHISPER_HOST: "127.0.0.1",
        WHISPER_PORT: `${container.port}`,
      });
      expect(health).toMatchObject({ exitCode: 0, stderr: "" });

      process.kill(pid, "SIGTERM");
      expect(await container.exited).toBe(0);
    }
    expect(await statusOf(pid)).toBeEmpty();
    expect(await readFile("/proc/self/mountinfo", "utf8")).not.toContain(root);
    await expect(readdir(root)).rejects.toMatchObject({ code: "ENOENT" });
  },
);

/** A Dockerfile's stages as lists of instructions: comments gone, continued lines joined. */
function stagesOf(text: string): string[][] {
  const stages: string[][] = [];
  const lines = text.replaceAll(/^\s*#.*$/gm, "").replaceAll(/\\\n\s*/g, "");
  for (const line of lines.split("\n").filter(Boolean)) {
    if (line.startsWith("FROM ")) stages.push([]);
    stages.at(-1)?.push(line);
  }
  return stages;
}

/** What a stage says by one kind of instruction, in order. */
function said(stage: readonly string[], keyword: string): string[] {
  return stage.filter((line) => line.startsWith(`${keyword} `)).map((line) => line.slice(keyword.length + 1));
}

/** The command of the only such instruction, which must be in exec form: a JSON array. */
function execForm(instructions: readonly string[]): string[] {
  const [, json = "[]"] = /^(?:--\S+ )*(?:CMD )?(\[.*\])$/.exec(instructions.join("\n")) ?? [];
  return JSON.parse(json);
}

function whyNoContainer(): string | null {
  if (process.getuid?.() !== 0) return "it takes root";
  const missing = ["unshare", "mount", "chroot", "ldd"].filter((tool) => Bun.which(tool) === null);
  if (missing.length > 0) return `no ${missing.join(", ")}`;
  const tried = Bun.spawnSync(["unshare", "--mount-proc", "--pid", "--fork", "true"]);
  return tried.success ? null : tried.stderr.toString().trim();
}

/** The shared libraries and the loader that the binary needs, as full paths. */
async function libraries(): Promise<string[]> {
  const { stdout } = await run(["ldd", BINARY]);
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path);
}

async function fill(root: string): Promise<void> {
  await chmod(root, 0o755);
  await mkdir(join(root, "proc")); // every engine mounts it, and without it Bun aborts
  await cp(BINARY, join(root, target));
  for (const path of await libraries()) {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await cp(path, join(root, path), { dereference: true });
  }
}

/** The command line that does what an engine does: namespaces of its own, a read-only root, an ordinary user. */
function contained(root: string, command: readonly string[]): string[] {
  const script = `
    mount --bind "$0" "$0"
    mount -t proc -o ro,nosuid,nodev,noexec proc "$0/proc"
    mount -o remount,bind,ro "$0"
    exec chroot --userspec=${uid}:${gid} --groups= "$0" "$@"`;
  return ["unshare", "--mount", "--pid", "--fork", "sh", "-ec", script, root, ...command];
}

async function start(root: string, command: readonly string[], env: Record<string, string>) {
  const outer = spawn(contained(root, command), env);
  const [stdout, stderr] = [new Output(outer.stdout), new Output(outer.stderr)];
  async function end(): Promise<void> {
    const pid = await childOf(outer.pid);
    if (pid !== null) process.kill(pid, "SIGKILL"); // the outer one then ends by itself
    await outer.exited;
  }
  const deadline = setTimeout(end, PATIENCE_MS);
  outer.exited.finally(() => clearTimeout(deadline));
  const port = Number((await stdout.until(/listening on \S+:(\d+)/))[1]);
  const pid = await childOf(outer.pid);
  if (port && pid !== null) return { port, pid, exited: outer.exited, [Symbol.asyncDispose]: end };
  await end();
  throw new Error(`the image did not start: ${stdout.text}${stderr.text}`);
}

async function childOf(parent: number): Promise<number | null> {
  for (const entry of await readdir("/proc"))
    if (/^\d+$/.test(entry) && (await statusOf(Number(entry))).get("PPid") === `${parent}`) return Number(entry);
  return null;
}

/** /proc/PID/status by name; nothing for a process that has gone. */
async function statusOf(pid: number): Promise<Map<string, string>> {
  const text = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return new Map(
    [...text.matchAll(/^(\w+):[\t ]*(.*?)\s*$/gm)].map(([, name = "", value = ""]) => [
      name,
      value.replaceAll("\t", " "),
    ]),
  );
}

/** Where the process sees a mount, and whether it may write there. */
async function mountsOf(pid: number): Promise<string[]> {
  const lines = (await readFile(`/proc/${pid}/mountinfo`, "utf8")).trim().split("\n");
  return lines.map((line) => line.split(" ")).map((fields) => `${fields[4]} ${fields[5]?.split(",")[0]}`);
}
