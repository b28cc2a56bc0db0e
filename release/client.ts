/**
 * Builds the browsers' library: one module for each entry of src/client, bundled by Bun and made small by terser, whose
 * version the lockfile fixes, so that the same source gives the same bytes. `bun run build:client`; with `--docs` it
 * also writes the files' hashes into docs/CLIENT.md, which a test compares.
 */
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type MinifyOptions, minify } from "terser";
import { integrityOf } from "../src/program/library.ts";

const ROOT = resolve(import.meta.dir, "..");
export const ENTRIES = ["client", "channel", "words"] as const;

/** What begins with an underscore is ours alone, and no property of the platform: it may have a shorter name. */
const OPTIONS: MinifyOptions = {
  module: true,
  ecma: 2020,
  compress: {
    passes: 4,
    ecma: 2020,
    unsafe: true,
    unsafe_arrows: true,
    keep_fargs: false,
    inline: 1,
    lhs_constants: false,
  },
  mangle: { toplevel: true, properties: { regex: /^_/ } },
};

/** The lines of docs/CLIENT.md that say the hashes of these files. */
export function integrityTable(files: readonly (readonly [name: string, text: string])[]): string {
  return files.map(([name, text]) => `| \`${name}\` | \`${integrityOf(text)}\` |\n`).join("");
}

/** The text of the built module. */
async function built(entry: string): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [join(ROOT, "src/client", `${entry}.ts`)],
    target: "browser",
    minify: { syntax: true },
  });
  const { code = "" } = await minify((await outputs[0]?.text()) ?? "", OPTIONS);
  return `${code}\n`;
}

if (import.meta.main) {
  await mkdir(join(ROOT, "dist"), { recursive: true });
  const files: [string, string][] = [];
  for (const entry of ENTRIES) {
    const file = [`${entry}.js`, await built(entry)] as [string, string];
    await Bun.write(join(ROOT, "dist", file[0]), file[1]);
    files.push(file);
  }
  if (process.argv.includes("--docs")) {
    const path = join(ROOT, "docs/CLIENT.md");
    const docs = await Bun.file(path).text();
    const table = /(<!-- integrity:[^\n]*\n(?:[^\n]*\n){2}).*?(?=<!-- \/integrity -->)/s;
    await Bun.write(
      path,
      docs.replace(table, (_, head) => head + integrityTable(files)),
    );
  }
}
