/**
 * What the relay can't read. Owns the derivation of everything from the code, and the sealing of messages.
 *
 *   root          = PBKDF2-SHA256(code, SALT, 600,000 rounds)
 *   session code  = HKDF(root, "session code"), 192 bits: all that the relay sees of the code
 *   a key         = HKDF(root, "A>B"): what the page A tells the page B, AES-256-GCM
 *   exported key  = HKDF(root, "export LABEL")
 *
 * A and B are random names, new with every `connect`. A message is bound by its key to who tells whom, by its
 * additional data to its type, and by its iv, which counts, to its place: whatever comes reflected, replayed into
 * another session, under another type, twice or late does not open. The count never starts again while the name A
 * lives, so no iv is used twice with one key.
 */
/** OWASP's number for PBKDF2-SHA256; 0.2 s on a laptop, for every guess of a typed code. */
const ROUNDS = 600_000;
const SALT = "whisper-signaling/client/1";

/** How a sealed payload looks on the wire; both are base64url. */
export interface Sealed {
  readonly iv: string;
  readonly sealed: string;
}

export interface Seal {
  /** The name that the relay knows the session by. */
  readonly sessionCode: string;
  /** Its first 12 bits as 3 hex digits: by them a balancer brings both peers to one node. */
  readonly hint: string;
  exportKey(label: string, bits: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Seals what is sent as `type` to `peer`. */
  seal(peer: string, type: string, value: unknown): Promise<Sealed>;
  /** What `peer` sealed as `type`. Rejects where it is anything else. */
  open(peer: string, type: string, sealed: Sealed): Promise<unknown>;
}

const utf8 = (text: string) => new TextEncoder().encode(text);

export function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (c) => (c === "+" ? "-" : c === "/" ? "_" : ""));
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replace(/[-_]/g, (c) => (c === "-" ? "+" : "/"))), (c) => c.charCodeAt(0));
}

const bytes = async (buffer: Promise<ArrayBuffer>) => new Uint8Array(await buffer);

/**
 * @param code as people share it, normalised
 * @param me this page's name
 */
export async function newSeal(code: string, me: string): Promise<Seal> {
  const { subtle } = crypto;
  const key = (raw: BufferSource, name: string, use: KeyUsage) => subtle.importKey("raw", raw, name, false, [use]);
  const stretched = { name: "PBKDF2", hash: "SHA-256", salt: utf8(SALT), iterations: ROUNDS };
  const bits = await subtle.deriveBits(stretched, await key(utf8(code), "PBKDF2", "deriveBits"), 256);
  const root = await key(bits, "HKDF", "deriveBits");
  const derive = async (label: string, bits: number) =>
    bytes(subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: utf8(""), info: utf8(label) }, root, bits));

  /** AES-GCM under the key of what `from` tells `to`. */
  const crypt = async (
    use: "encrypt" | "decrypt",
    from: string,
    to: string,
    type: string,
    iv: Uint8Array<ArrayBuffer>,
    data: Uint8Array<ArrayBuffer>,
  ) => {
    const mine = await key(await derive(`${from}>${to}`, 256), "AES-GCM", use);
    return bytes(subtle[use]({ name: "AES-GCM", iv, additionalData: utf8(type) }, mine, data));
  };

  let sent = 0;
  /** The count of the last message that opened, by who sealed it. */
  const opened = new Map<string, number>();

  const name = await derive("session code", 192);
  return {
    sessionCode: base64url(name),
    hint: (0x1000 | (new DataView(name.buffer).getUint16(0) >> 4)).toString(16).slice(1),
    exportKey: (label, bits) => derive(`export ${label}`, bits),
    async seal(peer, type, value) {
      const iv = new Uint8Array(12);
      new DataView(iv.buffer).setUint32(8, ++sent);
      const sealed = await crypt("encrypt", me, peer, type, iv, utf8(JSON.stringify(value)));
      return { iv: base64url(iv), sealed: base64url(sealed) };
    },
    async open(peer, type, message) {
      const iv = bytesOf(message.iv);
      const text = await crypt("decrypt", peer, me, type, iv, bytesOf(message.sealed));
      const count = new DataView(iv.buffer).getUint32(8);
      if (count <= (opened.get(peer) ?? 0)) throw new Error("twice or late");
      opened.set(peer, count);
      return JSON.parse(new TextDecoder().decode(text));
    },
  };
}
