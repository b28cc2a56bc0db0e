/**
 * What is measured: the relay's binary and the baselines, each started as a single process on a free port of the
 * loopback, with or without TLS.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Certificate } from "./certificate.ts";
import { run } from "./command.ts";

const ROOT = resolve(import.meta.dir, "..");

interface Server {
  readonly title: string;
  readonly command: readonly string[];
  /** The environment variables that name the files of a certificate and its key. */
  readonly tls: readonly [cert: string, key: string];
  /** The load tester that speaks its wire. */
  readonly load: string;
  /** Makes its program, where that has to be made. @returns why it can't be, or null */
  readonly prepare?: () => Promise<string | null>;
}

/** Where Debian's golang-github-gorilla-websocket-dev puts it, for a Go without modules. */
const GOPATH = "/usr/share/gocode";
const GORILLA = "src/github.com/gorilla/websocket";
const GO_RELAY = join(ROOT, "dist/bench-go-relay");

async function buildGo(): Promise<string | null> {
  if (Bun.which("go") === null) return "there is no go (Debian: golang-go)";
  if (!existsSync(join(GOPATH, GORILLA)))
    return `there is no ${GORILLA} in ${GOPATH} (Debian: golang-github-gorilla-websocket-dev)`;
  const env = ["env", `GOPATH=${GOPATH}`, "GO111MODULE=off", "CGO_ENABLED=0"];
  await run([...env, "go", "build", "-o", GO_RELAY, "."], join(import.meta.dir, "go"));
  return null;
}

export const UWS = join(import.meta.dir, "uws");
/** Whether the library itself is there: the package has one in JavaScript, too, for where that can't be loaded. */
const IS_NATIVE = 'require("uWebSockets.js"); Object.keys(require.cache).some((file) => file.endsWith(".node"))';

/** For a server on Node.js, whose package was installed. */
function needs(name: string): () => Promise<string | null> {
  return async () => {
    if (Bun.which("node") === null) return "there is no node (Debian: nodejs)";
    return existsSync(join(import.meta.dir, "node_modules", name)) ? null : `${name} could not be installed`;
  };
}

async function findUws(): Promise<string | null> {
  if (Bun.which("node") === null) return "there is no node (Debian: nodejs)";
  const isNative = await run(["node", "-p", IS_NATIVE], UWS).catch(() => "");
  return isNative.endsWith("true\n") ? null : "it has no library for this Node.js and this system";
}

/**
 * What a package says of itself, of the first of these folders that has it, as Node.js looks for it. Node.js itself is not
 * asked: a package may list what it exports, without its package.json.
 */
export async function versionOf(name: string, folders: readonly string[]): Promise<string> {
  const files = folders.map((folder) => join(folder, "node_modules", name, "package.json"));
  const file = files.find((file) => existsSync(file));
  return file === undefined ? "of an unknown version" : (await Bun.file(file).json()).version;
}

/** The program itself, and not its package's wrapper, so that what is measured is one process. */
const DENO = join(import.meta.dir, `node_modules/@deno/linux-${process.arch}-glibc/deno`);
const DENO_RIGHTS = ["--allow-net=127.0.0.1", "--allow-env=TLS_CERT,TLS_KEY", "--allow-read"];

async function findDeno(): Promise<string | null> {
  const why = await run([DENO, "--version"]).catch((failure) => `it does not run here: ${failure}`);
  return why.startsWith("deno ") ? null : (why.split("\n", 1)[0] ?? why);
}

/** Compiled as the relay is. */
const BUN_RELAY = join(ROOT, "dist/bench-bun-relay");

async function buildBun(): Promise<string | null> {
  const command = ["build", "--compile", "--minify", "--compile-exec-argv=--smol", "--outfile", BUN_RELAY];
  await run([process.execPath, ...command, join(import.meta.dir, "bun-relay.ts")]);
  return null;
}

/** The load comes from one address, faster than one person may. */
const EXEMPT = ["--exempt", "127.0.0.1"];
const LOAD = join(ROOT, "src/load/main.ts");

/** The relay first: the others are held against it, the hardest rival first. */
export const SERVERS = {
  relay: {
    title: "whisper-signaling",
    command: [join(ROOT, "dist/whisper-signaling"), "--host", "127.0.0.1", "--port", "0", ...EXEMPT],
    tls: ["WHISPER_TLS_CERT", "WHISPER_TLS_KEY"],
    load: LOAD,
  },
  uws: {
    title: "uWebSockets.js",
    command: ["node", join(UWS, "relay.mjs")],
    tls: ["TLS_CERT", "TLS_KEY"],
    load: LOAD,
    prepare: findUws,
  },
  go: {
    title: "Go, gorilla/websocket",
    command: [GO_RELAY],
    tls: ["TLS_CERT", "TLS_KEY"],
    load: LOAD,
    prepare: buildGo,
  },
  deno: {
    title: "Deno",
    command: [
      DENO,
      "run",
      "--quiet",
      "--no-config",
      "--no-lock",
      ...DENO_RIGHTS,
      join(import.meta.dir, "deno-relay.js"),
    ],
    tls: ["TLS_CERT", "TLS_KEY"],
    load: LOAD,
    prepare: findDeno,
  },
  ws: {
    title: "`ws` on Node.js",
    command: ["node", join(import.meta.dir, "ws-relay.mjs")],
    tls: ["TLS_CERT", "TLS_KEY"],
    load: LOAD,
    prepare: needs("ws"),
  },
  peerjs: {
    title: "PeerJS",
    command: ["node", join(import.meta.dir, "peerjs-server.mjs")],
    tls: ["TLS_CERT", "TLS_KEY"],
    load: join(import.meta.dir, "peerjs-load.ts"),
    prepare: needs("peer"),
  },
  bun: {
    title: "Bun alone",
    command: [BUN_RELAY],
    tls: ["TLS_CERT", "TLS_KEY"],
    load: LOAD,
    prepare: buildBun,
  },
} as const satisfies Record<string, Server>;
export type ServerName = keyof typeof SERVERS;

/** Those that can be measured here. @param missing is told of each other one, and why */
export async function prepared(missing: (title: string, why: string) => void): Promise<ServerName[]> {
  const names: ServerName[] = [];
  for (const [name, server] of Object.entries(SERVERS) as [ServerName, Server][]) {
    const why = await Promise.resolve(server.prepare?.() ?? null).catch(reasonOf);
    if (why === null) names.push(name);
    else missing(server.title, why);
  }
  return names;
}

/** Why something failed, in one line. */
export function reasonOf(failure: unknown): string {
  const words = failure instanceof Error ? failure.message : String(failure);
  return (words.split("\n", 1)[0] ?? words).trim();
}

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
