/**
 * What is measured: the relay's binary and the two baselines, each started as a single process on a free port of the
 * loopback, with or without TLS.
 */
import { join, resolve } from "node:path";
import type { Certificate } from "./certificate.ts";

const ROOT = resolve(import.meta.dir, "..");

interface Server {
  readonly title: string;
  readonly command: readonly string[];
  /** The environment variables that name the files of a certificate and its key. */
  readonly tls: readonly [cert: string, key: string];
  /** The load tester that speaks its wire. */
  readonly load: string;
}

const LOAD = join(ROOT, "src/load/main.ts");

/** The relay first: the others are held against it. */
export const SERVERS = {
  relay: {
    title: "whisper-signaling",
    command: [join(ROOT, "dist/whisper-signaling"), "--host", "127.0.0.1", "--port", "0"],
    tls: ["WHISPER_TLS_CERT", "WHISPER_TLS_KEY"],
    load: LOAD,
  },
  ws: {
    title: "`ws` on Node.js",
    command: ["node", join(import.meta.dir, "ws-relay.mjs")],
    tls: ["TLS_CERT", "TLS_KEY"],
    load: LOAD,
  },
  peerjs: {
    title: "PeerJS",
    command: ["node", join(import.meta.dir, "peerjs-server.mjs")],
    tls: ["TLS_CERT", "TLS_KEY"],
    load: join(import.meta.dir, "peerjs-load.ts"),
  },
} as const satisfies Record<string, Server>;
export type ServerName = keyof typeof SERVERS;

export interface Running extends AsyncDisposable {
  /** Where peers connect: `ws:` or `wss:`. */
  readonly url: string;
  readonly pid: number;
}

/** Starts a server and waits until it listens. @throws Error where it doesn't. */
export async function start(name: ServerName, certificate: Certificate | null): Promise<Running> {
  const { title, command, tls } = SERVERS[name];
  const secured = certificate && { [tls[0]]: certificate.certFile, [tls[1]]: certificate.keyFile };
  const server = Bun.spawn([...command], {
    env: { PATH: process.env["PATH"] ?? "", ...secured },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const [, secure = "", address] = (await firstLineWith(/listening on http(s?):\/\/(\S+)\n/, server.stdout)) ?? [];
  if (address === undefined) throw new Error(`${title} did not start`);
  return {
    url: `ws${secure}://${address}`,
    pid: server.pid,
    async [Symbol.asyncDispose]() {
      server.kill("SIGKILL"); // a drain would wait for peers that are not coming back
      await server.exited;
    },
  };
}

/** What a stream says first that matches; it is left open, since its process may say more. */
async function firstLineWith(pattern: RegExp, stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const { done, value = "" } = await reader.read();
    text += value;
    const match = pattern.exec(text);
    if (match !== null || done) return match;
  }
}
