/**
 * The ways in which what is open already might be turned outwards, or into a signal: each with descriptors of its own,
 * made before the lock. Where nothing is locked each one succeeds, and those that call somebody deliver their text.
 */
import { ptr } from "bun:ffi";
import { address, call } from "./hooked-calls.ts";

/** Whom to call: ports of the loopback. */
export interface Outside {
  readonly tcp: number;
  readonly udp: number;
}

const [AF_UNSPEC, AF_UNIX, AF_INET, STREAM, DATAGRAM] = [0, 1, 2, 1, 2];
const [MSG_NOSIGNAL, MSG_FASTOPEN] = [0x4000, 0x20000000];
const [SOL_SOCKET, IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_FASTOPEN_CONNECT, SO_RCVLOWAT] = [1, 6, 18, 30, 18];
const [F_SETFL, F_SETLK, F_SETOWN, F_SETSIG, F_SETOWN_EX, O_ASYNC] = [4, 6, 8, 10, 15, 0x2000];
const [FIOSETOWN, SIOCSPGRP, FIOASYNC, SIOCGIFCONF] = [0x8901, 0x8902, 0x5452, 0x8912];
const [PROT_READ, MAP_PRIVATE] = [1, 2];
const NAME = Buffer.from("name\0");
const BOTH = 2;

/** struct sockaddr_in of a port of the loopback. */
function socketAddress(port: number, family = AF_INET): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family, true);
  view.setUint16(2, port);
  bytes.set([127, 0, 0, 1], 4);
  return bytes;
}

function newListener(): number {
  const descriptor = call("socket", AF_INET, STREAM, 0);
  call("bind", descriptor, ptr(socketAddress(0)), 16);
  call("listen", descriptor, 1);
  return descriptor;
}

function newUnixPair(): [number, number] {
  const both = new Int32Array(2);
  call("socketpair", AF_UNIX, STREAM, 0, ptr(both));
  return [both[0] ?? -1, both[1] ?? -1];
}

/** struct mmsghdr, which begins with a struct msghdr, and all that it points to, which must be kept as long as it. */
function message(text: string, to: Uint8Array | null, control: Uint8Array | null = null) {
  const bytes = Buffer.from(text);
  const vector = new BigUint64Array([address(bytes), BigInt(bytes.length)]);
  const header = new BigUint64Array([
    to ? address(to) : 0n,
    to ? 16n : 0n,
    address(vector),
    1n,
    control ? address(control) : 0n,
    control ? BigInt(control.length) : 0n,
    0n,
    0n,
  ]);
  return { header, keep: [bytes, vector, to, control] };
}

/** struct cmsghdr with one descriptor in it: SCM_RIGHTS. */
function handingOver(descriptor: number): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, 20n, true);
  view.setInt32(8, SOL_SOCKET, true);
  view.setInt32(12, 1, true);
  view.setInt32(16, descriptor, true);
  return bytes;
}

/** A listener that listens no more and so is a socket like any other. */
function shut(listener: number): number {
  call("shutdown", listener, BOTH);
  return listener;
}

const listeners = Array.from({ length: 6 }, newListener);
const [first = -1, second = -1, third = -1, fourth = -1, fifth = -1, sixth = -1] = listeners;
const datagram = call("socket", AF_INET, DATAGRAM, 0);
const [left, right] = newUnixPair();
const file = call("memfd_create", ptr(NAME), 0);
call("write", file, ptr(NAME), NAME.length);
const self = call("getpid");
const one = new Int32Array([1]);
const owner = new Int32Array([1, self]); // struct f_owner_ex: a process
const nobody = new Int32Array([0]);

/** What is sent outwards, by the way that it takes; an outside listener must get them all, or none. */
export const CALLS_OUT: Readonly<Record<string, (outside: Outside, text: string) => unknown>> = {
  "call out by sendto": ({ tcp }, text) => {
    const bytes = Buffer.from(text);
    call("sendto", shut(first), ptr(bytes), bytes.length, MSG_FASTOPEN | MSG_NOSIGNAL, ptr(socketAddress(tcp)), 16);
  },
  "call out by sendmsg": ({ tcp }, text) => {
    const sent = message(text, socketAddress(tcp));
    call("sendmsg", shut(second), ptr(sent.header), MSG_FASTOPEN | MSG_NOSIGNAL);
  },
  "call out by sendmmsg": ({ tcp }, text) => {
    const sent = message(text, socketAddress(tcp));
    call("sendmmsg", shut(third), ptr(sent.header), 1, MSG_FASTOPEN | MSG_NOSIGNAL);
  },
  "call out by an option that connects": ({ tcp }, text) => {
    const bytes = Buffer.from(text);
    call("setsockopt", shut(fourth), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, ptr(one), 4);
    call("connect", fourth, ptr(socketAddress(tcp)), 16);
    call("write", fourth, ptr(bytes), bytes.length);
  },
  "call out from a listener that was disconnected": ({ tcp }, text) => {
    const bytes = Buffer.from(text);
    call("connect", shut(fifth), ptr(socketAddress(0, AF_UNSPEC)), 16);
    call("connect", fifth, ptr(socketAddress(tcp)), 16);
    call("write", fifth, ptr(bytes), bytes.length);
  },
  "send a datagram by sendto": ({ udp }, text) => {
    const bytes = Buffer.from(text);
    call("sendto", datagram, ptr(bytes), bytes.length, 0, ptr(socketAddress(udp)), 16);
  },
  "send a datagram by sendmsg": ({ udp }, text) => {
    const sent = message(text, socketAddress(udp));
    call("sendmsg", datagram, ptr(sent.header), 0);
  },
};

/** What has no outside. */
export const OTHER_WAYS: Readonly<Record<string, (pid: number) => unknown>> = {
  "listen again": () => call("listen", sixth, 1),
  "hand a socket over": () => {
    const sent = message("x", null, handingOver(sixth));
    call("sendmsg", left, ptr(sent.header), 0);
  },
  "be handed a socket": () => {
    call("write", left, ptr(NAME), 1);
    const sent = message(" ".repeat(8), null, new Uint8Array(24));
    call("recvmsg", right, ptr(sent.header), 0);
  },
  "set an option of a socket": () => call("setsockopt", sixth, SOL_SOCKET, SO_RCVLOWAT, ptr(one), 4),
  "set an option of TCP": () => call("setsockopt", sixth, IPPROTO_TCP, TCP_USER_TIMEOUT, ptr(nobody), 4),
  "name the owner of a socket": () => call("fcntl", sixth, F_SETOWN, self),
  "name the owner of a socket otherwise": () => call("fcntl", sixth, F_SETOWN_EX, ptr(owner)),
  "choose the signal of a socket": () => call("fcntl", sixth, F_SETSIG, 0),
  "have a socket signal": () => call("fcntl", right, F_SETFL, O_ASYNC),
  "lock a file that is open": () => call("fcntl", file, F_SETLK, ptr(new Uint8Array(32))),
  "name the owner by ioctl": () => call("ioctl", sixth, FIOSETOWN, ptr(new Int32Array([self]))),
  "name the group by ioctl": () => call("ioctl", sixth, SIOCSPGRP, ptr(new Int32Array([self]))),
  "have a socket signal by ioctl": () => call("ioctl", sixth, FIOASYNC, ptr(nobody)),
  "ask for the network's addresses": () => call("ioctl", sixth, SIOCGIFCONF, ptr(new Uint8Array(16))),
  "map a file that is open": () => call("mmap", 0, 4_096, PROT_READ, MAP_PRIVATE, file, 0),
  "write over a file that is open": () => call("pwrite64", file, ptr(NAME), 1, 0),
  "shorten a file that is open": () => call("ftruncate", file, 0),
  "copy past the process": () => call("sendfile", left, file, 0, 1),
  "schedule another process": (pid) => call("sched_setscheduler", pid, 0, ptr(nobody)),
  "move another process": (pid) => call("sched_setaffinity", pid, 8, ptr(new BigUint64Array([3n]))),
  "set a limit": () => call("prlimit64", 0, 4, ptr(new BigUint64Array(2)), 0),
};
