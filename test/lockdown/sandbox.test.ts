/** The lock, from inside and from outside: on the program as it is released, with hooks through which a test gets in. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { newFolder } from "../support/machines/folder.ts";
import { pathOf } from "../support/machines/fronts.ts";
import { OutsideListener } from "../support/machines/outside-listener.ts";
import { equals, until } from "../support/machines/until.ts";
import { expectUndisturbed, newPair } from "../support/peers/client.ts";
import { hookedRelays } from "../support/relays/hooked.ts";
import { ATTEMPTS } from "../support/relays/hooked-attempts.ts";
import { CALLS_OUT } from "../support/relays/hooked-ways-out.ts";
import { command, run, spawnProgram, spawnRelay, VARIANTS } from "../support/relays/relay.ts";

const EACCES = 13;
/** What Bun tells without the kernel's name for it. */
const NAMELESS = ["listen on another port", "connect to somebody", "fetch a page", "start a program"];

const spawnHooked = hookedRelays();

describe("from inside", () => {
  for (const on of ["main", "worker"] as const) {
    test(`every refused right is refused by the kernel (${on})`, async () => {
      const { results, arrived } = await attemptAll("require", on);
      expect(arrived()).toEqual([]);
      for (const [name, result] of results)
        if (NAMELESS.includes(name)) expect([name, result]).not.toEqual([name, "done"]);
        else expect([name, result]).toEqual([name, "EACCES"]);
    });

    test(`and each is there where nothing is locked (${on})`, async () => {
      const { results, arrived } = await attemptAll("off", on);
      expect(results).toEqual(Object.keys(ATTEMPTS).map((name) => [name, "done"]));
      await until("all calls out to arrive", () => arrived().length, equals(Object.keys(CALLS_OUT).length));
      expect(arrived()).toEqual(Object.keys(CALLS_OUT).sort());
    });

    test(`every system call of the table is refused, and only by the lock (${on})`, async () => {
      const [locked, unlocked] = [await answersOf("require", on), await answersOf("off", on)];
      expect(Object.keys(locked).length).toBeGreaterThan(100);
      for (const [name, answer] of Object.entries(locked)) {
        expect([name, answer]).toEqual([name, EACCES]);
        expect([name, unlocked[name]]).not.toEqual([name, EACCES]);
      }
    });
  }

  async function attemptAll(sandbox: string, on: "main" | "worker") {
    await using folder = await newFolder();
    using outside = await OutsideListener.open();
    await writeFile(`${folder.path}/there`, "kept");
    await using victim = await spawnRelay("source", "--sandbox=off");
    await using relay = await spawnHooked(`--sandbox=${sandbox}`);
    const ground = {
      folder: folder.path,
      port: victim.port,
      pid: victim.process.pid,
      outside: { tcp: outside.tcp, udp: outside.udp },
    };
    const results: [string, unknown][] = [];
    for (const attempt of Object.keys(ATTEMPTS))
      results.push([attempt, await relay.ask({ do: "try", on, attempt, ground })]);
    if (sandbox === "require") expect(readdirSync(folder.path)).toEqual(["there"]);
    const pair = await newPair(relay.url);
    await expectUndisturbed(pair);
    await outside.barrier(); // what was sent before is there before it
    return { results, arrived: () => outside.heard() };
  }

  async function answersOf(sandbox: string, on: "main" | "worker"): Promise<Record<string, number>> {
    await using relay = await spawnHooked(`--sandbox=${sandbox}`);
    return (await relay.ask({ do: "calls", on })) as Record<string, number>;
  }
});

describe.each(VARIANTS)("from outside (%s)", (variant) => {
  test("every thread is under the filter, can gain no privilege and leaves no core", async () => {
    await using relay = await spawnRelay(variant);
    const { pid } = relay.process;
    await expectUndisturbed(await newPair(relay.url));
    const threads = readdirSync(`/proc/${pid}/task`);
    expect(threads.length).toBeGreaterThan(1);
    for (const thread of threads) {
      const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "latin1");
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      expect(status).toMatch(/^Seccomp:\t2$/m);
    }
    expect(readFileSync(`/proc/${pid}/limits`, "latin1")).toMatch(/^Max core file size +0 +0 /m);
  });

  test("the environment that it was started with is overwritten", async () => {
    const environment = async (sandbox: string) => {
      await using relay = await spawnRelay(variant, `--sandbox=${sandbox}`);
      return readFileSync(`/proc/${relay.process.pid}/environ`, "latin1").replaceAll("\0", "");
    };
    expect(await environment("off")).toContain("WHISPER_HOST=127.0.0.1");
    expect(await environment("require")).toBe("");
  });

  test("the start and the metrics say what is in force", async () => {
    for (const [option, word, value] of [
      ["auto", "on", 1],
      ["require", "on", 1],
      ["off", "off", 0],
    ] as const) {
      await using relay = await spawnRelay(variant, "--admin=127.0.0.1:0", `--sandbox=${option}`);
      expect(await (await relay.admin("/metrics")).text()).toContain(`\nwhisper_sandbox_locked ${value}\n`);
      const { stdout, stderr } = await relay.stop();
      expect(stdout).toMatch(new RegExp(`^whisper-signaling: version .* sandbox=${word}\\b`));
      expect(stderr).toBe("");
    }
  });
});

const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
test.skipIf(process.getuid?.() !== 0 && !process.env["CI"])(
  "no other process of the same user can look into it",
  async () => {
    const owner = async (sandbox: string) => {
      await using relay = await spawnProgram([...asNobody, ...command("binary", `--sandbox=${sandbox}`)]);
      return statSync(`/proc/${relay.process.pid}/mem`).uid;
    };
    expect(await owner("off")).toBe(65_534);
    expect(await owner("require")).toBe(0);
  },
);

describe.skipIf(pathOf("strace") === null && !process.env["CI"])("where the kernel takes no filter", () => {
  const tracer = [
    "strace",
    "-f",
    "-qqq",
    "-o",
    "/dev/null",
    "-e",
    "trace=seccomp",
    "-e",
    "inject=seccomp:error=EINVAL",
  ];
  const options = ["--host=127.0.0.1", "--port=0", "--admin=127.0.0.1:0", "--drain=0s"];

  test("`require` ends the start with one line", async () => {
    const outcome = await run([...tracer, ...command("binary", ...options, "--sandbox=require")]);
    expect(outcome).toEqual({
      exitCode: 4,
      stdout: "",
      stderr: `whisper-signaling: --sandbox "require" can't be had here: the kernel took no seccomp filter\n`,
    });
  });

  test("`auto` says so and serves", async () => {
    await using relay = await spawnProgram([...tracer, ...command("binary", ...options)]);
    await expectUndisturbed(await newPair(relay.url));
    expect(await (await relay.admin("/metrics")).text()).toContain("\nwhisper_sandbox_locked 0\n");
    expect(relay.stdout.text).toMatch(/^whisper-signaling: version .* sandbox=off$/m);
    const [pid = ""] = readFileSync(`/proc/${relay.process.pid}/task/${relay.process.pid}/children`, "latin1").split(
      " ",
    );
    process.kill(Number(pid));
    expect((await relay.stop("SIGCONT")).stderr).toBe(
      "whisper-signaling: warning: the sandbox is off: the kernel took no seccomp filter\n",
    );
  });
});
