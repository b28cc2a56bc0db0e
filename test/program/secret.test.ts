/** Options that are secrets: given by a file, which alone is ever named. */
import { expect, test } from "bun:test";
import { chosenOptions, type OptionTable, readOptions } from "../../src/program/options.ts";
import { credentials, flagsOf } from "../../src/program/unit.ts";
import { newFolder } from "../support/machines/folder.ts";

const TABLE = {
  key: { flag: "--shared-key", kind: "secret-file", default: "off", what: "a key" },
  port: { flag: "--port", kind: "count", default: "1", min: "1", max: "9", what: "a port" },
} as const satisfies OptionTable;

test("it is the one line of its file, without its end", async () => {
  await using folder = await newFolder();
  for (const [name, content] of [
    ["plain", "s3cret"],
    ["unix", "s3cret\n"],
    ["dos", "s3cret\r\n"],
  ] as const) {
    const { key } = readOptions(TABLE, ["--shared-key", await folder.write(name, content)], {});
    expect(key?.read()).toBe("s3cret");
  }
  expect(readOptions(TABLE, [], {}).key).toBeNull();
});

test.each([
  ["empty", "", "is empty"],
  ["only a line's end", "\n", "is empty"],
  ["two lines", "s3cret\ns3cret\n", "is not one line of text"],
  ["bytes", "s3cret\0", "is not one line of text"],
  ["too long", "s3cret".repeat(1_000), "holds more than 4096 bytes"],
])("a file that is %j is refused, and its content never told", async (_, content, reason) => {
  await using folder = await newFolder();
  const path = await folder.write("key", content);
  const { key } = readOptions(TABLE, ["--shared-key", path], {});
  expect(() => key?.read()).toThrow(`--shared-key "${path}" ${reason}`);
  try {
    key?.read();
  } catch (failure) {
    expect(String(failure)).not.toContain("s3cret");
  }
});

test("a file that is not there is refused when it is read, and not before, for print has no need of it", () => {
  const { key } = readOptions(TABLE, [], { WHISPER_SHARED_KEY: "/nowhere/key" });
  expect(() => key?.read()).toThrow('WHISPER_SHARED_KEY "/nowhere/key" can\'t be read: there is no such file');
});

test("nothing that is printed holds it: the start line and a unit name its file", async () => {
  await using folder = await newFolder();
  const path = await folder.write("key", "s3cret");
  const args = ["--shared-key", path, "--port=2"];
  const given = chosenOptions(TABLE, args, {});
  expect(given).toEqual({ "shared-key": path, port: "2" });
  const values = readOptions(TABLE, args, {});
  expect(values.key?.read()).toBe("s3cret");
  expect(JSON.stringify(values) + Bun.inspect(values)).not.toContain("s3cret");
  expect(flagsOf(given, TABLE)).toEqual(["--shared-key=$" + "{CREDENTIALS_DIRECTORY}/shared-key", "--port=2"]);
  expect(credentials(given, TABLE)).toContain(`LoadCredential=shared-key:${path}`);
});
