/**
 * System calls by their numbers on the processors that Bun runs on, and those that stay for some arguments only. Owns
 * numbers and words; refused.ts and allowed.ts have the others, and sandbox.ts says what becomes of them.
 */

/** A call's numbers; null where a processor never had it. Both are the kernel's, as in its unistd.h. */
export interface Numbers {
  readonly x64: number;
  readonly arm64: number | null;
}

export const call = (x64: number, arm64: number | null): Numbers => ({ x64, arm64 });

interface Condition extends Numbers {
  /** What it would give with other arguments; see refused.ts. */
  readonly right: "files" | "programs" | "processes" | "sockets" | "privileges" | "machine";
  /** For what it stays; docs/SECURITY.md has the same words. */
  readonly only: string;
}

/** Judged by their arguments, those that a busy relay makes most often first. */
export const CONDITIONAL = {
  sendto: { ...call(44, 206), right: "sockets", only: "with no address, and without MSG_FASTOPEN, which connects" },
  madvise: { ...call(28, 233), right: "machine", only: "advice on the process's own use, none that takes pages away" },
  mmap: { ...call(9, 222), right: "files", only: "memory of no file" },
  setsockopt: {
    ...call(54, 208),
    right: "sockets",
    only: "no-delay, cork, quick ack, keep-alive and linger: none that filters, redirects, repairs or connects",
  },
  fcntl: {
    ...call(72, 25),
    right: "processes",
    only: "copies of a descriptor and its flags: no owner, signal (O_ASYNC), lease, lock or notice",
  },
  ioctl: {
    ...call(16, 29),
    right: "machine",
    only: "whether it blocks, is inherited, how much can be read, and what a terminal is like",
  },
  clone: { ...call(56, 220), right: "programs", only: "threads, in the namespaces that are there" },
  clone3: { ...call(435, 435), right: "programs", only: "nothing: it answers as an older kernel, and clone is used" },
  tgkill: { ...call(234, 131), right: "processes", only: "its own threads" },
  sched_setaffinity: { ...call(203, 122), right: "processes", only: "the calling thread" },
  sched_setattr: { ...call(314, 274), right: "processes", only: "the calling thread" },
  sched_setparam: { ...call(142, 118), right: "processes", only: "the calling thread" },
  sched_setscheduler: { ...call(144, 119), right: "processes", only: "the calling thread" },
  prctl: { ...call(157, 167), right: "privileges", only: "names of threads and of memory, huge pages, and questions" },
  prlimit64: { ...call(302, 261), right: "privileges", only: "questions about its own limits" },
} as const satisfies Record<string, Condition>;

/** The first number that these tables know nothing of; from 424 on every processor has the same. */
export const FIRST_UNKNOWN = 451;

/** The call that loads the filter. */
export const SECCOMP = { x64: 317, arm64: 277 } as const;
