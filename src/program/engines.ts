/**
 * Where the engines of --cluster are, as an operator writes it: redis://[USER@]HOST[:PORT][/DATABASE], rediss:// for TLS,
 * or unix:///PATH[?user=USER&db=DATABASE]. Pure.
 */
import type { EngineUrl } from "../cluster/cluster.ts";

const PORT = 6_379;
/** Whether what it spells with percent signs is text. */
const isReadable = (text: string) => {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
};

/** @returns null for what is no such URL. A password is none: whoever lists processes would see it */
export function readEngine(text: string): EngineUrl | null {
  const url = URL.parse(text);
  if (url === null || url.password !== "" || url.hash !== "" || !isReadable(text)) return null;
  const user = url.username === "" ? null : decodeURIComponent(url.username);
  if (url.protocol === "unix:") {
    const { searchParams, host, pathname } = url;
    const database = Number(searchParams.get("db") ?? 0);
    const isKnown = [...searchParams.keys()].every((name) => name === "user" || name === "db");
    const isFit = host === "" && pathname.length > 1 && isKnown && Number.isInteger(database) && database >= 0;
    const path = decodeURIComponent(pathname);
    return isFit ? { host, port: 0, path, isTls: false, user: searchParams.get("user"), database } : null;
  }
  const isRedis = url.protocol === "redis:" || url.protocol === "rediss:";
  if (!isRedis || url.hostname === "" || url.search !== "" || url.port === "0") return null;
  const [, digits] = /^\/?(\d{0,5})$/.exec(url.pathname) ?? [];
  if (digits === undefined) return null;
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? PORT : Number(url.port);
  return { host, port, path: null, isTls: url.protocol === "rediss:", user, database: Number(digits) };
}
