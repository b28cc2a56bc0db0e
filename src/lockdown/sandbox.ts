/**
 * The lock: once the listeners are open, this process gives up for good what it no longer needs, and from then on the
 * kernel refuses it. Files, programs, other processes, new sockets, privileges, core dumps: see syscalls.ts. It holds
 * for every thread, those that start later included, and can't be undone. Owns the filter; loaded unless switched off.
 *
 * A list of what is refused, not of what is allowed: JavaScriptCore starts threads, maps memory and tunes schedulers
 * when it likes, and would die of a refusal, while what the relay itself does is to read and write sockets.
 */
import { dlopen, type Pointer, ptr, toBuffer } from "bun:ffi";
import { readFileSync } from "node:fs";
import { arch, platform } from "node:os";
import { CONDITIONAL, FIRST_UNKNOWN, type Numbers, REFUSED, SECCOMP } from "./syscalls.ts";

type Processor = keyof Numbers;
/** AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of linux/audit.h. */
const ARCHITECTURES: Readonly<Record<Processor, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 };
/** The C library: glibc's, or musl's. */
const LIBRARIES: Readonly<Record<Processor, readonly string[]>> = {
  x64: ["libc.so.6", "libc.musl-x86_64.so.1"],
  arm64: ["libc.so.6", "libc.musl-aarch64.so.1"],
};
const FUNCTIONS = {
  prctl: { args: ["int", "u64", "u64", "u64", "u64"], returns: "int" },
  setrlimit: { args: ["int", "ptr"], returns: "int" },
  syscall: { args: ["i64", "u64", "u64", "ptr"], returns: "i64" },
} as const;

// linux/prctl.h, sys/resource.h, linux/sched.h, asm/ioctls.h, asm/errno.h
const PR_SET_DUMPABLE = 4;
const PR_SET_NO_NEW_PRIVS = 38;
const RLIMIT_CORE = 4;
const CLONE_THREAD = 0x10000;
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
const EACCES = 13;
const ENOSYS = 38;

// linux/seccomp.h: the operation, its flag for all threads, and what a filter may answer.
const SET_MODE_FILTER = 1;
const FLAG_TSYNC = 1;
const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const REFUSE = 0x00050000 | EACCES;
/** As if the kernel were older: the caller falls back on a call that these tables know. */
const UNKNOWN = 0x00050000 | ENOSYS;

// linux/bpf_common.h: load a word of what is judged; answer; and jump on, over as many instructions as jt or jf say.
const LOAD = 0x20;
const RETURN = 0x06;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
/** Where struct seccomp_data holds the call's number, the architecture, and the low half of an argument. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const argument = (index: number) => 16 + 8 * index;

/** struct sock_filter: eight bytes. */
export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}
type Rules = readonly Instruction[];

const load = (offset: number): Instruction => ({ code: LOAD, jt: 0, jf: 0, k: offset });
const answer = (value: number): Instruction => ({ code: RETURN, jt: 0, jf: 0, k: value });
const ifEqual = (k: number, then: Rules): Rules => [{ code: JUMP_EQUAL, jt: 0, jf: then.length, k }, ...then];
const ifAtLeast = (k: number, then: Rules): Rules => [{ code: JUMP_AT_LEAST, jt: 0, jf: then.length, k }, ...then];
const unlessEqual = (k: number, then: Rules): Rules => [{ code: JUMP_EQUAL, jt: then.length, jf: 0, k }, ...then];
const unlessAnyBit = (k: number, then: Rules): Rules => [{ code: JUMP_ANY_BIT, jt: then.length, jf: 0, k }, ...then];

/**
 * Locks the process, and overwrites the environment that it was started with.
 * @param pid its own number: its threads may go on signalling each other, which is how a C library aborts. (musl does
 *   it by tkill, which names no process and so is refused; an abort there ends it without a report)
 * @returns null, or why this machine can't: words for the operator. Then it is not locked, or not wholly
 */
export function lockDown(pid: number): string | null {
  const processor = arch();
  if (platform() !== "linux" || (processor !== "x64" && processor !== "arm64"))
    return `no filter was written for ${platform()} on ${processor}`;
  const libc = openLibrary(LIBRARIES[processor]);
  if (libc === null) return "no C library was found";
  const { prctl, setrlimit, syscall } = libc.symbols;
  eraseEnvironment();
  if (setrlimit(RLIMIT_CORE, ptr(new BigUint64Array(2))) !== 0) return "the kernel would not rule core dumps out";
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) !== 0) return "the kernel would not make the process undumpable";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) return "the kernel would not rule new privileges out";
  const filter = packed(filterFor(processor, pid));
  const program = new BigUint64Array([BigInt(filter.length), BigInt(ptr(filter))]); // struct sock_fprog
  if (syscall(SECCOMP[processor], SET_MODE_FILTER, FLAG_TSYNC, ptr(program)) !== 0n)
    return "the kernel took no seccomp filter";
  return null;
}

function openLibrary(names: readonly string[]) {
  for (const name of names) {
    try {
      return dlopen(name, FUNCTIONS);
    } catch {} // the other C library, then
  }
  return null;
}

/** Where the kernel put the environment is in fields 50 and 51 of proc(5)'s stat. What it says was read long ago. */
function eraseEnvironment(): void {
  const fields = readFileSync("/proc/self/stat", "latin1")
    .replace(/^.*\) /s, "")
    .split(" ");
  const [start = 0, end = 0] = fields.slice(47, 49).map(Number);
  if (end > start) toBuffer(start as Pointer, 0, end - start).fill(0);
}

/**
 * The rules in the order in which the kernel reads them, at every system call.
 * @param pid the process whose own threads may be signalled
 */
export function filterFor(processor: Processor, pid: number): Rules {
  const { clone, clone3, tgkill, prctl, prlimit64, ioctl } = CONDITIONAL;
  const refuse = [answer(REFUSE)];
  const on = ({ [processor]: number }: Numbers, ...rules: Rules) => (number === null ? [] : ifEqual(number, rules));
  return [
    load(ARCHITECTURE),
    ...unlessEqual(ARCHITECTURES[processor], [answer(KILL_PROCESS)]), // numbers mean other calls there
    load(NUMBER),
    ...ifAtLeast(FIRST_UNKNOWN, [answer(UNKNOWN)]), // x32's too, which are numbered from 2^30
    ...Object.values(REFUSED).flatMap((call) => on(call, ...refuse)),
    ...on(clone3, answer(UNKNOWN)), // no filter can see its flags; the C library then takes clone
    ...on(clone, load(argument(0)), ...unlessAnyBit(CLONE_THREAD, refuse), answer(ALLOW)),
    ...on(tgkill, load(argument(0)), ...unlessEqual(pid, refuse), answer(ALLOW)),
    ...on(prctl, load(argument(0)), ...ifEqual(PR_SET_DUMPABLE, refuse), answer(ALLOW)),
    ...on(prlimit64, load(argument(0)), ...unlessEqual(0, refuse), answer(ALLOW)), // 0 is itself
    // As if keys had been pressed by whoever sits at its terminal.
    ...on(ioctl, load(argument(1)), ...[TIOCSTI, TIOCLINUX].flatMap((k) => ifEqual(k, refuse)), answer(ALLOW)),
    answer(ALLOW),
  ];
}

/** The rules as the kernel takes them: 64 bits each. */
function packed(rules: Rules): BigUint64Array {
  return new BigUint64Array(
    rules.map(({ code, jt, jf, k }) => BigInt(code | (jt << 16) | (jf << 24)) | (BigInt(k) << 32n)),
  );
}
