/**
 * Why a relay can't be reached, looked at step by step: its name, the connection, TLS, the upgrade. A WebSocket says none
 * of that. Owns the words: one line each, with what to do. Nothing is kept and nothing is sent but a request to connect.
 */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** How who asks introduces itself. */
export interface Hello {
  /** The page's origin, where the relay asks for one. */
  readonly origin: string | undefined;
  /** Whether the relay is this machine's own, reached by an address that its certificate need not name. */
  readonly isOwn: boolean;
}

/** Taken; or not, by a relay that is well but keeps to a limit; or not, for a reason that somebody has to mend. */
export type Diagnosis = { readonly is: "taken" | "busy" | "wrong"; readonly why: string };

/** Longest wait for any one answer, in ms. */
export const PATIENCE_MS = 5_000;
const SWITCHING = 101;

/** Where a URL leads. */
interface Place {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** What connecting fails with, and what to do; HOST and PORT stand for where. */
const UNREACHED: Readonly<Record<string, string>> = {
  ENOTFOUND: "the name HOST has no address: see its spelling, and its record in the DNS",
  EAI_AGAIN: "the name HOST can't be looked up now: see whether this machine reaches its DNS server",
  ECONNREFUSED: "nothing listens on HOST port PORT: start the relay there, or name the port that it has",
  EHOSTUNREACH: "there is no way to HOST: see the network and the firewalls on it",
  ENETUNREACH: "this machine has no network that leads to HOST",
  EADDRNOTAVAIL: "this machine has no address from which HOST could be reached",
  ETIMEDOUT: "HOST port PORT does not answer: a firewall drops what is sent there, or the machine is down",
};

/** What is wrong with a certificate, as OpenSSL's kind call it, and what to do. */
const UNTRUSTED: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "its certificate has expired: renew it, and restart what serves it, which reads it at the start",
  CERT_NOT_YET_VALID: "its certificate is not valid yet: see the clocks, here and there",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "UNKNOWN",
  UNABLE_TO_GET_ISSUER_CERT: "UNKNOWN",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "UNKNOWN",
  SELF_SIGNED_CERT_IN_CHAIN: "UNKNOWN",
  DEPTH_ZERO_SELF_SIGNED_CERT: "UNKNOWN",
  CERT_UNTRUSTED: "UNKNOWN",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "its certificate is for other names than HOST: connect by one of its names, or get one for this",
  CERT_REVOKED: "its certificate was revoked: get a new one",
};
/** A connection that ends without an error. */
const CUT = "it was cut";
const UNKNOWN =
  "its certificate is of an authority that is unknown here: have it send the whole chain (certbot's fullchain.pem), or name the authority's PEM file in NODE_EXTRA_CA_CERTS";
/** It hung up, or said nothing: with what a handshake ends that the other side does not take part in. */
const UNANSWERED: readonly string[] = ["ECONNRESET", "EPIPE", "ETIMEDOUT", CUT];
const NOT_TLS = "ERR_SSL_WRONG_VERSION_NUMBER";

const wrong = (why: string): Diagnosis => ({ is: "wrong", why });

/** @returns what becomes of an upgrade at `url`, which is ws: or wss: */
export async function diagnose(url: string, hello: Hello): Promise<Diagnosis> {
  const { hostname, port, protocol } = new URL(url);
  const isTls = protocol === "wss:";
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const place = { host, port: Number(port) || (isTls ? 443 : 80), isTls };
  const unreached = await failureOf(() => connectTcp({ host, port: place.port }), "connect");
  if (unreached !== null)
    return wrong(filled(UNREACHED[unreached] ?? `can't connect to HOST port PORT: ${unreached}`, place));
  if (isTls) {
    const failure = await handshake(place, !hello.isOwn);
    if (failure === NOT_TLS)
      return wrong(filled("HOST port PORT speaks no TLS: ask ws:// there, or start the relay with --tls-cert", place));
    if (failure !== null && UNANSWERED.includes(failure))
      return wrong("it takes the connection and does not answer a TLS handshake: see what listens there");
    if (failure !== null)
      return wrong(
        filled((UNTRUSTED[failure] ?? `the TLS handshake fails: ${failure}`).replace("UNKNOWN", UNKNOWN), place),
      );
  }
  return asked(url, hello, place);
}

function filled(text: string, { host, port }: Place): string {
  return text.replaceAll("HOST", host).replaceAll("PORT", String(port));
}

function handshake({ host, port }: Place, isStrict: boolean): Promise<string | null> {
  const isAddress = /^[\d.]+$|:/.test(host);
  const open = () => connectTls({ host, port, rejectUnauthorized: isStrict, ...(!isAddress && { servername: host }) });
  return failureOf(open, "secureConnect");
}

/** What keeps a socket from this event: an error's code; null where nothing does. */
function failureOf(open: () => Socket, event: string): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const socket = open();
  socket.setTimeout(PATIENCE_MS);
  socket.once(event, () => resolve(null));
  socket.once("timeout", () => resolve("ETIMEDOUT"));
  socket.once("close", () => resolve(CUT));
  socket.once("error", (failure) => resolve("code" in failure ? String(failure.code) : failure.message));
  return promise.finally(() => socket.destroy());
}

/** Asks for an upgrade by hand, and judges the answer. */
async function asked(url: string, hello: Hello, place: Place): Promise<Diagnosis> {
  const status = await statusOf(url, hello);
  const speaksTls =
    !place.isTls && (status === null || status.code === 400) && (await handshake(place, false)) === null;
  if (speaksTls) return wrong(filled("HOST port PORT speaks TLS: ask wss:// there", place));
  if (status === null)
    return wrong("it takes the connection and does not answer a request for a WebSocket: see what listens there");
  const { code, hasRetryAfter } = status;
  if (code === SWITCHING) return { is: "taken", why: "" };
  if (code === 429 && hasRetryAfter)
    return { is: "busy", why: "new connections (429: too many from this address; --max-per-address, --connect-rate)" };
  if (code === 503 && hasRetryAfter)
    return { is: "busy", why: "new connections (503: it is full, short of memory or drains; /readyz says which)" };
  return wrong(`${code}: ${meaningOf(code, hello)}`);
}

async function statusOf(
  url: string,
  { origin, isOwn }: Hello,
): Promise<{ code: number; hasRetryAfter: boolean } | null> {
  const headers = {
    ...(origin !== undefined && { Origin: origin }),
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": crypto.getRandomValues(new Uint8Array(16)).toBase64(),
  };
  try {
    const answer = await fetch(url.replace(/^ws/i, "http"), {
      headers,
      signal: AbortSignal.timeout(PATIENCE_MS),
      tls: { rejectUnauthorized: !isOwn },
      redirect: "manual",
    });
    await answer.body?.cancel();
    return { code: answer.status, hasRetryAfter: answer.headers.has("retry-after") };
  } catch {
    return null;
  }
}

function meaningOf(code: number, { origin }: Hello): string {
  if (code === 403)
    return origin === undefined
      ? "it takes pages of some origins alone: name one of them, as --origin https://example.org"
      : `${origin} is not among the origins that it takes: see its --origin`;
  if (code === 429 || code === 503)
    return "not from a relay, which would say when to come back: what is in front of it has too much to do, or finds no relay that is up";
  if (code === 502 || code === 504)
    return "a proxy is there, and does not reach the relay: see whether that runs, and where the proxy looks for it";
  if (code >= 300 && code < 400) return "it is somewhere else: ask the address that this one redirects to";
  if (code === 200 || code === 426)
    return "it answers, and makes no WebSocket of it: what is in front has to pass on Upgrade and Connection (`print nginx` shows how)";
  return "that is no answer of a relay: see what listens there, and the path of the URL";
}
