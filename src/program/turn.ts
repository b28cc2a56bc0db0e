/**
 * What peers are told of STUN and TURN servers: `iceServers` in each `ready`, with a credential of its own for each
 * peer. By the scheme that coturn calls its REST API (draft-uberti-behave-turn-rest-00, section 2.2): the username is
 * when it expires and something random, the password is the username signed with a secret that only this relay and the
 * TURN server know. Owns the secret, which goes nowhere but into the signature; knows no peer.
 */
import type { IceUrl } from "./ice-urls.ts";
import type { SecretFile } from "./secret.ts";

/** Tells two credentials apart that expire in the same second, in bytes. It says nothing of the peer. */
const RANDOM_BYTES = 12;

/**
 * A secret has at least so many characters. Whoever is given a credential can try secrets against it, at home and as fast
 * as SHA-1 is.
 */
const LEAST_SECRET = 16;

/** The options that this is made from. */
export interface TurnOptions {
  readonly stunUrls: readonly IceUrl[];
  readonly turnUrls: readonly IceUrl[];
  /** One secret a line; the first one signs. */
  readonly turnSecretFile: SecretFile | null;
  readonly turnTtlMs: number;
}

export interface Turn {
  /** For one `ready`: the member `iceServers`, with a comma before it. */
  inReady(): string;
  /** For the log, once: by which clock credentials are made, and how long they last. */
  readonly notice: string | null;
}

export interface Credential {
  readonly username: string;
  readonly credential: string;
}

/**
 * Reads the secret.
 * @param now the time of day in ms since 1970, which the TURN server's clock has to agree with
 * @returns null where no server is named
 * @throws ConfigError where the file is not as it has to be
 */
export function readTurn(
  { stunUrls, turnUrls, turnSecretFile, turnTtlMs }: TurnOptions,
  now: () => number,
): Turn | null {
  const stun = stunUrls.length > 0 ? [{ urls: textsOf(stunUrls) }] : [];
  if (turnSecretFile === null) {
    const member = `,"iceServers":${JSON.stringify(stun)}`;
    return stun.length > 0 ? { inReady: () => member, notice: null } : null;
  }
  const [secret = ""] = turnSecretFile.readLines(LEAST_SECRET);
  const urls = textsOf(turnUrls);
  return {
    inReady: () => `,"iceServers":${JSON.stringify([...stun, { urls, ...newCredential(secret, turnTtlMs, now()) }])}`,
    notice: `credentials for TURN last ${turnTtlMs / 1_000} s by this clock, with which the TURN server's has to agree: ${new Date(now()).toISOString()}`,
  };
}

/** A credential that a TURN server with this secret takes for so long from `now` on; another one each time. */
export function newCredential(secret: string, ttlMs: number, now: number): Credential {
  const random = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES)).toBase64({ alphabet: "base64url" });
  const username = `${Math.ceil((now + ttlMs) / 1_000)}:${random}`;
  return { username, credential: passwordFor(username, secret) };
}

/** The password of a username: base64(HMAC-SHA1(secret, username)). */
export function passwordFor(username: string, secret: string): string {
  return new Bun.CryptoHasher("sha1", secret).update(username).digest("base64");
}

function textsOf(urls: readonly IceUrl[]): string[] {
  return urls.map(({ text }) => text);
}
