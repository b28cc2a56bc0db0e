/**
 * The lock: once the listeners are open, this process gives up for good what it no longer needs, and from then on the
 * kernel refuses it. Files, programs, other processes, new sockets, privileges, core dumps: see syscalls.ts. It holds
 * for every thread, those that start later included, and can't be undone. Owns the filter; loaded unless switched off.
 *
 * Every call that the kernel had when the tables were written is in one of them, refused (refused.ts), allowed with its
 * reason (allowed.ts) or judged by its arguments; what is in none answers as on an older kernel. What is allowed is more
 * than what the relay was seen to use: JavaScriptCore starts threads and maps memory when it likes, and would die of a
 * refusal.
 */
import { type Pointer, ptr, toBuffer } from "bun:ffi";
import { readFileSync } from "node:fs";
import { arch, platform } from "node:os";
import { ALLOWED } from "./allowed.ts";
import { openLibc } from "./libc.ts";
import { parseStat } from "./proc.ts";
import { REFUSED } from "./refused.ts";
import { CONDITIONAL, FIRST_UNKNOWN, type Numbers, SECCOMP } from "./syscalls.ts";

type Processor = keyof Numbers;
/** AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of linux/audit.h. */
const ARCHITECTURES: Readonly<Record<Processor, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 };
const FUNCTIONS = {
  prctl: { args: ["int", "u64", "u64", "u64", "u64"], returns: "int" },
  setrlimit: { args: ["int", "ptr"], returns: "int" },
  syscall: { args: ["i64", "u64", "u64", "ptr"], returns: "i64" },
} as const;

// linux/prctl.h, sys/resource.h, asm/errno.h
const PR_SET_DUMPABLE = 4;
const PR_SET_NO_NEW_PRIVS = 38;
const RLIMIT_CORE = 4;
const EACCES = 13;
const ENOSYS = 38;

// What arguments are let through. The numbers are the same on both processors.
const MSG_FASTOPEN = 0x20000000;
const MAP_ANONYMOUS = 0x20;
/** MADV_HWPOISON: it and those behind it are tests of the machine's error handling. */
const FIRST_HARMFUL_ADVICE = 100;
const CLONE_THREAD = 0x10000;
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const CLONE_NEW_ANY = 0x7e020000;
const F_SETFL = 4;
const O_ASYNC = 0x2000;
/** F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC; F_SETFL beside them. */
const FCNTLS = [0, 1, 2, 3, 1030];
/** TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX. */
const IOCTLS = [0x5401, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451];
/** PR_GET_DUMPABLE, SET_NAME, GET_NAME, GET_SECCOMP, GET_NO_NEW_PRIVS, SET_THP_DISABLE, GET_THP_DISABLE, SET_VMA. */
const PRCTLS = [3, 15, 16, 21, 39, 41, 42, 0x53564d41];
const SOL_SOCKET = 1;
/** SO_KEEPALIVE, SO_LINGER. */
const SOCKET_OPTIONS = [9, 13];
const IPPROTO_TCP = 6;
const SOCK_STREAM = 1;
/** SOCK_NONBLOCK and SOCK_CLOEXEC stand in the same argument. */
const SOCK_TYPES = 0xf;
/** Of whom a process that calls out may make sockets: AF_INET and AF_INET6, or AF_UNIX. */
const FAMILIES = { tcp: [2, 10], local: [1] } as const;
/** TCP_NODELAY, CORK, KEEPIDLE, KEEPINTVL, KEEPCNT, QUICKACK. */
const TCP_OPTIONS = [1, 3, 4, 5, 6, 12];

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
const AND = 0x54;
/** Where struct seccomp_data holds the call's number, the architecture, and the halves of an argument. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const argument = (index: number) => 16 + 8 * index;
const highHalf = (index: number) => argument(index) + 4;

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
const ifAnyBit = (k: number, then: Rules): Rules => [{ code: JUMP_ANY_BIT, jt: 0, jf: then.length, k }, ...then];
const allow = answer(ALLOW);
const refuse = answer(REFUSE);
const ifAmong = (values: readonly number[], then: Instruction): Rules => values.flatMap((k) => ifEqual(k, [then]));
const unlessNull = (index: number, then: Rules): Rules =>
  [argument(index), highHalf(index)].flatMap((half) => [load(half), ...unlessEqual(0, then)]);
const itself: Rules = [load(argument(0)), ...unlessEqual(0, [refuse]), allow]; // 0 is the caller

/** What becomes of the calls that are judged by their arguments. */
const JUDGED: Readonly<Record<keyof typeof CONDITIONAL, (pid: number) => Rules>> = {
  sendto: () => [load(argument(3)), ...ifAnyBit(MSG_FASTOPEN, [refuse]), ...unlessNull(4, [refuse]), allow],
  madvise: () => [load(argument(2)), ...ifAtLeast(FIRST_HARMFUL_ADVICE, [refuse]), allow],
  mmap: () => [load(argument(3)), ...unlessAnyBit(MAP_ANONYMOUS, [refuse]), allow],
  setsockopt: () => [
    load(argument(1)),
    ...ifEqual(SOL_SOCKET, [load(argument(2)), ...ifAmong(SOCKET_OPTIONS, allow), refuse]),
    ...ifEqual(IPPROTO_TCP, [load(argument(2)), ...ifAmong(TCP_OPTIONS, allow), refuse]),
    refuse,
  ],
  fcntl: () => [
    load(argument(1)),
    ...ifAmong(FCNTLS, allow),
    ...unlessEqual(F_SETFL, [refuse]),
    load(argument(2)),
    ...ifAnyBit(O_ASYNC, [refuse]),
    allow,
  ],
  ioctl: () => [load(argument(1)), ...ifAmong(IOCTLS, allow), refuse],
  clone: () => [
    load(argument(0)),
    ...unlessAnyBit(CLONE_THREAD, [refuse]),
    ...ifAnyBit(CLONE_NEW_ANY, [refuse]),
    allow,
  ],
  clone3: () => [answer(UNKNOWN)], // no filter can see its flags; the C library then takes clone
  tgkill: (pid) => [load(argument(0)), ...unlessEqual(pid, [refuse]), allow],
  sched_setaffinity: () => itself,
  sched_setattr: () => itself,
  sched_setparam: () => itself,
  sched_setscheduler: () => itself,
  prctl: () => [load(argument(0)), ...ifAmong(PRCTLS, allow), refuse],
  prlimit64: () => [load(argument(0)), ...unlessEqual(0, [refuse]), ...unlessNull(2, [refuse]), allow],
};

/** What it may call by: TCP, of which no other protocol is a part (Landlock knows no MPTCP), or sockets of this machine. */
export type Caller = keyof typeof FAMILIES;

/** A socket that a caller makes, which then may be connected. */
const socketOf = (caller: Caller): Rules => {
  const isStream: Rules = [{ code: AND, jt: 0, jf: 0, k: SOCK_TYPES }, ...unlessEqual(SOCK_STREAM, [refuse])];
  const made: Rules = [load(argument(1)), ...isStream, load(argument(2)), ...ifAmong([0, IPPROTO_TCP], allow), refuse];
  return [load(argument(0)), ...FAMILIES[caller].flatMap((family) => ifEqual(family, made)), refuse];
};

/**
 * Locks the process, and overwrites the environment that it was started with.
 * @param pid its own number: its threads may go on signalling each other, which is how a C library aborts. (musl does
 *   it by tkill, which names no process and so is refused; an abort there ends it without a report)
 * @param caller what it goes on calling by, in the one process that calls out; null: by nothing
 * @returns null, or why this machine can't: words for the operator. Then it is not locked, or not wholly
 */
export function lockDown(pid: number, caller: Caller | null = null): string | null {
  const processor = arch();
  if (platform() !== "linux" || (processor !== "x64" && processor !== "arm64"))
    return `no filter was written for ${platform()} on ${processor}`;
  const libc = openLibc(FUNCTIONS);
  if (typeof libc === "string") return libc;
  const { prctl, setrlimit, syscall } = libc.symbols;
  if (!eraseEnvironment()) return "/proc/self/stat doesn't tell where the environment lies in memory; mount /proc";
  if (setrlimit(RLIMIT_CORE, ptr(new BigUint64Array(2))) !== 0) return "the kernel would not rule core dumps out";
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) !== 0) return "the kernel would not make the process undumpable";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) return "the kernel would not rule new privileges out";
  const filter = packed(filterFor(processor, pid, caller));
  const program = new BigUint64Array([BigInt(filter.length), BigInt(ptr(filter))]); // struct sock_fprog
  if (syscall(SECCOMP[processor], SET_MODE_FILTER, FLAG_TSYNC, ptr(program)) !== 0n)
    return "the kernel took no seccomp filter";
  return null;
}

/** What it says was read long ago. @returns whether the kernel tells where it is */
function eraseEnvironment(): boolean {
  try {
    const { environment } = parseStat(readFileSync("/proc/self/stat", "latin1"));
    if (environment === null) return false;
    const { start, end } = environment;
    if (end > start) toBuffer(start as Pointer, 0, end - start).fill(0);
    return true;
  } catch {
    return false;
  }
}

/**
 * The rules in the order in which the kernel reads them, at every system call.
 * @param pid the process whose own threads may be signalled
 */
export function filterFor(processor: Processor, pid: number, caller: Caller | null): Rules {
  const on = ({ [processor]: number }: Numbers, rules: Rules) => (number === null ? [] : ifEqual(number, rules));
  const names = Object.keys(CONDITIONAL) as (keyof typeof CONDITIONAL)[];
  const judged = names.map((name) => on(CONDITIONAL[name], JUDGED[name](pid)));
  const { socket, connect } = REFUSED.sockets;
  const calling = caller === null ? [] : [on(socket, socketOf(caller)), on(connect, [allow])];
  const allowed = Object.values(ALLOWED).flatMap(({ calls }) => Object.values<Numbers>(calls));
  const refused = Object.values(REFUSED).flatMap((calls) => Object.values<Numbers>(calls));
  return [
    load(ARCHITECTURE),
    ...unlessEqual(ARCHITECTURES[processor], [answer(KILL_PROCESS)]), // numbers mean other calls there
    load(NUMBER),
    ...ifAtLeast(FIRST_UNKNOWN, [answer(UNKNOWN)]), // x32's too, which are numbered from 2^30
    ...judged.flat(),
    ...allowed.flatMap((call) => on(call, [allow])),
    ...calling.flat(),
    ...refused.flatMap((call) => on(call, [refuse])),
    answer(UNKNOWN), // numbers that mean nothing on this processor
  ];
}

/** The rules as the kernel takes them: 64 bits each. */
function packed(rules: Rules): BigUint64Array {
  return new BigUint64Array(
    rules.map(({ code, jt, jf, k }) => BigInt(code | (jt << 16) | (jf << 24)) | (BigInt(k) << 32n)),
  );
}
