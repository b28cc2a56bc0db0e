/**
 * A wall clock for engines that the test can set; the machine's own is not touched, and the monotonic one goes on as it
 * is. libfaketime can't: it does not get on with the allocator of Redis and Valkey. Needs a C compiler.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { newFolder } from "../machines/folder.ts";
import { pathOf } from "../machines/fronts.ts";
import { run } from "../relays/relay.ts";

const SOURCE = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static const volatile long *seconds;
static long off(void) {
  if (!seconds) seconds = mmap(0, sizeof *seconds, PROT_READ, MAP_SHARED, open(getenv("CLOCK_FILE"), O_RDONLY), 0);
  return *seconds;
}
int clock_gettime(clockid_t id, struct timespec *at) {
  int failed = syscall(SYS_clock_gettime, id, at);
  if (!failed && id == CLOCK_REALTIME) at->tv_sec += off();
  return failed;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
`;

export interface EngineClock extends AsyncDisposable {
  /** What stands before the engine's command line. */
  readonly before: readonly string[];
  /** Sets it so many seconds off the machine's. */
  step(seconds: number): void;
}

/** Why no clock can be set, or null. */
export const noClock =
  process.platform !== "linux" || pathOf("cc") === null ? "there is no C compiler (Debian's gcc)" : null;

export async function newEngineClock(): Promise<EngineClock> {
  await using started = new AsyncDisposableStack();
  const folder = started.use(await newFolder());
  const [library, file] = [folder.file("clock.so"), folder.file("seconds")];
  const source = await folder.write("clock.c", SOURCE);
  const { exitCode, stderr } = await run(["cc", "-shared", "-fPIC", "-o", library, source]);
  if (exitCode !== 0) throw new Error(stderr);
  const descriptor = openSync(file, "w");
  started.defer(() => closeSync(descriptor));
  const step = (seconds: number) => writeSync(descriptor, new BigInt64Array([BigInt(seconds)]), 0, 8, 0);
  step(0);
  const kept = started.move();
  return {
    before: ["env", `LD_PRELOAD=${library}`, `CLOCK_FILE=${file}`],
    step,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
