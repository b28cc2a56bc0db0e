/** The baselines that the relay is compared with: which version of a package it is that one of them loads. */
import { expect, test } from "bun:test";
import { versionOf } from "../../bench/servers.ts";
import { newFolder } from "../support/machines/folder.ts";

test("the version of a package is that of the nearer folder, though the package exports no package.json", async () => {
  await using near = await newFolder();
  await using far = await newFolder();
  const folders = [near.path, far.path];
  expect(await versionOf("fast", folders)).toBe("of an unknown version");
  const text = (version: string) => JSON.stringify({ name: "fast", version, exports: { import: "./fast.mjs" } });
  await far.write("node_modules/fast/package.json", text("1.0.0"));
  expect(await versionOf("fast", folders)).toBe("1.0.0");
  await near.write("node_modules/fast/package.json", text("2.0.0"));
  expect(await versionOf("fast", folders)).toBe("2.0.0");
});
