/**
 * Proxies with a block that was printed for them, and as little around it as they need: started in the foreground on a
 * free port of the loopback, with a certificate of their own, in a folder that goes with them.
 */
import { writeFile } from "node:fs/promises";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { Output, run } from "../relays/relay.ts";
import { newFolder } from "./folder.ts";
import { freePort } from "./free-port.ts";
import { until } from "./until.ts";

/** The name that the printed blocks answer to. */
export const HOST = "relay.example.org";

interface Kind {
  /** Debian's package. */
  readonly package: string;
  /** The command line, with the path of the configuration. */
  readonly args: (path: string) => string[];
  /** What in the block gives way to the port of the test. */
  readonly changes: (port: number, name: string) => readonly [RegExp, string][];
  /** What gives way to its certificate, in a block that was printed without one. */
  readonly files: (folder: string) => readonly [RegExp, string][];
  /** The block inside of what else the program needs. */
  readonly whole: (block: string, folder: string) => string;
}

const nginx: Kind = {
  package: "nginx-light",
  args: (path) => ["-c", path, "-e", "stderr"],
  changes: (port) => [
    [/listen 443 ssl;/, `listen 127.0.0.1:${port} ssl;`],
    [/listen \[::\]:443 ssl;/, ""],
  ],
  files: (folder) => [
    [/\/etc\/ssl\/relay\/cert\.pem/, `${folder}/cert.pem`],
    [/\/etc\/ssl\/relay\/key\.pem/, `${folder}/key.pem`],
  ],
  whole: (block, folder) => {
    const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((what) => `${what}_temp_path ${folder};`);
    const http = `http { ${paths.join(" ")}\n${block}\n}`;
    return `daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr; events {} ${http}`;
  },
};

const caddy: Kind = {
  package: "caddy",
  args: (path) => ["run", "--adapter", "caddyfile", "--config", path],
  changes: (port, name) => [
    [/^\{$/m, "{\nadmin off\nauto_https disable_redirects"],
    [new RegExp(`^${RegExp.escape(name)} \\{$`, "m"), `https://${name}:${port} {\nbind 127.0.0.1`],
  ],
  files: (folder) => [[/^bind 127\.0\.0\.1$/m, `bind 127.0.0.1\ntls ${folder}/cert.pem ${folder}/key.pem`]],
  whole: (block) => block,
};

const haproxy: Kind = {
  package: "haproxy",
  args: (path) => ["-db", "-f", path],
  changes: (port) => [
    [/bind :443 /, `bind 127.0.0.1:${port} `],
    [/bind :::443 .*/, ""],
  ],
  files: (folder) => [[/\/etc\/ssl\/relay\/both\.pem/, `${folder}/both.pem`]],
  whole: (block) => block,
};

/** By what `print` calls them, which is what the programs are called. */
const FRONTS = { nginx, caddy, haproxy } as const;
export type FrontName = keyof typeof FRONTS;
export const FRONT_NAMES = Object.keys(FRONTS) as FrontName[];

/** What stands in the way of trying these proxies here, or null. */
export function whyNoFront(): string | null {
  const packages = FRONT_NAMES.filter((name) => pathOf(name) === null).map((name) => FRONTS[name].package);
  if (pathOf("openssl") === null) packages.push("openssl");
  return packages.length === 0 ? null : `Debian's ${packages.join(", ")} would have to be installed`;
}

export function pathOf(program: string): string | null {
  return Bun.which(program, { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` });
}

export interface RunningFront extends AsyncDisposable {
  /** Where it speaks TLS itself, on 127.0.0.1. */
  readonly port: number;
  /** A port of this machine behind which is the proxy, over TLS, as the client at the address `from` reaches it. */
  entrance(from: string): Promise<number>;
  /** Ends the proxy. Returns all that it ever printed. */
  stop(): Promise<string>;
}

/**
 * A proxy with a printed `block`, ready to be connected to.
 * @param host the name that was printed into it, `hasFiles` whether its certificate was, too, and `port` where it listens
 */
export async function startFront(
  name: FrontName,
  block: string,
  { host = HOST, hasFiles = false, port = freePort() } = {},
): Promise<RunningFront> {
  const kind: Kind = FRONTS[name];
  await using started = new AsyncDisposableStack();
  const folder = started.use(await newFolder()).path;
  await writeCertificate(folder);
  let changed = block;
  for (const [from, to] of [...kind.changes(port, host), ...(hasFiles ? [] : kind.files(folder))]) {
    if (!from.test(changed)) throw new Error(`the block for ${name} has no ${from}`);
    changed = changed.replaceAll(new RegExp(from.source, "gm"), to);
  }
  const path = join(folder, "configuration");
  await writeFile(path, kind.whole(changed, folder));
  const proxy = Bun.spawn([pathOf(name) ?? name, ...kind.args(path)], {
    cwd: folder,
    env: { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const outputs = [new Output(proxy.stdout), new Output(proxy.stderr)];
  async function stop(): Promise<string> {
    proxy.kill("SIGTERM");
    await Promise.all([proxy.exited, ...outputs.map(({ ended }) => ended)]);
    return outputs.map(({ text }) => text).join("");
  }
  started.defer(async () => void (await stop()));
  await until(`${name} to listen`, async () => {
    if (proxy.exitCode !== null) throw new Error(`${name} did not start: ${await stop()}`);
    return await answers(port, host);
  });
  const entrances = started.use(new AsyncDisposableStack());
  const kept = started.move();
  return {
    port,
    entrance: async (from) => entrances.use(await openEntrance(port, from, host)).port,
    stop,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** A certificate for a host in `folder`, with a P-256 key, that lasts a month: cert.pem, key.pem, and both.pem. */
export async function writeCertificate(folder: string, host = HOST): Promise<void> {
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
  const names = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`];
  const files = ["-keyout", `${folder}/key.pem`, "-out", `${folder}/cert.pem`];
  const { exitCode, stderr } = await run(["openssl", ...request, ...names, ...files]);
  if (exitCode !== 0) throw new Error(`no certificate: ${stderr}`);
  const both = await Promise.all(["cert", "key"].map((what) => Bun.file(`${folder}/${what}.pem`).text()));
  await writeFile(`${folder}/both.pem`, both.join(""));
}

/** A TLS connection to the proxy from one address of the loopback. The certificate is the test's own: not verified. */
function dial(port: number, from: string, servername: string): TLSSocket {
  const socket = connectTcp({ host: "127.0.0.1", port, localAddress: from });
  return connectTls({ socket, servername, rejectUnauthorized: false });
}

function answers(port: number, host: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = dial(port, "127.0.0.1", host);
  socket.once("secureConnect", () => resolve(true));
  socket.once("error", () => resolve(false));
  socket.once("close", () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/** Passes bytes on between a plain port and the proxy's. */
async function openEntrance(
  proxyPort: number,
  from: string,
  host: string,
): Promise<{ port: number } & AsyncDisposable> {
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = dial(proxyPort, from, host);
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
