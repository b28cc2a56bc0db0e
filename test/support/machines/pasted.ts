/** The commands of a document, as an operator would paste them. */

/** Of a document: the blocks of shell below one heading, up to the next of the same level. */
export function blocksBelow(text: string, heading: string): string[] {
  const level = /^#+/.exec(heading)?.[0] ?? "#";
  const [, rest = ""] = text.split(`\n${heading}\n`, 2);
  const [section = ""] = rest.split(new RegExp(`^#{1,${level.length}} `, "m"), 1);
  const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = ""]) => block);
  if (blocks.length === 0) throw new Error(`no block of shell below ${heading}`);
  return blocks;
}

/** How many commands a block has: lines, but for those that go on. */
export function commandsIn(block: string): number {
  return block
    .replaceAll("\\\n", " ")
    .trim()
    .split("\n")
    .filter((line) => line.trim() !== "").length;
}
