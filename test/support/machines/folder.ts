/** A folder of a test's own, removed with all that is in it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Folder extends AsyncDisposable {
  readonly path: string;
  /** The path of a file in it. */
  file(name: string): string;
  /** Writes a file. Returns its path. */
  write(name: string, content: string): Promise<string>;
}

export async function newFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), "whisper-"));
  const file = (name: string) => join(path, name);
  return {
    path,
    file,
    async write(name, content) {
      await Bun.write(file(name), content);
      return file(name);
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}
