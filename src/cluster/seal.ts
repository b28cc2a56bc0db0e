/**
 * What the engine sees of sessions and of what nodes say to each other: names that say nothing without the secret, and
 * sealed bytes. Owns all keys. Each secret gives names and keys of its own; a node that has two knows a session by both,
 * so that a secret can be changed while nodes go on.
 *
 *   name of a session      HMAC(root, "name" code)
 *   key of a link          HMAC(root, "link" direction id code), new for each link and direction
 *   key of rolls           HMAC(root, "roll" from to)
 *   mark of a secret       HMAC(root, "mark"), by which nodes without a secret in common find out
 *
 * AES-256-GCM (NIST SP 800-38D). The nonce is the number of the packet, which no key seals twice: a packet that is sent
 * again is the same to the bit. A roll has a random nonce.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import type { Kind, Packet, Roll } from "./links.ts";

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const MOST_SEQ = 2 ** 48 - 1;
/** 128 bits: nobody finds two codes of one name. */
const NAME_BYTES = 16;
const LABEL = "whisper-signaling cluster 1";

type Bytes = Buffer<ArrayBufferLike>;

function hmac(key: Bytes | string, ...parts: readonly string[]): Bytes {
  return createHmac("sha256", key).update(JSON.stringify(parts)).digest();
}

/** The keys of one link, by direction: to the session's home, and back. */
export interface LinkKeys {
  readonly up: Bytes;
  readonly down: Bytes;
}

export class Sealer {
  readonly #roots: readonly Bytes[];

  /** @param secrets one, or two while one takes the place of the other */
  constructor(secrets: readonly string[]) {
    this.#roots = secrets.map((secret) => hmac(secret, LABEL));
  }

  /** How many secrets there are. */
  get size(): number {
    return this.#roots.length;
  }

  /** By which nodes tell whether they have a secret in common. */
  get marks(): string[] {
    return this.#roots.map((root) => hmac(root, "mark").subarray(0, NAME_BYTES).toString("base64url"));
  }

  /** The names of a session, one by each secret. */
  names(code: string): string[] {
    return this.#roots.map((root) => hmac(root, "name", code).subarray(0, NAME_BYTES).toString("base64url"));
  }

  /** @param index of the name by which the session was found */
  linkKeys(index: number, code: string, link: string): LinkKeys {
    const root = this.#roots[index] ?? randomBytes(TAG_BYTES);
    return { up: hmac(root, "link", "up", link, code), down: hmac(root, "link", "down", link, code) };
  }

  sealRoll(from: string, to: string, { atMs, links }: Roll): string {
    const nonce = randomBytes(NONCE_BYTES);
    const [root = nonce] = this.#roots;
    const sealed = seal(hmac(root, "roll", from, to), nonce, "roll", JSON.stringify([atMs, links]));
    return Buffer.concat([nonce, sealed]).toString("base64");
  }

  /** @returns null where none of the secrets has sealed it */
  openRoll(from: string, to: string, text: string): Roll | null {
    const bytes = Buffer.from(text, "base64");
    for (const root of this.#roots) {
      const opened = open(
        hmac(root, "roll", from, to),
        bytes.subarray(0, NONCE_BYTES),
        "roll",
        bytes.subarray(NONCE_BYTES),
      );
      if (opened === null) continue;
      const [atMs, links] = JSON.parse(opened);
      return { atMs, links };
    }
    return null;
  }
}

/** @param key of the packet's direction */
export function sealPacket(key: Bytes, { link, seq, atMs, kind, text }: Packet): string {
  return seal(key, nonceOf(seq), link, JSON.stringify([atMs, kind, text])).toString("base64");
}

/** @returns null where it was not sealed by this key as this packet of this link */
export function openPacket(key: Bytes, link: string, seq: number, text: string): Packet | null {
  if (!Number.isInteger(seq) || seq < 1 || seq > MOST_SEQ) return null; // whoever reaches the engine can say anything
  const opened = open(key, nonceOf(seq), link, Buffer.from(text, "base64"));
  if (opened === null) return null;
  const [atMs, kind, said] = JSON.parse(opened) as [number, Kind, string];
  return { link, seq, atMs, kind, text: said };
}

function nonceOf(seq: number): Bytes {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUIntBE(seq, NONCE_BYTES - 6, 6);
  return nonce;
}

function seal(key: Bytes, nonce: Bytes, about: string, text: string): Bytes {
  const cipher = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(Buffer.from(about));
  return Buffer.concat([cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
}

function open(key: Bytes, nonce: Bytes, about: string, sealed: Bytes): string | null {
  if (sealed.length < TAG_BYTES || nonce.length < NONCE_BYTES) return null;
  const end = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, key, nonce);
  decipher.setAAD(Buffer.from(about));
  decipher.setAuthTag(sealed.subarray(end));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()]).toString("utf8");
  } catch {
    return null;
  }
}
