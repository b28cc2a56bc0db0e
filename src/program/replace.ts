/**
 * A file that is replaced whole or not at all: what is new is written beside it, brought to the disk and then named as it.
 * Used by commands that print, never by a relay.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
} from "node:fs";
import { dirname } from "node:path";
import { ConfigError, whyNot } from "./failure.ts";
import { WriteError, writeWhole } from "./outlet.ts";

/** Of a file that was not there: units and blocks hold no secret. */
const NEW_MODE = 0o644;
const MODE_BITS = 0o7777;

/**
 * Puts `text` into a file, which keeps its mode and its owner; a link goes on leading to it.
 * @throws ConfigError where the path names what is no file, WriteError where it can't be written; the old content stands
 */
export function replaceFile(named: string, text: string): void {
  // Asked of what the name leads to: the path of a link to a pipe (/dev/stdout) is none.
  const before = attempt(() => statSync(named)) ?? attempt(() => lstatSync(named));
  if (before && !before.isFile()) throw new ConfigError(`--output ${JSON.stringify(named)} is not a file`);
  const path = attempt(() => realpathSync(named)) ?? named;
  const beside = `${path}.${crypto.getRandomValues(new Uint8Array(6)).toHex()}.new`;
  try {
    writeNew(beside, text, before);
    renameSync(beside, path);
    sync(dirname(path)); // the new name, too
  } catch (failure) {
    attempt(() => unlinkSync(beside));
    const why = failure instanceof WriteError ? failure.message.replace("can't print: ", "") : whyNotBeside(failure);
    throw new WriteError(`--output ${JSON.stringify(named)} can't be written: ${why}`);
  }
}

/** What is not there can only be the folder, for the file itself is new. */
function whyNotBeside(failure: unknown): string {
  const isMissing = failure instanceof Error && "code" in failure && failure.code === "ENOENT";
  return isMissing ? "there is no such folder" : whyNot(failure);
}

function writeNew(path: string, text: string, like: Stats | null): void {
  const descriptor = openSync(path, "wx", NEW_MODE);
  try {
    writeWhole(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  if (like === null) return;
  attempt(() => chownSync(path, like.uid, like.gid)); // of another user's file, only root can
  chmodSync(path, like.mode & MODE_BITS);
}

function sync(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** What `work` gives; null where it throws. */
function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}
