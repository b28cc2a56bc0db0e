/**
 * What the load tester runs on, and which process of it a port belongs to. It only reads.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { cpus, release } from "node:os";
import { readOnce } from "../program/kernel-file.ts";
import type { Result } from "./result.ts";

/** In /proc/net/tcp: a socket that listens. */
const LISTENING = "0A";
const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"];

export function thisMachine(): Result["machine"] {
  return { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, kernel: release(), bun: Bun.version };
}

/** How many ports the kernel takes to connect from, from one address; null where that can't be read. */
export function portsOfAnAddress(): number | null {
  const [, first, last] = /^(\d+)\s+(\d+)/.exec(readOnce("/proc/sys/net/ipv4/ip_local_port_range")) ?? [];
  return first === undefined ? null : Number(last) - Number(first) + 1;
}

/** The processes that listen on a port of this machine, as far as their open files may be seen. */
export function listenersOn(port: number): number[] {
  const inodes = new Set(TABLES.flatMap((table) => socketsOn(port, table)));
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => holdsAny(pid, inodes)).map(Number);
}

function socketsOn(port: number, table: string): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  return readOnce(table)
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(`:${wanted}`) && state === LISTENING)
    .map((fields) => `socket:[${fields[9]}]`);
}

function holdsAny(pid: string, sockets: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((file) => sockets.has(targetOf(`/proc/${pid}/fd/${file}`)));
  } catch {
    return false; // it has ended, or is somebody else's
  }
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return "";
  }
}
