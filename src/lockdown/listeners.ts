/**
 * What the kernel does for each connection that is accepted here: a small send buffer, an end to those that stopped
 * reading, and none that says nothing. Set on the sockets that listen, from which accepted ones have it, before the
 * lock; it is no part of the lock. Owns the three numbers.
 */
import { ptr } from "bun:ffi";
import { platform } from "node:os";
import { openLibc } from "./libc.ts";

/**
 * What a peer that does not read can make the kernel keep for it, before the relay's own limit acts. The kernel takes
 * it twice, for its own books; a whole session fits. Without it the buffer grows to 4 MB.
 */
const SEND_BUFFER_BYTES = 64 * 1_024;
/** So long may what was sent wait to be acknowledged, or for room at the other end: longer than a change of networks. */
const UNACKNOWLEDGED_MS = 20_000;
/** So long the kernel alone waits for the first byte; three retransmissions, 1 + 2 + 4 s, in which it counts. */
const SILENT_SECONDS = 7;
/** Listeners are among the first that a process opens. */
const DESCRIPTORS = 1_024;

// asm-generic/socket.h, netinet/tcp.h: the same on both processors
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_ACCEPTCONN = 30;
const IPPROTO_TCP = 6;
const TCP_DEFER_ACCEPT = 9;
const TCP_USER_TIMEOUT = 18;
/** Room for any address; the port is in the third and fourth byte, in the network's order. */
const ADDRESS_BYTES = 128;
const PORT_AT = 2;

const FUNCTIONS = {
  getsockopt: { args: ["int", "int", "int", "ptr", "ptr"], returns: "int" },
  setsockopt: { args: ["int", "int", "int", "ptr", "u32"], returns: "int" },
  getsockname: { args: ["int", "ptr", "ptr"], returns: "int" },
} as const;

/**
 * Finds the process's sockets that listen on these ports, and sets all three on each.
 * @param ports those that this process listens on itself; sockets that it was started with are left alone
 * @returns null, or why connections keep what the kernel gives them: words for the operator
 */
export function tuneListeners(ports: readonly number[]): string | null {
  if (platform() !== "linux") return `it can't be set on ${platform()}`;
  const libc = openLibc(FUNCTIONS);
  if (typeof libc === "string") return libc;
  const { getsockopt, setsockopt, getsockname } = libc.symbols;
  const value = new Int32Array(1);
  const length = new Uint32Array(1);
  const address = new Uint8Array(ADDRESS_BYTES);

  function portOfListener(descriptor: number): number | null {
    length[0] = value.byteLength;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, ptr(value), ptr(length)) !== 0 || value[0] !== 1) return null;
    length[0] = ADDRESS_BYTES;
    if (getsockname(descriptor, ptr(address), ptr(length)) !== 0) return null;
    return new DataView(address.buffer).getUint16(PORT_AT);
  }
  function set(descriptor: number, level: number, option: number, to: number): boolean {
    value[0] = to;
    return setsockopt(descriptor, level, option, ptr(value), value.byteLength) === 0;
  }

  const missing = new Set(ports);
  for (let descriptor = 0; descriptor < DESCRIPTORS; descriptor++) {
    const port = portOfListener(descriptor);
    if (port === null || !ports.includes(port)) continue;
    const isSet =
      set(descriptor, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES) &&
      set(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS) &&
      set(descriptor, IPPROTO_TCP, TCP_DEFER_ACCEPT, SILENT_SECONDS);
    if (isSet) missing.delete(port);
  }
  return missing.size === 0 ? null : "the kernel would not set it";
}
