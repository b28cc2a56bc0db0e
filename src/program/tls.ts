/**
 * The certificate of a relay that speaks TLS itself: read once, at the start, and checked before anybody connects. The
 * key is never printed; neither is what a parser says of it.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { whyNot } from "./failure.ts";
import { ConfigError, type NameOf } from "./options.ts";

export interface Certificate {
  /** The chain, as PEM. */
  readonly cert: string;
  readonly key: string;
  /** The option or variable that named the chain's file. */
  readonly name: string;
  /** Both in ms since 1970, of the first certificate in the chain. */
  readonly startsAt: number;
  readonly expiresAt: number;
}

/**
 * @param certFile the certificate and its chain, `keyFile` its private key, both PEM
 * @param nameOf how the options that named them are told
 * @throws ConfigError where they can't be read, are none, or don't belong together
 */
export function readCertificate(certFile: string, keyFile: string, nameOf: NameOf): Certificate {
  const [certName, keyName] = [nameOf("--tls-cert"), nameOf("--tls-key")];
  const cert = readPem(certName, certFile);
  const key = readPem(keyName, keyFile);
  const certificate = readChain(certName, certFile, cert);
  if (/^(-----BEGIN|Proc-Type: 4,) ?ENCRYPTED/m.test(key))
    throw notUsable(keyName, keyFile, "is encrypted, and nobody is asked for a passphrase");
  const privateKey = attempt(() => createPrivateKey(key));
  if (!privateKey) throw notUsable(keyName, keyFile, "is not a PEM private key");
  if (!attempt(() => certificate.checkPrivateKey(privateKey)))
    throw notUsable(keyName, keyFile, `is not the key of the first certificate in ${certName} ${quoted(certFile)}`);
  const [startsAt, expiresAt] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  return { cert, key, name: certName, startsAt, expiresAt };
}

/** What the operator should know of a certificate that clients won't take, or soon won't, at `now` in ms since 1970. */
export function doubtAbout({ name, startsAt, expiresAt }: Certificate, now: number): string | null {
  if (expiresAt < now) return `the certificate in ${name} has expired: no browser connects; renew it and restart`;
  if (startsAt > now) return `the certificate in ${name} is not valid yet: is the clock of this machine right?`;
  const days = Math.floor((expiresAt - now) / DAY_MS);
  if (days >= SOON_DAYS) return null;
  const left = days < 1 ? "less than a day" : days === 1 ? "1 day" : `${days} days`;
  return `the certificate in ${name} expires in ${left}; it is read at the start, so restart with a renewed one`;
}

/** Tells of the certificate of a relay that runs for long: at once, and then once a day while there is reason. */
export class CertificateWatch {
  readonly #certificate: Certificate;
  readonly #warn: (line: string) => void;
  #dueAt = Number.NEGATIVE_INFINITY;

  constructor(certificate: Certificate, warn: (line: string) => void) {
    this.#certificate = certificate;
    this.#warn = warn;
  }

  /** @param now in ms since 1970: by the clock on the wall, as clients judge it */
  turn(now: number): void {
    if (now < this.#dueAt && now >= this.#dueAt - DAY_MS) return; // and not set back by more than a day
    const doubt = doubtAbout(this.#certificate, now);
    if (doubt === null) return;
    this.#dueAt = now + DAY_MS;
    this.#warn(doubt);
  }
}

/** With fewer days left than these a relay says so; the first alarm of deploy/alerts.yml is at the same. */
export const SOON_DAYS = 14;
const DAY_MS = 86_400_000;

/** The first certificate of a file in which every one has to be good, for all of them are sent. */
function readChain(name: string, file: string, pem: string): X509Certificate {
  const blocks = pem.split(/(?=-----BEGIN )/).filter((block) => /^-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/.test(block));
  const chain = blocks.map((block) => attempt(() => new X509Certificate(block)));
  const bad = chain.indexOf(null);
  if (bad > 0) throw notUsable(name, file, `is not a PEM chain: certificate ${bad + 1} in it can't be read`);
  const [first] = chain;
  if (!first) throw notUsable(name, file, "is not a PEM certificate");
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
