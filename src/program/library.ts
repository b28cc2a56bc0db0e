/**
 * The browsers' library as it was built: inside the binary, or from dist/ where the relay runs from its source. Read at
 * the start, for later no file can be. Owns the names under which it is served.
 */

/** By path: the text of the module; null where it has not been built. */
export async function readLibrary(): Promise<ReadonlyMap<string, string | null>> {
  const read = (module: Promise<{ default: string }>) => module.then((built) => built.default).catch(() => null);
  return new Map([
    ["/client.js", await read(import("../../dist/client.js", { with: { type: "text" } }))],
    ["/channel.js", await read(import("../../dist/channel.js", { with: { type: "text" } }))],
    ["/words.js", await read(import("../../dist/words.js", { with: { type: "text" } }))],
  ]);
}

/** The hash by which a page pins a script (W3C Subresource Integrity). */
export function integrityOf(text: string): string {
  return `sha384-${new Bun.CryptoHasher("sha384").update(text).digest("base64")}`;
}
