/**
 * What every peer under test has at its core: what came and is not read yet, whoever waits for the next of it, and the
 * barrier that a ping and its answer are. It waits for what it expects, never for time.
 */
export const PING = '{"type":"ping"}';
export const PONG = '{"type":"pong"}';

/** Items come one by one, and then an end. Whoever waits is served in turn. */
export class Inbox<Item, End> {
  readonly #unread: Item[] = [];
  readonly #waiting: ((next: Item | End) => void)[] = [];
  #end: { readonly as: End } | null = null;

  push(item: Item): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#unread.push(item);
  }

  /** Nothing more comes: whoever waits for the next item, now or later, is given `as` in its place. */
  end(as: End): void {
    this.#end ??= { as };
    for (const waiting of this.#waiting.splice(0)) waiting(as);
  }

  next(): Promise<Item | End> {
    const item = this.#unread.shift();
    if (item !== undefined) return Promise.resolve(item);
    if (this.#end) return Promise.resolve(this.#end.as);
    const { promise, resolve } = Promise.withResolvers<Item | End>();
    this.#waiting.push(resolve);
    return promise;
  }
}

/** All that was on its way to a peer: the texts up to the answer to a ping sent now. */
export async function upToPong(peer: { send(text: string): unknown; next(): Promise<string> }): Promise<string[]> {
  peer.send(PING);
  const texts: string[] = [];
  for (let text = await peer.next(); text !== PONG; text = await peer.next()) texts.push(text);
  return texts;
}
