/** The lock, from inside and from outside: on the program as it is released, with hooks through which a test gets in. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { filterFor, type Instruction } from "../../src/lockdown/sandbox.ts";
import { CONDITIONAL, FIRST_UNKNOWN, type Numbers, REFUSED, SECCOMP } from "../../src/lockdown/syscalls.ts";
import { judge } from "../support/machines/filter.ts";
import { newFolder } from "../support/machines/folder.ts";
import { pathOf } from "../support/machines/fronts.ts";
import { expectUndisturbed, newPair } from "../support/peers/client.ts";
import { hookedRelays } from "../support/relays/hooked.ts";
import { ATTEMPTS } from "../support/relays/hooked-attempts.ts";
import { command, run, spawnProgram, spawnRelay, VARIANTS } from "../support/relays/relay.ts";

const EACCES = 13;
const ENOSYS = 38;
/** What Bun tells without the kernel's name for it. */
const NAMELESS = ["listen on another port", "connect to somebody", "fetch a page", "start a program"];

const spawnHooked = hookedRelays();

describe("from inside", () => {
  for (const on of ["main", "worker"] as const) {
    test(`every refused right is refused by the kernel (${on})`, async () => {
      const results = await attemptAll("require", on);
      for (const [name, result] of results)
        if (NAMELESS.includes(name)) expect([name, result]).not.toEqual([name, "done"]);
        else expect([name, result]).toEqual([name, "EACCES"]);
    });

    test(`and each is there where nothing is locked (${on})`, async () => {
      const results = await attemptAll("off", on);
      expect(results).toEqual(Object.keys(ATTEMPTS).map((name) => [name, "done"]));
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

  async function attemptAll(sandbox: string, on: "main" | "worker"): Promise<[string, unknown][]> {
    await using folder = await newFolder();
    await writeFile(`${folder.path}/there`, "kept");
    await using victim = await spawnRelay("source", "--sandbox=off");
    await using relay = await spawnHooked(`--sandbox=${sandbox}`);
    const ground = { folder: folder.path, port: victim.port, pid: victim.process.pid };
    const results: [string, unknown][] = [];
    for (const attempt of Object.keys(ATTEMPTS))
      results.push([attempt, await relay.ask({ do: "try", on, attempt, ground })]);
    if (sandbox === "require") expect(readdirSync(folder.path)).toEqual(["there"]);
    const pair = await newPair(relay.url);
    await expectUndisturbed(pair);
    return results;
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
      exitCode: 1,
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

describe.each([
  ["x64", 0xc000003e, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"],
  ["arm64", 0xc00000b7, "/usr/include/asm-generic/unistd.h"],
] as const)("the filter for %s", (processor, architecture, header) => {
  const PID = 4_242;
  const filter: readonly Instruction[] = filterFor(processor, PID);
  const answer = (number: number, ...args: number[]) => {
    const value = judge(filter, { architecture, number, args });
    return value === 0x7fff0000 ? "allowed" : value === 0x80000000 ? "killed" : value - 0x50000;
  };
  const numberOf = (call: Numbers) => call[processor] ?? -1;

  test.skipIf(!existsSync(header) && !process.env["CI"])("has the numbers of the kernel's own header", () => {
    const defined = [...readFileSync(header, "utf8").matchAll(/^#define __NR(?:3264)?_(\w+)\s+(\d+)$/gm)];
    const numbers = new Map(defined.map(([, name, number]) => [name ?? "", Number(number)]));
    for (const [name, call] of Object.entries<Numbers>({ ...REFUSED, ...CONDITIONAL }))
      expect([name, call[processor]]).toEqual([name, numbers.get(name) ?? null]);
    expect<number | undefined>(SECCOMP[processor]).toBe(numbers.get("seccomp"));
    expect(FIRST_UNKNOWN).toBeLessThanOrEqual(Math.max(...numbers.values()) + 1);
  });

  test("refuses what is in the table, and lets the rest through", () => {
    const refused = Object.values<Numbers>(REFUSED).map(numberOf);
    const judged = Object.values<Numbers>(CONDITIONAL).map(numberOf);
    for (let number = 0; number < FIRST_UNKNOWN; number++)
      if (!judged.includes(number))
        expect([number, answer(number)]).toEqual([number, refused.includes(number) ? EACCES : "allowed"]);
  });

  test("knows nothing of calls that came after it, nor of x32's", () => {
    for (const number of [FIRST_UNKNOWN, 470, 0x40000000, 0xffffffff]) expect(answer(number)).toBe(ENOSYS);
  });

  test("kills what calls by the numbers of another processor", () => {
    expect(judge(filter, { architecture: 0x40000003, number: 1 })).toBe(0x80000000);
  });

  test("judges some by their arguments", () => {
    const { clone, clone3, tgkill, prctl, prlimit64, ioctl } = CONDITIONAL;
    expect(answer(numberOf(clone3), 0)).toBe(ENOSYS);
    expect(answer(numberOf(clone), 0x3d0f00)).toBe("allowed"); // a thread, as glibc makes it
    expect(answer(numberOf(clone), 0x1200011)).toBe(EACCES); // a process
    expect(answer(numberOf(tgkill), PID)).toBe("allowed");
    expect(answer(numberOf(tgkill), 1)).toBe(EACCES);
    expect(answer(numberOf(prctl), 15)).toBe("allowed"); // a thread's name
    expect(answer(numberOf(prctl), 4, 1)).toBe(EACCES);
    expect(answer(numberOf(prlimit64), 0)).toBe("allowed");
    expect(answer(numberOf(prlimit64), 1)).toBe(EACCES);
    expect(answer(numberOf(ioctl), 0, 0x541b)).toBe("allowed"); // FIONREAD
    expect(answer(numberOf(ioctl), 0, 0x5412)).toBe(EACCES);
  });
});
