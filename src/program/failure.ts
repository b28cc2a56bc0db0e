/**
 * How errors are told. One of the system's: in words for the operator. One that nobody expected: by its class and by the
 * places in this program that it passed, never by its message, which may quote what a peer sent. Pure.
 */

/** A start that can't be: its message is one line that names the option, the value and the bounds. */
export class ConfigError extends Error {}

/** Why one text of a list can't be: words that follow it. */
export class Unfit extends Error {
  readonly text: string;

  constructor(text: string, why: string) {
    super(why);
    this.text = text;
  }
}
/** With what the program ends; docs/OPERATIONS.md, "Exit codes", has the same. */
export const EXIT = {
  well: 0,
  /** It can't be done now: the port is in use, a check failed, an error came. Another start may succeed. */
  failed: 1,
  /** It was asked for wrongly: an option, a variable, a file. */
  asked: 2,
  /** This machine has no such address, or doesn't let this user have the port. */
  address: 3,
  /** --sandbox require can't be had. */
  sandbox: 4,
} as const;
/** Those that no other start with the same options on the same machine can mend. */
export const INCURABLE: readonly number[] = [EXIT.asked, EXIT.address, EXIT.sandbox];

/** As many places as tell two errors apart. */
const PLACES = 3;

/**
 * @param failure whatever was thrown
 * @returns such as "TypeError at relay.ts:120, relay.ts:98"
 */
export function describeFailure(failure: unknown): string {
  if (!(failure instanceof Error)) return `a thrown ${typeof failure}`;
  const { message, stack = "" } = failure;
  const trace = stack.startsWith(`${failure.name}: ${message}`)
    ? stack.slice(failure.name.length + message.length)
    : "";
  const places = [...trace.matchAll(/([\w.-]+\.ts:\d+):\d+\)?$/gm)].slice(0, PLACES).map(([, place]) => place);
  return `${failure.constructor.name} at ${places.join(", ") || "an unknown place"}`;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "not permitted",
  EPERM: "not permitted",
  EADDRINUSE: "it is in use",
  EADDRNOTAVAIL: "this machine has no such address",
  EAFNOSUPPORT: "this machine has no IPv6",
  EINVAL: "that is no address",
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "it hung up",
  EHOSTUNREACH: "no way leads there",
  ENETUNREACH: "no way leads there",
  ENOTFOUND: "that name has no address",
  EAGAIN: "that name has no address",
  ENOSPC: "there is no room left",
  EDQUOT: "there is no room left",
  EROFS: "nothing can be written there",
  EMFILE: "no more files may be opened: raise the limit of open files",
};

/** @returns why the system refused, in words for the operator */
export function whyNot(failure: unknown): string {
  const code = failure instanceof Error && "code" in failure ? String(failure.code) : "unknown";
  return REASONS[code] ?? `the system says ${code}`;
}

/** Ports below this one are for root, unless the system's administrator has moved the border (ip(7)). */
export const FIRST_FREE_PORT = 1_024;

/** Why an address will not be had by trying again. */
const NO_ADDRESS = ["EADDRNOTAVAIL", "EAFNOSUPPORT", "EINVAL", "EACCES", "EPERM"];

/** @returns with what a program ends that can't listen */
export function exitOfListen(failure: unknown): number {
  return failure instanceof Error && "code" in failure && NO_ADDRESS.includes(`${failure.code}`)
    ? EXIT.address
    : EXIT.failed;
}

/** @returns the same of a port that can't be listened on, with what to look at or to set */
export function whyNotListen(failure: unknown, port: number): string {
  const why = whyNot(failure);
  if (why === REASONS["EADDRINUSE"]) return `${why}; \`ss -ltnp\` shows by whom`;
  if (why !== REASONS["EACCES"] || port >= FIRST_FREE_PORT) return why;
  return `${why}: below ${FIRST_FREE_PORT} a process needs CAP_NET_BIND_SERVICE, which the unit of \`print systemd\` gives it`;
}
