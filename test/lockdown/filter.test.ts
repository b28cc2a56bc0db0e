/** The filter as such: that every system call is in one table, with its number, and what is answered to each. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ALLOWED } from "../../src/lockdown/allowed.ts";
import { REFUSED } from "../../src/lockdown/refused.ts";
import { filterFor, type Instruction } from "../../src/lockdown/sandbox.ts";
import { CONDITIONAL, FIRST_UNKNOWN, type Numbers, SECCOMP } from "../../src/lockdown/syscalls.ts";
import { judge } from "../support/machines/filter.ts";
import { newFolder } from "../support/machines/folder.ts";
import { REFUSED_CALLS } from "../support/machines/refused.ts";
import { ROOT, run } from "../support/relays/relay.ts";

const EACCES = 13;
const ENOSYS = 38;
const ALLOWED_CALLS: Record<string, Numbers> = Object.assign({}, ...Object.values(ALLOWED).map(({ calls }) => calls));
const TABLES: readonly Record<string, Numbers>[] = [REFUSED_CALLS, CONDITIONAL, ALLOWED_CALLS];

test("no call is in two tables", () => {
  const names = [...Object.values(REFUSED), CONDITIONAL, ...Object.values(ALLOWED).map(({ calls }) => calls)].flatMap(
    (calls) => Object.keys(calls),
  );
  expect(names.filter((name, n) => names.indexOf(name) !== n)).toEqual([]);
});

describe.each([
  ["x64", 0xc000003e, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"],
  ["arm64", 0xc00000b7, "/usr/include/asm-generic/unistd.h"],
] as const)("the filter for %s", (processor, architecture, header) => {
  const PID = 4_242;
  const filter: readonly Instruction[] = filterFor(processor, PID, null);
  const answer = (number: number, ...args: number[]) => {
    const value = judge(filter, { architecture, number, args });
    return value === 0x7fff0000 ? "allowed" : value === 0x80000000 ? "killed" : value - 0x50000;
  };
  const numberOf = (call: Numbers) => call[processor] ?? -1;

  test.skipIf(!existsSync(header) && !process.env["CI"])("knows every call of the kernel's own header", () => {
    const numbers = numbersIn(readFileSync(header, "utf8"));
    const listed = Object.assign({}, ...TABLES) as Record<string, Numbers>;
    for (const [name, number] of numbers)
      if (number < FIRST_UNKNOWN) expect([name, listed[name]?.[processor]]).toEqual([name, number]);
    for (const [name, call] of Object.entries(listed))
      expect([name, call[processor]]).toEqual([name, numbers.get(name) ?? null]);
    expect<number | undefined>(SECCOMP[processor]).toBe(numbers.get("seccomp"));
    expect(FIRST_UNKNOWN).toBeLessThanOrEqual(Math.max(...numbers.values()) + 1);
  });

  test("refuses what is in the one table, lets through what is in the other, and knows nothing else", () => {
    const refused = Object.values<Numbers>(REFUSED_CALLS).map(numberOf);
    const allowed = Object.values(ALLOWED_CALLS).map(numberOf);
    const judged = Object.values<Numbers>(CONDITIONAL).map(numberOf);
    for (let number = 0; number < FIRST_UNKNOWN; number++) {
      const expected = refused.includes(number) ? EACCES : allowed.includes(number) ? "allowed" : ENOSYS;
      if (!judged.includes(number)) expect([number, answer(number)]).toEqual([number, expected]);
    }
  });

  test("knows nothing of calls that came after it, nor of x32's", () => {
    for (const number of [FIRST_UNKNOWN, 470, 0x40000000, 0xffffffff]) expect(answer(number)).toBe(ENOSYS);
  });

  test("kills what calls by the numbers of another processor", () => {
    expect(judge(filter, { architecture: 0x40000003, number: 1 })).toBe(0x80000000);
  });

  const [refused, allowed] = [EACCES, "allowed"] as const;
  test.each<[keyof typeof CONDITIONAL, number[], string | number, string]>([
    ["clone3", [0], ENOSYS, "whatever its flags"],
    ["clone", [0x3d0f00], allowed, "a thread, as glibc makes it"],
    ["clone", [0x1200011], refused, "a process"],
    ["clone", [0x403d0f00], refused, "a thread in another network"],
    ["tgkill", [PID], allowed, "a thread of its own"],
    ["tgkill", [1], refused, "somebody else's"],
    ["prctl", [15], allowed, "a thread's name"],
    ["prctl", [4, 1], refused, "dumpable"],
    ["prctl", [22, 2], refused, "a second filter"],
    ["prctl", [0x59616d61], refused, "who may trace it"],
    ["prctl", [35], refused, "the map of its memory"],
    ["prlimit64", [0, 4, 0], allowed, "a question about itself"],
    ["prlimit64", [0, 4, 0x1000], refused, "a new limit"],
    ["prlimit64", [1, 4, 0], refused, "a question about another"],
    ["ioctl", [0, 0x541b], allowed, "FIONREAD"],
    ["ioctl", [0, 0x5412], refused, "TIOCSTI"],
    ["ioctl", [0, 0x5402], refused, "TCSETS"],
    ["ioctl", [0, 0x540e], refused, "TIOCSCTTY"],
    ["ioctl", [0, 0x5410], refused, "TIOCSPGRP"],
    ["ioctl", [0, 0x8916], refused, "SIOCSIFADDR"],
    ["ioctl", [0, 0x5452], refused, "FIOASYNC"],
    ["fcntl", [0, 1030], allowed, "F_DUPFD_CLOEXEC"],
    ["fcntl", [0, 4, 0x800], allowed, "O_NONBLOCK"],
    ["fcntl", [0, 4, 0x2800], refused, "O_ASYNC"],
    ["fcntl", [0, 8], refused, "F_SETOWN"],
    ["fcntl", [0, 10], refused, "F_SETSIG"],
    ["fcntl", [0, 15], refused, "F_SETOWN_EX"],
    ["fcntl", [0, 1024], refused, "F_SETLEASE"],
    ["fcntl", [0, 1026], refused, "F_NOTIFY"],
    ["sendto", [5, 1, 1, 0x4040, 0], allowed, "MSG_DONTWAIT, MSG_NOSIGNAL"],
    ["sendto", [5, 1, 1, 0x20000000, 0], refused, "MSG_FASTOPEN"],
    ["sendto", [5, 1, 1, 0, 0x1000], refused, "an address"],
    ["setsockopt", [5, 6, 1], allowed, "TCP_NODELAY"],
    ["setsockopt", [5, 1, 13], allowed, "SO_LINGER"],
    ["setsockopt", [5, 6, 30], refused, "TCP_FASTOPEN_CONNECT"],
    ["setsockopt", [5, 6, 19], refused, "TCP_REPAIR"],
    ["setsockopt", [5, 1, 26], refused, "SO_ATTACH_FILTER"],
    ["setsockopt", [5, 0, 19], refused, "IP_TRANSPARENT"],
    ["setsockopt", [5, 0, 64], refused, "the machine's packet filter"],
    ["mmap", [0, 1, 3, 0x22], allowed, "memory of no file"],
    ["mmap", [0, 1, 3, 0x1, 5], refused, "a file"],
    ["madvise", [0, 1, 4], allowed, "MADV_DONTNEED"],
    ["madvise", [0, 1, 100], refused, "MADV_HWPOISON"],
    ["sched_setscheduler", [0], allowed, "the calling thread"],
    ["sched_setscheduler", [PID + 1], refused, "somebody else"],
  ])("judges %s by its arguments: %j is %p (%s)", (name, args, expected) => {
    expect(answer(numberOf(CONDITIONAL[name]), ...args)).toEqual(expected);
  });

  test("an address counts in both its halves", () => {
    const words = { architecture, number: numberOf(CONDITIONAL.sendto), args: [5, 1, 1, 0, 0] };
    expect(judge(filter, { ...words, high: [0, 0, 0, 0, 1] })).toBe(0x50000 + EACCES);
  });

  test.each<["tcp" | "local", string, number[], boolean]>([
    ["tcp", "TCP", [2, 0x80801, 0], true],
    ["tcp", "TCP by its number, over IPv6", [10, 1, 6], true],
    ["tcp", "UDP", [2, 2, 17], false],
    ["tcp", "MPTCP", [2, 1, 262], false],
    ["tcp", "a socket of this machine", [1, 1, 0], false],
    ["tcp", "netlink", [16, 3, 0], false],
    ["local", "a socket of this machine", [1, 0x80801, 0], true],
    ["local", "one for datagrams", [1, 2, 0], false],
    ["local", "TCP", [2, 1, 0], false],
  ])("who calls by %s may make %s: %j is %p", (caller, _, args, isAllowed) => {
    const number = numberOf(REFUSED.sockets.socket);
    const answered = judge(filterFor(processor, PID, caller), { architecture, number, args });
    expect(answered).toBe(isAllowed ? 0x7fff0000 : 0x50000 + EACCES);
  });

  test.each(["tcp", "local"] as const)(
    "who calls by %s may connect, and nothing else that others may not",
    (caller) => {
      const calling = filterFor(processor, PID, caller);
      const answers = (rules: readonly Instruction[], call: Numbers) =>
        judge(rules, { architecture, number: numberOf(call), args: [5, 1, 1, 0x20000000, 1] });
      for (const table of TABLES)
        for (const [name, call] of Object.entries(table)) {
          if (call[processor] === null) continue;
          const expected = name === "connect" ? 0x7fff0000 : answers(filter, call);
          expect([name, answers(calling, call)]).toEqual([name, expected]);
        }
    },
  );
});

test("a process that calls out has that one way, and nothing else", async () => {
  await using folder = await newFolder();
  const unix = folder.file("socket");
  using port = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  using _socket = Bun.listen({ unix, socket: { data() {} } });
  const done = async (caller: string) => {
    const program = resolve(ROOT, "test/support/relays/caller.ts");
    const { stdout } = await run([process.execPath, program, caller, `${port.port}`, unix]);
    return JSON.parse(stdout);
  };
  expect(await done("none")).toEqual([]);
  expect(await done("tcp")).toEqual(["tcp"]);
  expect(await done("local")).toEqual(["local"]);
});

describe("docs/SECURITY.md", () => {
  const text = readFileSync(resolve(ROOT, "docs/SECURITY.md"), "utf8");
  const rows = (marker: string) => {
    const [, block = ""] = new RegExp(`<!-- ${marker}:[^\\n]*\\n(.*?)<!-- /${marker} -->`, "s").exec(text) ?? [];
    return block
      .trim()
      .split("\n")
      .slice(2)
      .map((row) => row.replace(/^\| | \|$/g, "").split(" | "));
  };
  const named = (calls: Record<string, Numbers>) =>
    Object.keys(calls)
      .map((name) => `\`${name}\``)
      .join(" ");

  test("names every call that stays, with the reason that the code has", () => {
    const expected = Object.entries(ALLOWED).map(([kind, { why, calls }]) => [kind, named(calls), why]);
    expect(rows("allowed")).toEqual(expected);
  });

  test("says what stays of those that are judged", () => {
    const expected = Object.entries(CONDITIONAL).map(([name, { right, only }]) => [`\`${name}\``, right, only]);
    expect(rows("judged")).toEqual(expected);
  });

  test("names every call that is refused, by right", () => {
    const expected = Object.entries(REFUSED).map(([right, calls]) => [right, named(calls)]);
    expect(rows("refused")).toEqual(expected);
  });
});

/** The calls of a header for 64 bits: those between 403 and 423 of the generic one are for 32. */
function numbersIn(header: string): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const [, prefix, name = "", digits] of header.matchAll(/^#define __NR(3264)?_(\w+)\s+(\d+)$/gm)) {
    const number = Number(digits);
    const isFor32Bits = name.endsWith("64") && number >= 403 && number <= 423;
    const isForOthers = ["arch_specific_syscall", "sync_file_range2", "syscalls"].includes(name);
    if (!isFor32Bits && !isForOthers) numbers.set(prefix && name === "fstatat" ? "newfstatat" : name, number);
  }
  return numbers;
}
