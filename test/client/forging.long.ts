/**
 * The relay in the middle that the words are there for: it has a connection of its own to each peer, and so its own
 * fingerprints on both sides. What it can do about the words, with the commitment and without.
 */
import { expect, test } from "bun:test";
import { wordsOf } from "../../src/client/wordlist.ts";

const newNonce = () => crypto.getRandomValues(new Uint8Array(16));
const [alices, bobs] = [newNonce(), newNonce()];
/** What bob sees, once the relay has told him a nonce of its own: it can't be changed any more. */
const bobSees = wordsOf(newNonce(), bobs, ["MALLORY 2", "BOB"]);
/** What alice sees, with what the relay says is bob's. */
const aliceSees = (said: Uint8Array<ArrayBuffer>) => wordsOf(alices, said, ["ALICE", "MALLORY 1"]);
/** Of four, so that the search takes a second: each more is 256 times as long, and four take a minute in C. */
const FORGED = 2;
const isForged = (words: readonly string[], wanted: readonly string[]) =>
  words.slice(0, FORGED).join() === wanted.slice(0, FORGED).join();

test("it makes words agree by search where it knows alice's nonce before it answers, which the commitment denies it", async () => {
  const wanted = await bobSees;
  let tries = 0;
  let isFound = false;
  while (!isFound && tries < 16 * 256 ** FORGED) {
    const batch = await Promise.all(Array.from({ length: 256 }, () => aliceSees(newNonce())));
    tries += batch.length;
    isFound = batch.some((words) => isForged(words, wanted));
  }
  expect(isFound).toBe(true);
  // With the commitment it answers first, and so once.
  expect(await aliceSees(newNonce())).not.toEqual(wanted);
});
