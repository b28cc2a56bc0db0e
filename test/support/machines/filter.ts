/** What a seccomp filter answers: the few instructions of BPF that ours is written in, run as the kernel runs them. */
import type { Instruction } from "../../../src/lockdown/sandbox.ts";

/** A system call as a filter sees it. */
export interface Judged {
  readonly architecture: number;
  readonly number: number;
  /** The low half of each argument, and the high one where it isn't 0. */
  readonly args?: readonly number[];
  readonly high?: readonly number[];
}

/** @returns the filter's answer, as linux/seccomp.h has it */
export function judge(filter: readonly Instruction[], { architecture, number, args = [], high = [] }: Judged): number {
  const words = [number, architecture, 0, 0, ...args.flatMap((arg, n) => [arg >>> 0, high[n] ?? 0])];
  let word = 0;
  for (let at = 0; at < filter.length; at++) {
    const { code, jt, jf, k } = filter[at] ?? { code: -1, jt: 0, jf: 0, k: 0 };
    const jump = (isSo: boolean) => {
      at += isSo ? jt : jf;
    };
    if (code === 0x06) return k;
    if (code === 0x20) word = words[k / 4] ?? 0;
    else if (code === 0x54) word = (word & k) >>> 0;
    else if (code === 0x15) jump(word === k);
    else if (code === 0x35) jump(word >= k);
    else if (code === 0x45) jump((word & k) !== 0);
    else throw new Error(`no such instruction: ${code}`);
  }
  throw new Error("the filter gave no answer");
}
