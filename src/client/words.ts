/**
 * Words to compare, for the plain wire: whoever sits between the peers makes them differ. An entry of its own. Owns the
 * exchange of nonces; knows no relay.
 *
 *   initiator → joiner   with the offer: SHA-256("commit", N1), so that N1 is fixed before N2 is seen
 *   joiner → initiator   with the answer: N2
 *   initiator → joiner   over a data channel of its own, once it is open: N1
 *   words                4 of 256 by SHA-256("words", N1, N2, both fingerprints)
 *
 * Without the commitment a relay in the middle would search for nonces until its two sets of words agree: 32 bits,
 * which is a minute. With it, it has one guess in four thousand million for each attempt, and a wrong guess is seen.
 */
import type { ConnectOptions } from "./types.ts";
import { hash, wordsOf } from "./wordlist.ts";

/** The stream of the channel that opens the commitment; data channels that browsers number begin far below. */
const STREAM = 1_000;
const NONCE_BYTES = 16;

export interface Words extends Required<Pick<ConnectOptions, "setup" | "sending" | "received">> {
  /** Four words for the present connection, once it is open. Rejects where there is none, where it ends before, and where the commitment does not hold. */
  words(): Promise<string[]>;
}

/** Makes the words for one session: give it to `connect` among the options, `{ ...words }`, and show `words()` when it is connected. */
export function newWords(): Words {
  let round = newRound();
  let isUsed = false;

  return {
    setup(connection, isInitiator) {
      if (isUsed) {
        round.reject(new Error("The connection was made anew."));
        round = newRound();
      }
      isUsed = true;
      const mine = round;
      mine.isInitiator = isInitiator;
      const channel = connection.createDataChannel("words", { negotiated: true, id: STREAM });
      channel.binaryType = "arraybuffer";
      channel.addEventListener("close", () => mine.reject(new Error("The connection has ended.")));
      channel.addEventListener("open", () => {
        if (!(isInitiator ? mine.theirs : mine.commitment)) mine.reject(new Error("The other side has no words."));
        if (!isInitiator) return;
        channel.send(mine.nonce);
        if (mine.theirs) finish(mine, connection, mine.nonce, mine.theirs).catch(mine.reject);
      });
      channel.addEventListener("message", async ({ data }) => {
        if (isInitiator) return;
        // A text would be read as a length, and so much memory taken.
        const opened = new Uint8Array(data instanceof ArrayBuffer ? data : []);
        const committed = toHex(await hash("commit", opened));
        if (committed !== mine.commitment) mine.reject(new Error("The commitment does not hold."));
        else finish(mine, connection, opened, mine.nonce).catch(mine.reject);
      });
    },
    async sending({ type }) {
      const { isInitiator, nonce } = round;
      if (isInitiator) return { commitment: toHex(await hash("commit", nonce)) };
      return type === "answer" ? { nonce: toHex(nonce) } : {};
    },
    received(description: RTCSessionDescriptionInit & { commitment?: string; nonce?: string }) {
      // The first of each counts: who could change it later could choose it with more knowledge.
      if (round.isInitiator) round.theirs ??= fromHex(description.nonce);
      else round.commitment ??= description.commitment;
    },
    words: async () => {
      if (!isUsed) throw new Error("There is no connection yet.");
      return round.promise;
    },
  };
}

interface Round {
  isInitiator: boolean;
  readonly nonce: Uint8Array<ArrayBuffer>;
  commitment: string | undefined;
  theirs: Uint8Array<ArrayBuffer> | undefined;
  readonly promise: Promise<string[]>;
  resolve(words: string[]): void;
  reject(reason: unknown): void;
}

function newRound(): Round {
  let resolve: (words: string[]) => void = () => {};
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<string[]>((...both) => {
    [resolve, reject] = both;
  });
  promise.catch(() => {}); // whoever doesn't ask is not troubled
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  return { isInitiator: false, nonce, commitment: undefined, theirs: undefined, promise, resolve, reject };
}

async function finish(
  round: Round,
  connection: RTCPeerConnection,
  initiator: Uint8Array<ArrayBuffer>,
  joiner: Uint8Array<ArrayBuffer>,
): Promise<void> {
  // A channel may open while the answer is still being applied: then it can't be read yet.
  while (connection.signalingState !== "stable")
    await new Promise((resolve) => connection.addEventListener("signalingstatechange", resolve, { once: true }));
  const prints = [fingerprint(connection.localDescription), fingerprint(connection.remoteDescription)];
  if (!round.isInitiator) prints.reverse();
  round.resolve(await wordsOf(initiator, joiner, prints));
}

function fingerprint(description: RTCSessionDescription | null): string {
  const [, print] = /a=fingerprint:(.*)/.exec(description?.sdp ?? "") ?? [];
  if (!print) throw new Error("There is no fingerprint to compare.");
  return print.trim().toUpperCase();
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(text: string | undefined): Uint8Array<ArrayBuffer> | undefined {
  if (typeof text !== "string" || !/^[0-9a-f]{32}$/.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
