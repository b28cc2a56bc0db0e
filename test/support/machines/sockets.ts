/** The sockets of another process and the options set on them, on Linux and as root: through copies of its descriptors. */
import { ptr } from "bun:ffi";
import { readdirSync, readlinkSync } from "node:fs";
import { call } from "../relays/hooked-calls.ts";

export interface SocketOptions {
  readonly isListening: boolean;
  /** As the kernel books it, twice of what was asked for. */
  readonly sendBufferBytes: number;
  readonly unacknowledgedMs: number;
  readonly silentSeconds: number;
}

const [SOL_SOCKET, SO_SNDBUF, SO_ACCEPTCONN] = [1, 7, 30];
const [IPPROTO_TCP, TCP_DEFER_ACCEPT, TCP_USER_TIMEOUT] = [6, 9, 18];
const PORT_AT = 2;

function optionOf(socket: number, level: number, option: number): number {
  const value = new Int32Array(1);
  call("getsockopt", socket, level, option, ptr(value), ptr(new Uint32Array([4])));
  return value[0] ?? Number.NaN;
}

function portOf(socket: number): number {
  const address = new Uint8Array(128);
  call("getsockname", socket, ptr(address), ptr(new Uint32Array([address.length])));
  return new DataView(address.buffer).getUint16(PORT_AT);
}

/** A copy of another process's descriptor, if it is a socket and has not been closed since it was listed. */
function copyOf(process: number, pid: number, descriptor: string): number | null {
  try {
    const isSocket = readlinkSync(`/proc/${pid}/fd/${descriptor}`).startsWith("socket:");
    return isSocket ? call("pidfd_getfd", process, Number(descriptor), 0) : null;
  } catch {
    return null;
  }
}

/** The sockets of a process on one of its ports. */
export function socketsOf(pid: number, port: number): SocketOptions[] {
  const process = call("pidfd_open", pid, 0);
  const found: SocketOptions[] = [];
  for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
    const socket = copyOf(process, pid, descriptor);
    if (socket === null) continue;
    if (portOf(socket) === port)
      found.push({
        isListening: optionOf(socket, SOL_SOCKET, SO_ACCEPTCONN) === 1,
        sendBufferBytes: optionOf(socket, SOL_SOCKET, SO_SNDBUF),
        unacknowledgedMs: optionOf(socket, IPPROTO_TCP, TCP_USER_TIMEOUT),
        silentSeconds: optionOf(socket, IPPROTO_TCP, TCP_DEFER_ACCEPT),
      });
    call("close", socket);
  }
  call("close", process);
  return found;
}
