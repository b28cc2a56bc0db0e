/**
 * What the relay can't read. Owns the derivation of everything from the code, and the sealing of messages.
 *
 *   root          = PBKDF2-SHA256(code, SALT, 600,000 rounds)
 *   session code  = HKDF(root, "session code"), 192 bits, in hex: all that the relay sees of the code
 *   a key         = HKDF(root, "A>B"): what the page A tells the page B, AES-256-GCM
 *   exported key  = HKDF(root, "export LABEL")
 *
 * A and B are random names, new with every `connect`. A message is bound by its key to who tells whom, by its
 * additional data to its type, and by its iv, which counts, to its place: whatever comes reflected, replayed into
 * another session, under another type, twice or late does not open. The count never starts again while the name A
 * lives, so no iv is used twice with one key. An iv is 16 digits, which are the base64 of its 12 bytes; they are in
 * the additional data too, for base64 can be written in more ways than one.
 */
import { utf8 } from "./tools.ts";

/** OWASP's number for PBKDF2-SHA256; 0.2 s on a laptop, for every guess of a typed code. */
const ROUNDS = 600_000;
const SALT = "whisper-signaling/client/1";
/** The first iv: the least of 16 digits. */
const FIRST = 1e15;

/** How a sealed payload looks on the wire; both are base64. */
export interface Sealed {
  readonly iv: string;
  readonly sealed: string;
}

export interface Seal {
  /** The name that the relay knows the session by. Its first 3 digits bring both peers to one node behind a balancer. */
  readonly _name: string;
  _export(label: string, bits: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Seals what is sent as `type` to `peer`. */
  _seal(peer: string, type: string, value: unknown): Promise<Sealed>;
  /** What `peer` sealed as `type`. Rejects where it is anything else. */
  _open(peer: string, type: string, sealed: Sealed): Promise<unknown>;
}

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

/**
 * @param code as people share it, normalised
 * @param me this page's name
 */
export async function newSeal(code: string, me: string): Promise<Seal> {
  const { subtle } = crypto;
  const key = (raw: BufferSource, name: string, use: KeyUsage) => subtle.importKey("raw", raw, name, false, [use]);
  /** Each of the two takes what it knows of the parameters. */
  const derive = async (name: "PBKDF2" | "HKDF", raw: BufferSource, salt: string, info: string, bits: number) =>
    new Uint8Array(
      await subtle.deriveBits(
        { name, hash: "SHA-256", salt: utf8(salt), info: utf8(info), iterations: ROUNDS },
        await key(raw, name, "deriveBits"),
        bits,
      ),
    );
  const root = await derive("PBKDF2", utf8(code), SALT, "", 256);
  const expand = (label: string, bits: number) => derive("HKDF", root, "", label, bits);

  /** AES-GCM under the key of what `from` tells `to`. */
  const crypt = async (
    use: "encrypt" | "decrypt",
    from: string,
    to: string,
    type: string,
    iv: string,
    data: Uint8Array<ArrayBuffer>,
  ) =>
    new Uint8Array(
      await subtle[use](
        { name: "AES-GCM", iv: bytesOf(iv), additionalData: utf8(type + iv) },
        await key(await expand(`${from}>${to}`, 256), "AES-GCM", use),
        data,
      ),
    );

  let next = FIRST;
  /** The iv of the last message that opened, by who sealed it. */
  const opened: Record<string, string> = {};

  return {
    _name: Array.from(await expand("session code", 192), (byte) => (byte + 256).toString(16).slice(1)).join(""),
    _export: (label, bits) => expand(`export ${label}`, bits),
    async _seal(peer, type, value) {
      const iv = `${next++}`;
      const sealed = await crypt("encrypt", me, peer, type, iv, utf8(JSON.stringify(value)));
      return { iv, sealed: btoa(String.fromCharCode(...sealed)) };
    },
    async _open(peer, type, { iv, sealed }) {
      const text = await crypt("decrypt", peer, me, type, iv, bytesOf(sealed));
      if (iv <= (opened[peer] as string)) throw Error();
      opened[peer] = iv;
      return new Response(text).json();
    },
  };
}
