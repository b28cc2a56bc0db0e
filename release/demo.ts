/**
 * Builds the page to try a relay, of src/demo and all that it imports, into one file: dist/demo.html, which loads
 * nothing. `bun run build:demo`. The library that draws QR codes is MIT; its notice is in the file.
 */
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dir, "..");
const SOURCE = join(ROOT, "src/demo");
const NOTICE = "QR codes by uqr (MIT), after Project Nayuki's QR Code generator (MIT)";

async function bundled(entry: string): Promise<string> {
  const { outputs } = await Bun.build({ entrypoints: [join(SOURCE, entry)], target: "browser", minify: true });
  return (await (outputs.find(({ kind }) => kind !== "sourcemap") ?? new Blob([])).text()).trim();
}

/** The page. Throws where one of its parts can't be inside it. */
export async function demo(): Promise<string> {
  const [page, style, script] = await Promise.all([
    Bun.file(join(SOURCE, "page.html")).text(),
    bundled("page.css"),
    bundled("main.ts"),
  ]);
  if (style === "" || script === "" || /<\/(?:script|style)|<!--/i.test(style + script))
    throw new Error("style or script can't stand in a page");
  return page
    .replaceAll(/<!-- biome.*?-->/g, "")
    .replaceAll(/\n\s+/g, "\n")
    .replace("<style></style>", () => `<style>${style}</style>`)
    .replace('<script type="module"></script>', () => `<script type="module">/* ${NOTICE} */\n${script}</script>`);
}

if (import.meta.main) {
  await mkdir(join(ROOT, "dist"), { recursive: true });
  await Bun.write(join(ROOT, "dist/demo.html"), await demo());
}
