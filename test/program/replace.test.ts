/** `print --output`: a file is replaced whole or not at all, by the binary as an operator runs it. */
import { expect, test } from "bun:test";
import { chmodSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { newFolder } from "../support/machines/folder.ts";
import { command, run } from "../support/relays/relay.ts";

const print = (...args: string[]) => run(command("binary", "print", "nginx", ...args));
const QUIET = { exitCode: 0, stdout: "", stderr: "" };
const mode = (path: string) => statSync(path).mode & 0o777;

test("a new file has what would be printed, and may be read by all", async () => {
  await using folder = await newFolder();
  const path = folder.file("relay.conf");
  expect(await print("--output", path)).toEqual(QUIET);
  expect(readFileSync(path, "utf8")).toBe((await print()).stdout);
  expect([mode(path), readdirSync(folder.path)]).toEqual([0o644, ["relay.conf"]]);
});

test("a file that is there keeps its mode, and a link goes on leading to it", async () => {
  await using folder = await newFolder();
  const path = await folder.write("real", "old\n");
  const link = folder.file("link");
  symlinkSync("real", link);
  chmodSync(path, 0o600);
  expect(await print("--output", link, "--port=81")).toEqual(QUIET);
  expect(readFileSync(path, "utf8")).toContain("127.0.0.1:81;");
  expect([mode(path), lstatSync(link).isSymbolicLink()]).toEqual([0o600, true]);
  expect(readdirSync(folder.path).sort()).toEqual(["link", "real"]);
});

test("a print that fails leaves what was there, and nothing beside it", async () => {
  await using folder = await newFolder();
  const path = await folder.write("relay.conf", "old\n");
  const tooLarge = ["sh", "-c", 'trap "" XFSZ; ulimit -f 1; exec "$@"', "sh"]; // no file of more than 512 bytes
  const [wrong, full] = [
    await print("--output", path, "--port=0"),
    await run([...tooLarge, ...command("binary", "print", "systemd", "--output", path)]),
  ];
  expect(wrong).toEqual({ ...QUIET, exitCode: 2, stderr: expect.stringContaining("--port") });
  expect(full).toEqual({
    ...QUIET,
    exitCode: 1,
    stderr: expect.stringContaining(`--output "${path}" can't be written: `),
  });
  expect([readFileSync(path, "utf8"), readdirSync(folder.path)]).toEqual(["old\n", ["relay.conf"]]);
});

test("a pipe under a name such as /dev/stdout is refused, and no file of a strange name is made", async () => {
  await using folder = await newFolder();
  const script = 'set -o pipefail; cd "$1" && shift && "$@" | cat';
  for (const pipe of ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]) {
    const words = command("binary", "print", "systemd", "--output", pipe);
    expect(await run(["bash", "-c", script, "bash", folder.path, ...words])).toEqual({
      ...{ exitCode: 2, stdout: "" },
      stderr: `whisper-signaling: --output "${pipe}" is not a file\n`,
    });
  }
  expect(readdirSync(folder.path)).toEqual([]);
});

test("a folder, a device, and a folder that is not there are refused in one line", async () => {
  await using folder = await newFolder();
  const missing = folder.file("no/relay.conf");
  for (const [path, exitCode, why] of [
    [folder.path, 2, "is not a file"],
    ["/dev/null", 2, "is not a file"],
    [missing, 1, "can't be written: there is no such folder"],
  ] as const)
    expect(await print("--output", path)).toEqual({
      ...{ exitCode, stdout: "" },
      stderr: `whisper-signaling: --output "${path}" ${why}\n`,
    });
  expect(statSync("/dev/null").isCharacterDevice()).toBeTrue();
});
