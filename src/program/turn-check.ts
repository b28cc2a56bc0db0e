/**
 * The servers that a relay tells its peers of, tried as a browser would: with the credential out of a `ready` an address
 * is asked for, and given back. Owns the sockets to them; says why one can't be used, and never a credential or an
 * address.
 */
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { Unfit, whyNot } from "./failure.ts";
import { isExposed } from "./hosts.ts";
import { type IceUrl, readIceUrl } from "./ice-urls.ts";
import { ALLOCATE, BINDING, type Login, lengthOf, REFRESH, type Response, request, response } from "./stun.ts";

/** Longest wait for any one answer, in ms. */
const PATIENCE_MS = 5_000;
const IN_TIME = `within ${PATIENCE_MS / 1_000} s: a firewall may be in between`;
/** Over UDP a request is sent again after so long, then twice as long, and so on, in ms (RFC 8489, section 6.2.1). */
const RESEND_MS = 500;

const UNAUTHENTICATED = 401;
const STALE_NONCE = 438;

/** What TLS says of a certificate, for the operator. */
const CERTIFICATE_FAULTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "has expired",
  CERT_NOT_YET_VALID: "is not valid yet",
  ERR_TLS_CERT_ALTNAME_INVALID: "is for another name",
  DEPTH_ZERO_SELF_SIGNED_CERT: "is signed by nobody but itself",
  SELF_SIGNED_CERT_IN_CHAIN: "is of an authority that is not trusted here",
  UNABLE_TO_GET_ISSUER_CERT: "is of an authority that is not trusted here",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "is of an authority that is not trusted here",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "is of an authority that is not trusted here, or lacks its chain",
};

class Unusable extends Error {}

interface Server {
  readonly url: IceUrl;
  /** Null for STUN, which asks for none. */
  readonly login: Pick<Login, "username" | "password"> | null;
}

/**
 * Tries all that one `ready` names.
 * @param ready the text of the message
 * @param seen is told of each server that can be used, `failed` of each that can't, with the reason
 * @returns how many there were
 */
export async function tryServers(
  ready: string,
  seen: (what: string) => void,
  failed: (why: string) => void,
): Promise<number> {
  const servers = serversIn(ready, failed);
  for (const { url, login } of servers) {
    try {
      await (login ? allocate(url, login) : bind(url));
      seen(`${url.text} ${login ? "gives an address" : "answers"}`);
    } catch (failure) {
      if (!(failure instanceof Unusable)) throw failure;
      failed(`${url.text}: ${failure.message}`);
    }
  }
  return servers.length;
}

function serversIn(ready: string, failed: (why: string) => void): Server[] {
  const { iceServers = [] } = JSON.parse(ready) as {
    iceServers?: { urls: string[]; username?: string; credential?: string }[];
  };
  return iceServers.flatMap(({ urls, username, credential }) =>
    urls.flatMap((text) => {
      const isTurn = text.startsWith("turn");
      const login = username === undefined || credential === undefined ? null : { username, password: credential };
      try {
        const url = readIceUrl(text, isTurn ? "turn" : "stun");
        if (isTurn && !login) throw new Unfit(text, "comes without a credential");
        return [{ url, login: isTurn ? login : null }];
      } catch (failure) {
        if (!(failure instanceof Unfit)) throw failure;
        failed(`${JSON.stringify(text)} ${failure.message}`);
        return [];
      }
    }),
  );
}

/** Gets an address from a TURN server and gives it back. */
async function allocate(url: IceUrl, { username, password }: Pick<Login, "username" | "password">): Promise<void> {
  const line = await openLine(url);
  try {
    const { error, realm, nonce } = await line.ask(ALLOCATE, null);
    if (error === 0) throw new Unusable("gives addresses to anybody, without a credential: see use-auth-secret");
    if (error !== UNAUTHENTICATED || !realm || !nonce) throw new Unusable(reasonFor(error, username));
    let login: Login = { username, password, realm, nonce };
    let answer = await line.ask(ALLOCATE, login);
    if (answer.error === STALE_NONCE && answer.nonce) {
      login = { ...login, nonce: answer.nonce };
      answer = await line.ask(ALLOCATE, login);
    }
    if (answer.error !== 0) throw new Unusable(reasonFor(answer.error, username));
    await line.ask(REFRESH, login);
    if (isPrivate(answer.relayed) && !isPrivate(line.remote))
      throw new Unusable("gives an address that is reached from its own network alone: see external-ip and relay-ip");
  } finally {
    line.close();
  }
}

async function bind(url: IceUrl): Promise<void> {
  const line = await openLine(url);
  try {
    const { error } = await line.ask(BINDING, null);
    if (error !== 0) throw new Unusable(`answers with error ${error}`);
  } finally {
    line.close();
  }
}

/** Whether only machines of the same network get there. */
function isPrivate(address: string | null): boolean {
  return address === null || !isExposed(address);
}

/** Why a server refuses, by the errors of RFC 8656, section 19, for whoever has to mend it. */
function reasonFor(error: number, username: string): string {
  const leftS = Math.round(Number.parseInt(username, 10) - Date.now() / 1_000);
  const lasts = leftS > 0 ? `lasts ${leftS} s more` : `expired ${-leftS} s ago`;
  const reasons: Record<number, string> = {
    300: "sends its clients to another server",
    [UNAUTHENTICATED]: `401, refuses the credential, which ${lasts} by the clock here: it has another secret, or one of the clocks is wrong`,
    403: "403, forbids it: this address may be denied there",
    437: "437, says that this connection has an address already",
    441: "441, refuses the credential: its secret was changed in between",
    442: "442, relays no UDP",
    486: "486, gives no more addresses to one user: see user-quota",
    508: "508, has no room: see total-quota, min-port and max-port",
  };
  return reasons[error] ?? `answers with error ${error}`;
}

/** A connection to a server, with one request at a time under way. */
interface Line {
  /** The address that it leads to. */
  readonly remote: string;
  /** Rejects with Unusable where no answer comes. */
  ask(method: number, login: Login | null): Promise<Response>;
  close(): void;
}

/** What carries a line: bytes that come in pieces are put together by the line. */
interface Carrier {
  send(bytes: Buffer): void;
  close(): void;
}
type Heard = (bytes: Buffer) => void;
type Failed = (failure: unknown) => void;

async function openLine(url: IceUrl): Promise<Line> {
  const { address: remote, family } = await lookup(url.host).catch((failure) => {
    throw new Unusable(whyNot(failure));
  });
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => {}); // it may break while nothing is asked
  let unread = Buffer.alloc(0);
  let answered: (message: Buffer) => void = () => {};
  const failed: Failed = (failure) => broken.reject(new Unusable(whyBroken(failure)));
  let hasHeard = false;
  const heard: Heard = (bytes) => {
    hasHeard = true;
    unread = Buffer.concat([unread, bytes]);
    for (let length = lengthOf(unread); length !== null && length <= unread.length; length = lengthOf(unread)) {
      answered(unread.subarray(0, length));
      unread = unread.subarray(length);
    }
    if (url.transport === "udp") unread = Buffer.alloc(0); // a datagram is whole or nothing
  };
  const opening =
    url.transport === "udp" ? overUdp(url, remote, family, heard, failed) : overTcp(url, remote, heard, failed);
  const carrier = await within(Promise.race([opening, broken.promise]), () => `is not reached ${IN_TIME}`);

  return {
    remote,
    close: () => carrier.close(),
    async ask(method, login) {
      const id = Buffer.from(crypto.getRandomValues(new Uint8Array(12)));
      const bytes = request(method, id, login);
      const answer = Promise.withResolvers<Response>();
      answered = (message) => {
        const read = response(message, method, id, login);
        if (read) answer.resolve(read);
      };
      let pauseMs = RESEND_MS;
      let timer: NodeJS.Timeout | undefined;
      const send = () => {
        carrier.send(bytes);
        if (url.transport === "udp") timer = setTimeout(send, pauseMs);
        pauseMs *= 2;
      };
      send();
      try {
        return await within(Promise.race([answer.promise, broken.promise]), () =>
          hasHeard
            ? "answers, but not as such a server does: something else may listen there"
            : `gives no answer ${IN_TIME}`,
        );
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

async function overUdp(
  { port }: IceUrl,
  remote: string,
  family: number,
  heard: Heard,
  failed: Failed,
): Promise<Carrier> {
  const socket = createSocket(family === 6 ? "udp6" : "udp4", heard);
  socket.on("error", failed);
  await new Promise<void>((resolve) => socket.connect(port, remote, resolve));
  return { send: (bytes) => socket.send(bytes), close: () => socket.close() };
}

async function overTcp(
  { host, port, transport }: IceUrl,
  remote: string,
  heard: Heard,
  failed: Failed,
): Promise<Carrier> {
  const to = { host: remote, port };
  // A name is asked for and compared with the certificate; an address can't be asked for.
  const socket: Socket =
    transport === "tls" ? connectTls({ ...to, ...(isIP(host) === 0 && { servername: host }) }) : connect(to);
  socket.on("data", heard);
  socket.on("error", failed);
  socket.on("close", () => failed(Object.assign(new Error(), { code: "ECONNRESET" })));
  await new Promise<void>((resolve) => socket.once(transport === "tls" ? "secureConnect" : "connect", resolve));
  return { send: (bytes) => socket.write(bytes), close: () => socket.destroy() };
}

/** A promise that is waited for only so long; then `why` says what is wrong. */
async function within<T>(promise: Promise<T>, why: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Unusable(why())), PATIENCE_MS);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function whyBroken(failure: unknown): string {
  const code = failure instanceof Error && "code" in failure ? String(failure.code) : "";
  const fault = CERTIFICATE_FAULTS[code];
  if (fault !== undefined) return `has a certificate that ${fault}`;
  return code.startsWith("ERR_SSL") || code === "EPROTO" ? "speaks no TLS there" : whyNot(failure);
}
