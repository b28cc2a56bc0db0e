/**
 * What is said to the engine and what it says: RESP3, the protocol of Valkey and Redis since 6. Owns the two directions of
 * it and nothing else. Text is UTF-8. A reply that the engine means as an error is an `EngineError`, which is a value here.
 */

/** Its text is the engine's own: a word in capitals, then a sentence. */
export class EngineError {
  readonly word: string;
  readonly text: string;

  constructor(text: string) {
    this.word = /^[A-Z]+/.exec(text)?.[0] ?? "ERR";
    this.text = text;
  }
}

export type Value = string | number | boolean | null | EngineError | readonly Value[] | Push;

/** What comes without being asked for. */
export class Push {
  readonly values: readonly Value[];

  constructor(values: readonly Value[]) {
    this.values = values;
  }
}

/** Far above what the engine has to say to a node: the roll of a hundred thousand links has 4 MB. */
const LARGEST_BYTES = 64 * 1_048_576;
const CR = 13;

/** A command as the engine takes it. */
export function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
}

/** Cuts what comes in pieces into values. */
export class Decoder {
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** Nothing can be whole before so many bytes are here. */
  #needed = 1;

  /** @throws Error where it is not RESP, or too much of it */
  *take(piece: Uint8Array): Generator<Value> {
    this.#pieces.push(Buffer.from(piece));
    this.#bytes += piece.length;
    if (this.#bytes > LARGEST_BYTES) throw new Error("the engine says too much at once");
    if (this.#bytes < this.#needed) return;
    const buffer = this.#pieces.length === 1 ? (this.#pieces[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#pieces);
    const reader = new Reader(buffer);
    let done = 0;
    this.#needed = 1;
    try {
      while (reader.at < buffer.length) {
        const value = reader.value();
        done = reader.at;
        yield value;
      }
    } catch (failure) {
      if (!(failure instanceof Short)) throw failure;
      this.#needed = failure.bytes - done;
    }
    const rest = buffer.subarray(done);
    this.#pieces = rest.length > 0 ? [Buffer.from(rest)] : [];
    this.#bytes = rest.length;
  }
}

/** The value is not all here yet; so many bytes of the buffer at least it takes. */
class Short {
  readonly bytes: number;

  constructor(bytes: number) {
    this.bytes = bytes;
  }
}

class Reader {
  at = 0;
  readonly #buffer: Buffer;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  value(): Value {
    const type = this.#bytes(1);
    const line = this.#line();
    switch (type) {
      case "+":
      case ",":
      case "(":
        return line;
      case "-":
        return new EngineError(line);
      case ":":
        return Number(line);
      case "#":
        return line === "t";
      case "_":
        return null;
      case "$":
      case "=":
      case "!":
        return this.#bulk(type, Number(line));
      case "*":
      case "~":
        return Number(line) < 0 ? null : this.#values(Number(line));
      case ">":
        return new Push(this.#values(Number(line)));
      case "%":
        return this.#values(2 * Number(line));
      default:
        throw new Error("the engine speaks no RESP");
    }
  }

  #bulk(type: string, length: number): Value {
    if (length < 0) return null;
    const text = this.#bytes(length);
    this.#bytes(2);
    return type === "!" ? new EngineError(text) : text;
  }

  #values(count: number): Value[] {
    return Array.from({ length: count }, () => this.value());
  }

  #bytes(length: number): string {
    const end = this.at + length;
    if (end > this.#buffer.length) throw new Short(end);
    const text = this.#buffer.toString("utf8", this.at, end);
    this.at = end;
    return text;
  }

  #line(): string {
    const end = this.#buffer.indexOf(CR, this.at);
    if (end === -1 || end + 1 >= this.#buffer.length) throw new Short(this.#buffer.length + 1);
    const line = this.#buffer.toString("utf8", this.at, end);
    this.at = end + 2;
    return line;
  }
}
