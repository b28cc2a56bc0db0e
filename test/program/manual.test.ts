/** Usage lines and the manual page, made from commands and options; the page is read by the real man, where that is. */
import { expect, test } from "bun:test";
import { LOAD } from "../../src/load/manual.ts";
import { environmentName } from "../../src/program/environment.ts";
import { RELAY } from "../../src/program/help.ts";
import { type Manual, manPage, optionsOf, usageOf } from "../../src/program/manual.ts";
import { newFolder } from "../support/machines/folder.ts";
import { pathOf } from "../support/machines/fronts.ts";
import { run } from "../support/relays/relay.ts";

const AWKWARD: Manual = {
  name: "try-me",
  summary: "a thing that's tried",
  about: [".SH is no request here", "'so neither is this, and a \\n is one"],
  commands: [
    { name: "", operands: "[OPTIONS]", what: "run it", takes: "text", options: {} },
    { name: "show", operands: "WHAT", what: "show one of", takes: ["this", "that"], options: {} },
  ],
  inEnvironment: {},
  exits: [[0, "all well"]],
};

test("usage has a line for each command, and below it what its operand may be", () => {
  expect(usageOf(AWKWARD)).toBe(`  try-me [OPTIONS]   run it
  try-me show WHAT   show one of:
                     this, that
`);
});

test("an option that several commands take is described once", () => {
  const flags = optionsOf(LOAD).map(({ flag }) => flag);
  expect(flags).toContain("--repeats");
  expect(new Set(flags).size).toBe(flags.length);
});

const hasMan = pathOf("man") !== null;
if (!hasMan) console.warn("manual.test.ts: no page is read: Debian's man-db would have to be installed");
const whereMan = test.skipIf(!hasMan && !process.env["CI"]);

/** The page as `man` shows it, in one line without hyphenation; it must have nothing to warn of. */
async function read(manual: Manual): Promise<string> {
  await using folder = await newFolder();
  const file = await folder.write(`${manual.name}.1`, manPage(manual, "1.2.3"));
  const env = { PATH: `${process.env["PATH"]}`, MANWIDTH: "200", LC_ALL: "C.UTF-8", MANROFFSEQ: "" };
  const man = await run(["man", "--warnings", "-E", "UTF-8", "--nh", "--nj", "-l", file], env);
  expect({ ...man, stdout: "" }).toEqual({ exitCode: 0, stdout: "", stderr: "" });
  return man.stdout.replaceAll(/\s+/g, " ");
}

whereMan("man shows every command, option, bound, variable and exit code as they are written", async () => {
  for (const manual of [RELAY, LOAD]) {
    const page = await read(manual);
    for (const { name, what } of manual.commands) for (const part of [name, what]) expect(page).toContain(part);
    for (const option of optionsOf(manual)) {
      const [bounds, variable] = [
        "min" in option ? `, ${option.min} to ${option.max}` : "",
        environmentName(option.flag),
      ];
      expect(page).toContain(` ${option.flag} ${option.kind === "choice" ? option.choices.join("|") : ""}`);
      expect(page).toContain(`${option.what} (${option.default}${bounds}).`);
      expect(page.includes(`Environment: ${variable}.`)).toBe(Object.values(manual.inEnvironment).includes(option));
    }
    for (const [code, what] of manual.exits) expect(page).toContain(` ${code} ${what}`);
  }
});

test("a page is of section 1, and its synopsis has a line for each command", () => {
  const page = manPage(AWKWARD, "1.2.3");
  expect(page).toStartWith('.TH TRY\\-ME 1 "" "try-me 1.2.3" ');
  expect(page).toContain(".SH SYNOPSIS\n.B try\\-me\n[OPTIONS]\n.br\n.B try\\-me\nshow WHAT\n.SH");
});

whereMan("what looks like a request or an escape is shown as it stands", async () => {
  const page = await read(AWKWARD);
  for (const text of ["try-me - a thing that's tried", ...AWKWARD.about]) expect(page).toContain(text);
});
