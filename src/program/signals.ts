/**
 * What each signal does to the relay: no one but KILL cuts a pair. Owns the table (docs/OPERATIONS.md, "Signals"), and
 * what is one signal that came twice. It ends nothing itself.
 */
import { ptr } from "bun:ffi";
import { arch, constants } from "node:os";
import { openLibc } from "../lockdown/libc.ts";

/** What it does, and by which. */
export const SIGNALS = {
  /** Drains; another one ends it at once. */
  drain: ["SIGTERM", "SIGINT", "SIGQUIT"],
  /** Drains where the terminal is gone that it was started from; otherwise a line in the log. */
  hangUp: ["SIGHUP"],
  /** Sends those who wait alone to come back, without stopping: a balancer may lead them elsewhere now. */
  gather: ["SIGUSR2"],
  /** Would end it, and does nothing: nobody who sends one of these to a relay means that. */
  nothing: [
    ...["SIGUSR1", "SIGALRM", "SIGVTALRM", "SIGPROF"],
    ...["SIGIO", "SIGPIPE", "SIGXCPU", "SIGXFSZ", "SIGSTKFLT"],
  ],
} as const;
/** Signals without a name: the real-time ones, and the two that the C library keeps for itself. */
const NAMELESS = { first: 32, last: 64 } as const;

/** Bun takes a handler for it, and ends all the same. */
const NO_NAME_HERE = "SIGSTKFLT";

/** So long after a signal the same one is that signal: npx and bun pass on what the whole group of processes got. */
const ECHO_MS = 500;

/** asm/unistd.h: rt_sigaction, since the C library's own refuses some numbers. */
const RT_SIGACTION: Readonly<Record<string, number>> = { x64: 13, arm64: 134 };
const SIG_IGN = 1n;
/** The kernel's struct sigaction has four words here, the first of which is the handler; a set of signals has 8 bytes. */
const SIGACTION_WORDS = 4;
const SIGSET_BYTES = 8;

/** A locked relay can't open a file or start another one, so it can't do what a HUP asks for elsewhere. */
const UNCHANGED =
  'SIGHUP changes nothing: options and certificates are read at the start. How another relay takes over with new ones is in docs/OPERATIONS.md, "Renewal without dropping anyone"';

export interface SignalActions {
  /** Begins to drain; false where it drains already. */
  drain(): boolean;
  endAtOnce(): void;
  gather(): void;
  /** Whether a terminal that was there at the start is gone. */
  isTerminalGone(): boolean;
  /** Was asked to read anew, and is told why it doesn't. */
  refuseToReload(line: string): void;
  /** A monotonic clock in ms. */
  now(): number;
}

/** @param on has a function called for each signal of that name, as process.on does */
export function obeySignals(on: (name: NodeJS.Signals, act: () => void) => void, actions: SignalActions): void {
  const first = new Map<NodeJS.Signals, number>();
  function drain(name: NodeJS.Signals): void {
    const at = actions.now();
    if (at - (first.get(name) ?? Number.NEGATIVE_INFINITY) < ECHO_MS) return;
    first.set(name, at);
    if (!actions.drain()) actions.endAtOnce();
  }
  for (const name of SIGNALS.drain) on(name, () => drain(name));
  on("SIGHUP", () => {
    if (actions.isTerminalGone()) actions.drain();
    else actions.refuseToReload(UNCHANGED);
  });
  for (const name of SIGNALS.gather) on(name, () => actions.gather());
  for (const name of SIGNALS.nothing) if (name !== NO_NAME_HERE) on(name, () => {});
}

/** Has the kernel drop signals that the runtime can't handle. Where that can't be done, as outside Linux, they end it. */
export function ignoreOthers(): void {
  const call = RT_SIGACTION[arch()];
  const libc = openLibc({ syscall: { args: ["i64", "i64", "ptr", "u64", "u64"], returns: "i64" } });
  if (call === undefined || typeof libc === "string") return;
  const action = new BigUint64Array(SIGACTION_WORDS);
  action[0] = SIG_IGN;
  const others = Array.from({ length: NAMELESS.last - NAMELESS.first + 1 }, (_, i) => NAMELESS.first + i);
  for (const signal of [constants.signals[NO_NAME_HERE], ...others])
    libc.symbols.syscall(call, signal, ptr(action), 0, SIGSET_BYTES);
}
