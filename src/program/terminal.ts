/**
 * Whether a descriptor is a terminal, and one that is still there. The C library is asked: the runtime's own module for it
 * brings all streams with it, which a start would wait for.
 */
import { openLibc } from "../lockdown/libc.ts";

let ask: ((descriptor: number) => boolean) | null = null;

export function isTerminal(descriptor: number): boolean {
  ask ??= newQuestion();
  return ask(descriptor);
}

function newQuestion(): (descriptor: number) => boolean {
  const libc = openLibc({ isatty: { args: ["i32"], returns: "i32" } });
  if (typeof libc === "string") return import.meta.require("node:tty").isatty;
  return (descriptor) => libc.symbols.isatty(descriptor) === 1;
}
