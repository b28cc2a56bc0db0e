/**
 * The C library, found under the name that it has on this machine. Owns its names, and the words for why it can't be
 * called; what is called through it is the caller's.
 */
import { dlopen, type FFIFunction, type Library } from "bun:ffi";

/** glibc's, then musl's by processor. */
const NAMES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/**
 * @param functions what will be called, as bun:ffi wants it
 * @returns the library, or why there is none: words for the operator
 */
export function openLibc<const T extends Record<string, FFIFunction>>(functions: T): Library<T> | string {
  for (const name of NAMES) {
    try {
      return dlopen(name, functions);
    } catch (failure) {
      if (failure instanceof Error && failure.message.includes("JIT"))
        // Bun has no other name for it
        return "the engine has no memory for its compiler, without which no C library can be called; lift the limit of addresses (ulimit -v, LimitAS=)";
    } // or the next one
  }
  return "no C library was found";
}
