/** System calls as such, for what is tried from inside: by name, with numbers and addresses. */
import { dlopen, ptr, read } from "bun:ffi";
import { arch } from "node:os";
import { ALLOWED } from "../../../src/lockdown/allowed.ts";
import { CONDITIONAL } from "../../../src/lockdown/syscalls.ts";
import { REFUSED_CALLS } from "../machines/refused.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], returns: "i64" },
  __errno_location: { args: [], returns: "ptr" },
});
export const processor = arch() === "arm64" ? "arm64" : "x64";
const CALLS = {
  ...REFUSED_CALLS,
  ...CONDITIONAL,
  ...ALLOWED.connections.calls,
  ...ALLOWED.descriptors.calls,
  ...ALLOWED.facts.calls,
};

/**
 * Makes a system call; what is not given is -1, which is no address, no descriptor and no flag.
 * @returns what the kernel returns
 * @throws Error with the kernel's number, negative, as `errno`
 */
export function call(name: keyof typeof CALLS, ...args: number[]): number {
  const [a = -1, b = -1, c = -1, d = -1, e = -1, f = -1] = args;
  const result = libc.syscall(CALLS[name][processor] ?? -1, a, b, c, d, e, f);
  if (result >= 0n) return Number(result);
  const where = libc.__errno_location();
  throw Object.assign(new Error(`${name} was refused`), { errno: where === null ? 0 : -read.i32(where) });
}

/** A pointer as the kernel's structures hold it. */
export const address = (bytes: NodeJS.TypedArray) => BigInt(ptr(bytes));
