/**
 * URLs of STUN and TURN servers as an operator names them (RFC 7064, RFC 7065). Owns which of them browsers take: one
 * that they don't makes every RTCPeerConnection throw, so it is refused with the reason. Pure.
 */
import { isIPv4, isIPv6 } from "node:net";
import { Unfit } from "./failure.ts";

export type Transport = "udp" | "tcp" | "tls";

export interface IceUrl {
  /** As it was written, and as browsers get it. */
  readonly text: string;
  /** A name or an address; of IPv6 without its brackets. */
  readonly host: string;
  readonly port: number;
  readonly transport: Transport;
}

/** RFC 7065, section 3.2, and RFC 5928: where nothing else is said. */
const PORT = 3_478;
const TLS_PORT = 5_349;

/** A name, an IPv4 address, or what is in brackets; then a port and a transport. */
const URL = /^(\w+):(\[[^\]%]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?(?:\?transport=(\w+))?$/i;
/** A name (RFC 1123; underscores are in use): parts of letters, digits, and hyphens inside. */
const NAME = /^(?:\w(?:[\w-]{0,61}\w)?\.)*\w(?:[\w-]{0,61}\w)?\.?$/;
const LONGEST_NAME = 253;

const EXAMPLES = {
  stun: "stun:turn.example.org:3478",
  turn: "turn:turn.example.org:3478?transport=udp or turns:turn.example.org:443?transport=tcp",
};

/**
 * @param kind whether it is to be of a STUN or of a TURN server
 * @throws Unfit where it is not, or browsers would not take it
 */
export function readIceUrl(text: string, kind: "stun" | "turn"): IceUrl {
  const [, scheme = "", host = "", digits, asked] = URL.exec(text) ?? [];
  const isTls = scheme === "turns";
  if (!(scheme === kind || (kind === "turn" && isTls)) || !isHost(host))
    throw new Unfit(text, `is not a URL such as ${EXAMPLES[kind]}`);
  const port = Number(digits ?? (isTls ? TLS_PORT : PORT));
  if (port < 1 || port > 65_535) throw new Unfit(text, "has a port that is not from 1 to 65535");
  if (kind === "stun" && asked !== undefined) throw new Unfit(text, "has a transport, which URLs of STUN don't have");
  if (asked !== undefined && asked !== "udp" && asked !== "tcp")
    throw new Unfit(text, "has a transport that is not udp or tcp");
  if (isTls && asked === "udp") throw new Unfit(text, "asks for TLS over UDP, which browsers don't speak: say tcp");
  return { text, host: host.replace(/^\[|\]$/g, ""), port, transport: isTls ? "tls" : (asked ?? "udp") };
}

/** Whether it is a name or an address. What ends in a number is read as an IPv4 address everywhere, and so has to be one. */
function isHost(host: string): boolean {
  if (host.startsWith("[")) return isIPv6(host.slice(1, -1));
  return /(?:^|\.)\d+\.?$/.test(host) ? isIPv4(host) : host.length <= LONGEST_NAME && NAME.test(host);
}
