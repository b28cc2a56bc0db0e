/** What this process uses, as Linux tells it. */
import { expect, test } from "bun:test";
import { openFileLimit, ResourceReader } from "../../src/program/resources.ts";
import { cpuMs, openFiles, residentBytes } from "../support/machines/outside.ts";

test("the figures are those that are seen from outside", () => {
  using reader = new ResourceReader();
  const cpuBeforeMs = cpuMs(process.pid);
  const read = reader.read();
  expect(read.residentBytes).toBeWithin(0.8 * residentBytes(process.pid), 1.2 * residentBytes(process.pid));
  expect(1_000 * Number(read.cpuSeconds)).toBeWithin(cpuBeforeMs, cpuMs(process.pid) + 1);
  expect(Math.abs(Number(read.openFiles) - openFiles(process.pid))).toBeLessThanOrEqual(1); // the folder itself
  expect(read.maxFiles).toBe(openFileLimit());
  expect(1_000 * Number(read.startedAt)).toBeWithin(Date.now() - 1_000 * performance.now() - 60_000, Date.now());
});

test("what the process uses can be read over and over, and leaves no file open", () => {
  const openFiles = () => new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false, dot: true });
  const before = [...openFiles()].length;
  {
    using reader = new ResourceReader();
    const first = reader.read();
    for (let reads = 0; reads < 1_000; reads++) reader.read();
    const last = reader.read();
    expect(last.openFiles).toBe(first.openFiles);
    expect(last.startedAt).toBe(first.startedAt);
    expect(last.cpuSeconds).toBeGreaterThanOrEqual(first.cpuSeconds ?? Number.NaN);
    expect([...openFiles()].length).toBe(before + 3);
  }
  expect([...openFiles()].length).toBe(before);
});
