/**
 * Which signals end a run early, and what is one wish that is told twice. It ends nothing itself. Pure.
 */
import { constants } from "node:os";

/** Those that people and systems end a program with: Ctrl-C, kill, a terminal that is gone, and Ctrl-\. */
export const ENDING = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/**
 * So long after one of them, in ms, another one is no second wish: of a terminal that is gone the kernel tells and the
 * shell too, timeout tells a program and then its group, and systemd may send HUP right behind TERM.
 */
const ECHO_MS = 500;

/** @param now a monotonic clock in ms @returns what is to be called by each such signal, and calls `act` once for each wish */
export function withoutEchoes(act: () => void, now: () => number): () => void {
  let actedMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = now();
    if (nowMs < actedMs + ECHO_MS) return;
    actedMs = nowMs;
    act();
  };
}

/** Whether whoever started a process had it ignore a signal, as nohup does. @param status its /proc/PID/status */
export function isIgnored(signal: (typeof ENDING)[number], status: string): boolean {
  const [, mask = "0"] = /^SigIgn:\s+([0-9a-f]+)$/m.exec(status) ?? [];
  return ((BigInt(`0x${mask}`) >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n;
}
