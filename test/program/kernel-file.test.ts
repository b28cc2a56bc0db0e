/** Files in which the kernel tells the present state, played by files that a test writes. */
import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { KernelFile } from "../../src/program/kernel-file.ts";
import { newFolder } from "../support/machines/folder.ts";

test("a file that was opened tells what is in it now, from its first character to its last", async () => {
  await using folder = await newFolder();
  const path = await folder.write("memory.current", "4096\n");
  using file = new KernelFile(path);
  expect([file.read(), file.number(/^(\d+)$/m)]).toEqual(["4096\n", 4_096]);
  writeFileSync(path, "81920\n");
  expect([file.read(), file.number(/^(\d+)$/m)]).toEqual(["81920\n", 81_920]);
  rmSync(path); // nothing is opened again
  expect([file.number(/^(\d+)$/m), file.number(/^max$/m), file.number(/^(8)/)]).toEqual([81_920, null, 8]);
});

test("where there is no such file, or no number, it knows nothing", async () => {
  await using folder = await newFolder();
  using missing = new KernelFile(folder.file("missing"));
  expect([missing.descriptor, missing.read(), missing.number(/(\d+)/)]).toEqual([null, "", null]);
  using unbounded = new KernelFile(await folder.write("memory.max", "max\n"));
  expect(unbounded.number(/^(\w+)$/m)).toBeNull();
});
