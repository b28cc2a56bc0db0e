/**
 * Completions, tried in the real shells: what bash, fish and zsh make of a line when the tab key is pressed. A shell that
 * is not there is skipped, but never under CI.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { OPTIONS } from "../../src/program/config.ts";
import { AROUND } from "../../src/program/help.ts";
import { type Folder, newFolder } from "../support/machines/folder.ts";
import { pathOf } from "../support/machines/fronts.ts";
import { ROOT, run } from "../support/relays/relay.ts";

const PROGRAMS = { "whisper-signaling": "src/main.ts", "whisper-load": "src/load/main.ts" };
const FLAGS = Object.values(OPTIONS).map(({ flag }) => flag as string);
const ITSELF = ["man", "completion-bash", "completion-zsh", "completion-fish"];
const PRINTED = [...AROUND, ...ITSELF];

/** A line up to the cursor, and all that is offered there, in any order. */
const OFFERED: [line: string, offered: readonly string[]][] = [
  ["whisper-signaling print ", PRINTED],
  ["whisper-signaling print sys", ["systemd", "systemd@"]],
  ["whisper-signaling print man --out", ["--output"]],
  ["whisper-signaling check --out", []],
  ["whisper-signaling check --tl", ["--tls-cert", "--tls-key"]],
  ["whisper-signaling --log ", ["text", "json"]],
  ["whisper-signaling --sandbox r", ["require"]],
  ["whisper-signaling --reuse-port --ad", ["--admin"]],
  ["whisper-signaling --port ", []],
  ["whisper-load find ", ["handshake", "hold", "relay", "storm", "hostile"]],
  ["whisper-load find hold --rep", ["--report", "--repeats"]],
  ["whisper-load hold --rep", ["--report"]],
  ["whisper-load compare --js", []],
  ["whisper-load print ", ITSELF],
];

let folder: Folder;

beforeAll(async () => {
  folder = await newFolder();
  for (const [name, source] of Object.entries(PROGRAMS))
    for (const shell of ["bash", "zsh", "fish"]) {
      const printed = await run([process.execPath, resolve(ROOT, source), "print", `completion-${shell}`]);
      expect(printed).toMatchObject({ exitCode: 0, stderr: "" });
      await folder.write(shell === "zsh" ? `zsh/_${name}` : `${shell}-${name}`, printed.stdout);
    }
});

afterAll(() => folder[Symbol.asyncDispose]());

/** `shell` is there; where it isn't, a line says so and under CI the tests run and fail. */
function isHere(shell: string): boolean {
  const isFound = pathOf(shell) !== null;
  if (!isFound)
    console.warn(`completions.test.ts: not tried in ${shell}: Debian's ${shell} would have to be installed`);
  return isFound || Boolean(process.env["CI"]);
}

/** Runs a script that reads the completions of a line's program. Returns its lines. */
async function said(shell: readonly string[], script: string, ...args: string[]): Promise<string[]> {
  const { stdout, stderr } = await run([...shell, script, ...args], { PATH: `${process.env["PATH"]}` });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((line) => line !== "");
}

describe.skipIf(!isHere("bash"))("bash", () => {
  /** What Readline does with a line: words at spaces and at "=", and the function that is registered for the first. */
  const SCRIPT = `. "$0-$1"; shift; read -r _ _ function _ < <(complete -p "$1"); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    $function && printf '%s\\n' "\${COMPREPLY[@]}"`;
  const offered = (...words: string[]) =>
    said(["bash", "--norc", "-c"], SCRIPT, folder.file("bash"), words[0] ?? "", ...words);

  test.each(OFFERED)("%j is offered %j", async (line, expected) => {
    expect((await offered(...line.split(" "))).sort()).toEqual([...expected].sort());
  });

  test("a value may follow an equals sign, a file is found, and every flag is offered from the start", async () => {
    expect(await offered("whisper-signaling", "--log", "=", "j")).toEqual(["json"]);
    expect(await offered("whisper-signaling", "--log", "=")).toEqual(["text", "json"]);
    expect(await offered("whisper-signaling", "--tls-key", "/etc/host")).toContain("/etc/hostname");
    expect(await offered("whisper-load", "merge", "/etc/hostn")).toEqual(["/etc/hostname"]);
    expect(await offered("whisper-signaling", "--")).toEqual([...FLAGS, "--help", "--version"]);
  });

  const hasShellcheck = pathOf("shellcheck") !== null;
  test.skipIf(!hasShellcheck && !process.env["CI"])("shellcheck finds nothing in it", async () => {
    const files = Object.keys(PROGRAMS).map((name) => folder.file(`bash-${name}`));
    expect(await run(["shellcheck", "--shell=bash", ...files])).toMatchObject({ exitCode: 0, stdout: "" });
  });
});

describe.skipIf(!isHere("fish"))("fish", () => {
  const SCRIPT = 'source "$argv[1]"; complete -C "$argv[2]"';
  async function offered(line: string): Promise<string[]> {
    const args = [folder.file(`fish-${line.split(" ")[0]}`), line];
    const lines = await said(["fish", "--no-config", "-c"], SCRIPT, ...args);
    return lines.map((offer) => offer.replace(/\t.*/, ""));
  }

  test.each(OFFERED.filter(([, expected]) => expected.length > 0))("%j is offered %j", async (line, expected) => {
    expect((await offered(line)).sort()).toEqual([...expected].sort());
  });

  test("a value may follow an equals sign, and a file is found where one is taken and nowhere else", async () => {
    expect(await offered("whisper-signaling --log=j")).toEqual(["--log=json"]);
    expect(await offered("whisper-signaling --tls-key /etc/hostn")).toEqual(["/etc/hostname"]);
    expect(await offered("whisper-load merge /etc/hostn")).toEqual(["/etc/hostname"]);
    expect(await offered("whisper-signaling --port /etc/hostn")).toEqual([]);
    expect(await offered("whisper-load compare --js")).toEqual([]);
  });
});

describe.skipIf(!isHere("zsh"))("zsh", () => {
  test("the tab key ends each of these words as it should", async () => {
    const lines = {
      "whisper-signaling ch": "whisper-signaling check ",
      "whisper-signaling --lo": "whisper-signaling --log=",
      "whisper-signaling --log=j": "whisper-signaling --log=json ",
      "whisper-signaling print hap": "whisper-signaling print haproxy ",
      "whisper-signaling print systemd --log j": "whisper-signaling print systemd --log json ",
      "whisper-signaling check --re": "whisper-signaling check --reuse-port ",
      "whisper-signaling --origin=https://example.org --orig":
        "whisper-signaling --origin=https://example.org --origin=",
      "whisper-signaling --tls-cert=/etc/hostn": "whisper-signaling --tls-cert=/etc/hostname ",
      "whisper-load find han": "whisper-load find handshake ",
      "whisper-load merge /etc/hostn": "whisper-load merge /etc/hostname ",
      "whisper-load compare --js": "whisper-load compare --js",
    };
    const script = resolve(ROOT, "test/support/machines/complete.zsh");
    const { stdout, stderr } = await run(["zsh", "-f", script, folder.file("zsh"), ...Object.keys(lines)], {
      PATH: `${process.env["PATH"]}`,
      HOME: folder.path,
      TERM: "dumb",
    });
    expect([stdout.split("\n").slice(0, -1), stderr]).toEqual([Object.values(lines), ""]);
  });
});
