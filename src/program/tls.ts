/**
 * The certificate of a relay that speaks TLS itself: read once, at the start, and checked before anybody connects. The
 * key is never printed; neither is what a parser says of it.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { whyNot } from "./failure.ts";
import { ConfigError } from "./options.ts";

export interface Certificate {
  /** The chain, as PEM. */
  readonly cert: string;
  readonly key: string;
  /** Both in ms since 1970, of the first certificate in the chain. */
  readonly startsAt: number;
  readonly expiresAt: number;
}

/**
 * @param certFile the certificate and its chain, `keyFile` its private key, both PEM
 * @throws ConfigError where they can't be read, are none, or don't belong together
 */
export function readCertificate(certFile: string, keyFile: string): Certificate {
  const cert = readPem("--tls-cert", certFile);
  const key = readPem("--tls-key", keyFile);
  const certificate = readChain(certFile, cert);
  if (/^(-----BEGIN|Proc-Type: 4,) ?ENCRYPTED/m.test(key))
    throw notUsable("--tls-key", keyFile, "is encrypted, and nobody is asked for a passphrase");
  const privateKey = attempt(() => createPrivateKey(key));
  if (!privateKey) throw notUsable("--tls-key", keyFile, "is not a PEM private key");
  if (!attempt(() => certificate.checkPrivateKey(privateKey)))
    throw notUsable("--tls-key", keyFile, `is not the key of the first certificate in --tls-cert ${quoted(certFile)}`);
  return { cert, key, startsAt: Date.parse(certificate.validFrom), expiresAt: Date.parse(certificate.validTo) };
}

/** What the operator should know of a certificate with which the relay starts but clients won't connect, at `now`. */
export function doubtAbout({ startsAt, expiresAt }: Certificate, now: number): string | null {
  if (expiresAt < now) return "the certificate in --tls-cert has expired";
  return startsAt > now ? "the certificate in --tls-cert is not valid yet" : null;
}

/** The first certificate of a file in which every one has to be good, for all of them are sent. */
function readChain(file: string, pem: string): X509Certificate {
  const blocks = pem.split(/(?=-----BEGIN )/).filter((block) => /^-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/.test(block));
  const chain = blocks.map((block) => attempt(() => new X509Certificate(block)));
  const bad = chain.indexOf(null);
  if (bad > 0) throw notUsable("--tls-cert", file, `is not a PEM chain: certificate ${bad + 1} in it can't be read`);
  const [first] = chain;
  if (!first) throw notUsable("--tls-cert", file, "is not a PEM certificate");
  return first;
}

function readPem(flag: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (failure) {
    throw notUsable(flag, file, `can't be read: ${whyNot(failure)}`);
  }
}

/** What `read` gives; null where it throws, for what is thrown may quote what was read. */
function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

function notUsable(flag: string, file: string, why: string): ConfigError {
  return new ConfigError(`${flag} ${quoted(file)} ${why}`);
}

function quoted(file: string): string {
  return JSON.stringify(file);
}
