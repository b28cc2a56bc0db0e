/**
 * The proxies that docs/OPERATIONS.md shows, as its own blocks have them: started in the foreground on a free port of
 * the loopback with a certificate of their own, in a folder that goes with them.
 */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { Output, ROOT, run } from "./relay.ts";
import { until } from "./until.ts";

const DOCS = readFileSync(resolve(ROOT, "docs/OPERATIONS.md"), "utf8");
/** The name that the docs' blocks answer to. */
export const HOST = "relay.example.org";

interface Kind {
  readonly program: string;
  /** Debian's package. */
  readonly package: string;
  /** The command line, with the path of the configuration. */
  readonly args: (path: string) => string[];
  /** What in the docs' block is replaced, and by what. */
  readonly changes: (folder: string, port: number) => readonly [string, string][];
  /** The block inside of what else the program needs. */
  readonly whole: (block: string, folder: string) => string;
}

const nginx: Kind = {
  program: "nginx",
  package: "nginx-light",
  args: (path) => ["-c", path, "-e", "stderr"],
  changes: (folder, port) => [
    ["listen 443 ssl;", `listen 127.0.0.1:${port} ssl;`],
    ["/etc/ssl/relay/cert.pem", `${folder}/cert.pem`],
    ["/etc/ssl/relay/key.pem", `${folder}/key.pem`],
  ],
  whole: (block, folder) => {
    const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((what) => `${what}_temp_path ${folder};`);
    const http = `http { ${paths.join(" ")} access_log off; ${block} }`;
    return `daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr; events {} ${http}`;
  },
};

const caddy: Kind = {
  program: "caddy",
  package: "caddy",
  args: (path) => ["run", "--adapter", "caddyfile", "--config", path],
  changes: (folder, port) => [
    [`${HOST} {`, `https://${HOST}:${port} {\nbind 127.0.0.1\ntls ${folder}/cert.pem ${folder}/key.pem`],
  ],
  whole: (block) => `{\nadmin off\nauto_https disable_redirects\n}\n${block}`,
};

const haproxy: Kind = {
  program: "haproxy",
  package: "haproxy",
  args: (path) => ["-db", "-f", path],
  changes: (folder, port) => [
    ["bind :443 ", `bind 127.0.0.1:${port} `],
    ["/etc/ssl/relay/both.pem", `${folder}/both.pem`],
  ],
  whole: (block) => block,
};

/** By the heading in the docs. */
export const PROXIES = { nginx, Caddy: caddy, HAProxy: haproxy } as const;
export type ProxyName = keyof typeof PROXIES;
/** What is timed in a block; to keep a test short these are made so. */
const TIMEOUT = /\b75s\b/g;

/** The fenced block under a heading of the docs. */
function blockOf(name: ProxyName): string {
  const block = new RegExp(`^### ${name}\n(?:(?!^#).)*?^\`\`\`\\w+\n(.*?)^\`\`\``, "ms").exec(DOCS)?.[1];
  if (block === undefined) throw new Error(`docs/OPERATIONS.md has no block for ${name}`);
  return block;
}

/** What stands in the way of trying these proxies here, or null. */
export function whyNoProxy(): string | null {
  const missing = Object.values(PROXIES).filter(({ program }) => pathOf(program) === null);
  const packages = missing.map((kind) => kind.package);
  if (pathOf("openssl") === null) packages.push("openssl");
  return packages.length === 0 ? null : `Debian's ${packages.join(", ")} would have to be installed`;
}

function pathOf(program: string): string | null {
  return Bun.which(program, { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` });
}

export interface RunningProxy extends AsyncDisposable {
  /** A port of this machine behind which is the proxy, over TLS, as the client at the address `from` reaches it. */
  entrance(from: string): Promise<number>;
}

/** The proxy of the docs in front of a relay on `relayPort`. @param timeout what replaces its timeouts */
export async function startProxy(name: ProxyName, relayPort: number, timeout?: string): Promise<RunningProxy> {
  const kind: Kind = PROXIES[name];
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "proxy-"));
  started.defer(() => rm(folder, { recursive: true }));
  await writeCertificate(folder);
  const port = await freePort();
  let block = blockOf(name);
  for (const [from, to] of [...kind.changes(folder, port), ["127.0.0.1:8000", `127.0.0.1:${relayPort}`] as const]) {
    if (block.split(from).length !== 2) throw new Error(`the docs' block for ${name} names ${from} not just once`);
    block = block.replace(from, to);
  }
  if (timeout !== undefined) block = block.replace(TIMEOUT, timeout);
  const path = join(folder, "configuration");
  await writeFile(path, kind.whole(block, folder));
  const proxy = Bun.spawn([pathOf(kind.program) ?? kind.program, ...kind.args(path)], {
    cwd: folder,
    env: { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const stderr = new Output(proxy.stderr);
  started.defer(async () => {
    proxy.kill("SIGTERM");
    await Promise.all([proxy.exited, stderr.ended]);
  });
  await until(async () => {
    if (proxy.exitCode !== null) throw new Error(`${name} did not start: ${stderr.text}`);
    return await answers(port);
  });
  const entrances = started.use(new AsyncDisposableStack());
  const kept = started.move();
  return {
    entrance: async (from) => entrances.use(await openEntrance(port, from)).port,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** A certificate for HOST, with a P-256 key, that lasts a day. */
async function writeCertificate(folder: string): Promise<void> {
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  const names = ["-subj", `/CN=${HOST}`, "-addext", `subjectAltName=DNS:${HOST}`];
  const files = ["-keyout", `${folder}/key.pem`, "-out", `${folder}/cert.pem`];
  const { exitCode, stderr } = await run(["openssl", ...request, ...names, ...files]);
  if (exitCode !== 0) throw new Error(`no certificate: ${stderr}`);
  const both = await Promise.all(["cert", "key"].map((what) => Bun.file(`${folder}/${what}.pem`).text()));
  await writeFile(`${folder}/both.pem`, both.join(""));
}

async function freePort(): Promise<number> {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop(true);
  return port;
}

/** A TLS connection to the proxy from one address of the loopback. The certificate is the test's own: not verified. */
function dial(port: number, from: string): TLSSocket {
  const socket = connectTcp({ host: "127.0.0.1", port, localAddress: from });
  return connectTls({ socket, servername: HOST, rejectUnauthorized: false });
}

function answers(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = dial(port, "127.0.0.1");
  socket.once("secureConnect", () => resolve(true));
  socket.once("error", () => resolve(false));
  socket.once("close", () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/** Passes bytes on between a plain port and the proxy's. */
async function openEntrance(proxyPort: number, from: string): Promise<{ port: number } & AsyncDisposable> {
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = dial(proxyPort, from);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.on("data", (bytes) => other.write(bytes));
      one.on("error", () => other.destroy());
      one.on("close", () => other.end());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
