/**
 * Tells the service manager when the relay is ready, reads anew, and stops (sd_notify(3)): one datagram each, on a socket
 * that is made and connected before the lock; after it this descriptor is only written to. Owns how such a socket is named
 * and what goes over it, which is constant text and times, never anything of a peer.
 */
import { ptr } from "bun:ffi";
import { closeSync, writeSync } from "node:fs";
import { platform } from "node:os";
import { openLibc } from "./libc.ts";

/** What the manager sets for what it starts. */
export interface Manager {
  /** NOTIFY_SOCKET: a path, or @ and a name that is in no folder. */
  readonly socket: string | undefined;
  /** WATCHDOG_USEC: within so many microseconds it wants to hear that the relay lives. */
  readonly watchdogUs?: string | undefined;
  /** WATCHDOG_PID: of whom; of this process where it is not set. */
  readonly watchdogPid?: string | undefined;
}

// sys/socket.h, sys/un.h, time.h: the same on both processors
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const CLOCK_MONOTONIC = 1;
/** Of an address: its family, then room for a path and the zero behind it. */
const FAMILY_BYTES = 2;
const PATH_BYTES = 108;

const FUNCTIONS = {
  socket: { args: ["int", "int", "int"], returns: "int" },
  connect: { args: ["int", "ptr", "u32"], returns: "int" },
  clock_gettime: { args: ["int", "ptr"], returns: "int" },
} as const;

/** Where nobody asks, and where the manager can't be told, there is one too, that tells nobody. */
export class Notifier {
  readonly #descriptor: number | null;
  readonly #nowUs: () => bigint;
  readonly #hasWatchdog: boolean;
  /** What the manager had no room for, in order. */
  #pending: string[] = [];
  /** How often `turn` has to be called, in ms: twice within what the watchdog allows, and once a second for the rest. */
  readonly turnMs: number;
  /** Why the manager that asks to be told can't be: words for the operator. */
  readonly obstacle: string | null;

  private constructor(descriptor: number | null, nowUs: () => bigint, watchdogUs: number, obstacle: string | null) {
    this.#descriptor = descriptor;
    this.#nowUs = nowUs;
    this.#hasWatchdog = watchdogUs > 0;
    this.turnMs = this.#hasWatchdog ? Math.max(1, Math.min(1_000, Math.floor(watchdogUs / 2_000))) : 1_000;
    this.obstacle = obstacle;
  }

  /**
   * Connects to the manager, if there is one.
   * @param pid of this process
   */
  static open({ socket, watchdogUs, watchdogPid }: Manager, pid: number): Notifier {
    if (!socket) return new Notifier(null, () => 0n, 0, null);
    const opened = connected(socket);
    if (typeof opened === "string") return new Notifier(null, () => 0n, 0, `NOTIFY_SOCKET ${opened}`);
    const isMeant = !watchdogPid || Number(watchdogPid) === pid;
    const us = /^\d{1,15}$/.test(watchdogUs ?? "") && isMeant ? Number(watchdogUs) : 0;
    return new Notifier(opened.descriptor, opened.nowUs, us, null);
  }

  ready(): void {
    this.#tell("READY=1");
  }

  /** A signal asked it to read anew. It says when that began, which is how the manager knows that it was heard. */
  reloading(): void {
    this.#tell(`RELOADING=1\nMONOTONIC_USEC=${this.#nowUs()}`);
  }

  /** @param status what `systemctl status` shows: of this program's own words alone */
  stopping(status: string): void {
    this.#tell(`STOPPING=1\nSTATUS=${status}`);
  }

  /** @param line what `systemctl status` shows from now on */
  status(line: string): void {
    this.#tell(`STATUS=${line}`);
  }

  /** Is called by the loop that serves: while that turns, the watchdog is told so. Tries again what was not taken. */
  turn(): void {
    if (this.#hasWatchdog && this.#pending.length === 0) this.#tell("WATCHDOG=1", false);
    else this.#flush();
  }

  #tell(text: string, isKept = true): void {
    if (this.#descriptor === null) return;
    this.#pending.push(text);
    this.#flush();
    if (!isKept) this.#pending = this.#pending.filter((one) => one !== text);
  }

  #flush(): void {
    if (this.#descriptor === null) return;
    for (let [text] = this.#pending; text !== undefined; [text] = this.#pending) {
      try {
        writeSync(this.#descriptor, text); // a datagram goes whole or not at all
      } catch (failure) {
        if (failure instanceof Error && "code" in failure && failure.code === "EAGAIN") return;
      } // and where the manager has gone there is nobody to tell
      this.#pending.shift();
    }
  }
}

/** A socket that leads to this name, and the manager's clock; or why not: words that follow the variable's name. */
function connected(name: string): { descriptor: number; nowUs: () => bigint } | string {
  if (platform() !== "linux") return `can't be told on ${platform()}`;
  if (!/^[/@]./.test(name)) return "is neither a full path nor @ and a name: nobody is told that the relay is ready";
  const path = Buffer.from(name);
  if (path.length >= PATH_BYTES) return `is longer than the ${PATH_BYTES - 1} bytes that an address has room for`;
  const isAbstract = name.startsWith("@");
  if (isAbstract) path[0] = 0;
  const address = Buffer.alloc(FAMILY_BYTES + path.length + Number(!isAbstract));
  address.writeUInt16LE(AF_UNIX);
  path.copy(address, FAMILY_BYTES);
  const libc = openLibc(FUNCTIONS);
  if (typeof libc === "string") return `can't be told: ${libc}`;
  const { socket, connect, clock_gettime } = libc.symbols;
  const descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return "can't be told: no socket may be made; a unit needs RestrictAddressFamilies=AF_UNIX too";
  if (connect(descriptor, ptr(address), address.length) !== 0) {
    closeSync(descriptor);
    return "leads to nobody who listens: nobody is told that the relay is ready";
  }
  const time = new BigInt64Array(2); // struct timespec
  const nowUs = () => {
    clock_gettime(CLOCK_MONOTONIC, ptr(time));
    return (time[0] ?? 0n) * 1_000_000n + (time[1] ?? 0n) / 1_000n;
  };
  return { descriptor, nowUs };
}
