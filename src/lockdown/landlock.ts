/**
 * Landlock (landlock(7)), for the helper that speaks to an engine: it may connect to one port by TCP and listen on none,
 * signal nobody outside, and write, make or remove no file. It holds for the thread that asks and all that it starts: so
 * the program is started anew in its own place, under it. The lock (sandbox.ts) comes on top. Owns its numbers.
 */
import { ptr } from "bun:ffi";
import { platform } from "node:os";
import { openLibc } from "./libc.ts";

// linux/landlock.h, linux/prctl.h; the numbers of the calls are the same on both processors
const CREATE_RULESET = 444;
const ADD_RULE = 445;
const RESTRICT_SELF = 446;
const ASK_VERSION = 1;
const RULE_NET_PORT = 2;
/** All that changes files: from LANDLOCK_ACCESS_FS_WRITE_FILE to TRUNCATE, without EXECUTE, READ_FILE and READ_DIR. */
const WRITING = 0x7ff2n;
const BIND_TCP = 1n;
const CONNECT_TCP = 2n;
/** LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL. */
const SCOPES = 3n;
/** The first version that knows ports (Linux 6.7), and the first that knows scopes (6.12). */
const PORTS_SINCE = 4;
const SCOPES_SINCE = 6;
const PR_SET_NO_NEW_PRIVS = 38;

const FUNCTIONS = {
  syscall: { args: ["i64", "u64", "u64", "u64", "u64"], returns: "i64" },
  prctl: { args: ["int", "u64", "u64", "u64", "u64"], returns: "int" },
  execve: { args: ["ptr", "ptr", "ptr"], returns: "int" },
} as const;

/**
 * Confines what this process becomes, and becomes it: another program in its place, with the same number and pipes and
 * no environment.
 * @param port that it may connect to by TCP; 0: none
 * @returns only where that can't be had: why, in words for the operator
 */
export function becomeConfined(port: number, command: readonly string[]): string {
  if (platform() !== "linux") return `there is no Landlock on ${platform()}`;
  const libc = openLibc(FUNCTIONS);
  if (typeof libc === "string") return libc;
  const { syscall, prctl, execve } = libc.symbols;
  const version = Number(syscall(CREATE_RULESET, 0, 0, ASK_VERSION, 0));
  if (version < PORTS_SINCE) return "there is no Landlock that knows ports (Linux 6.7)";
  const attributes = new BigUint64Array([WRITING, BIND_TCP | CONNECT_TCP, ...(version < SCOPES_SINCE ? [] : [SCOPES])]);
  const ruleset = Number(syscall(CREATE_RULESET, ptr(attributes), attributes.byteLength, 0, 0));
  const rule = new BigUint64Array([CONNECT_TCP, BigInt(port)]); // struct landlock_net_port_attr
  const isMade = ruleset >= 0 && (port === 0 || syscall(ADD_RULE, ruleset, RULE_NET_PORT, ptr(rule), 0) === 0n);
  if (!isMade) return "the kernel took no rule of Landlock";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) return "the kernel would not rule new privileges out";
  if (syscall(RESTRICT_SELF, ruleset, 0, 0, 0) !== 0n) return "the kernel would not put Landlock in force";
  const words = command.map((word) => Buffer.from(`${word}\0`));
  const list = new BigUint64Array([...words.map((word) => BigInt(ptr(word))), 0n]);
  execve(ptr(words[0] ?? Buffer.from("\0")), ptr(list), ptr(new BigUint64Array(1)));
  return "the program could not be started anew";
}
