/**
 * A secret that is given by a file: its name may be shown, its content never. What is wrong with a file is told without
 * a word of what is in it. It holds nothing until it is read.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { ConfigError, whyNot } from "./failure.ts";

/** Far above what any secret needs: a file of another kind is noticed. */
const LARGEST_BYTES = 4_096;

export class SecretFile {
  readonly #option: string;
  readonly #path: string;

  /** @param option the flag or variable that named the file */
  constructor(option: string, path: string) {
    this.#option = option;
    this.#path = path;
  }

  /**
   * @returns its one line, without the end of the line
   * @throws ConfigError where it can't be read, is empty, too long, or more than a line of text
   */
  read(): string {
    const text = this.#text();
    if (!isLine(text)) throw this.#unfit("is not one line of text");
    return text;
  }

  /**
   * @param least how many characters a secret has: one that strangers see signatures by can be guessed where it is short
   * @returns its secrets, at least one, one a line
   * @throws ConfigError where it can't be read, is empty, too long, or has a line that is no such secret
   */
  readLines(least: number): string[] {
    const lines = this.#text().split(/\r?\n/);
    if (!lines.every((line) => isLine(line) && line.trim() === line))
      throw this.#unfit("is not one secret a line, without white space around it");
    if (lines.some(({ length }) => length < least))
      throw this.#unfit(`has a secret of less than ${least} characters, which can be guessed`);
    return lines;
  }

  #text(): string {
    const buffer = Buffer.alloc(LARGEST_BYTES + 1);
    const bytes = this.#fill(buffer);
    if (bytes > LARGEST_BYTES) throw this.#unfit(`holds more than ${LARGEST_BYTES} bytes`);
    const text = buffer.toString("utf8", 0, bytes).replace(/\r?\n$/, "");
    buffer.fill(0);
    if (text === "") throw this.#unfit("is empty");
    return text;
  }

  #unfit(why: string): ConfigError {
    return new ConfigError(`${this.#option} ${JSON.stringify(this.#path)} ${why}`);
  }

  #fill(buffer: Buffer): number {
    try {
      const descriptor = openSync(this.#path, "r");
      try {
        return readAll(descriptor, buffer);
      } finally {
        closeSync(descriptor);
      }
    } catch (failure) {
      throw this.#unfit(`can't be read: ${whyNot(failure)}`);
    }
  }
}

function isLine(text: string): boolean {
  return /^[^\p{Cc}\ufffd]+$/u.test(text);
}

/** Reads until the buffer is full or nothing more comes; a pipe gives less at a time. */
function readAll(descriptor: number, buffer: Buffer): number {
  let bytes = 0;
  for (let more = -1; more !== 0 && bytes < buffer.length; bytes += more)
    more = readSync(descriptor, buffer, bytes, buffer.length - bytes, null);
  return bytes;
}
