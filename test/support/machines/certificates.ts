/**
 * An authority of a test's own, and what it signs: P-256 certificates for 127.0.0.1, made with the openssl command in
 * a folder that is removed. Nobody else trusts it.
 */

import { run } from "../relays/relay.ts";
import { type Folder, newFolder } from "./folder.ts";

export const DAY_MS = 86_400_000;
const MONTH_MS = 30 * DAY_MS;

/** A certificate and its key, for a relay. */
export interface Files {
  readonly certFile: string;
  readonly keyFile: string;
  /** Both, as the relay's options. */
  readonly args: readonly string[];
}

export interface Issuing {
  /** In ms since 1970; from yesterday on, for a month to come, unless said. */
  readonly from?: number;
  readonly until?: number;
  /** Signed by the intermediate, whose certificate is then in the file too. */
  readonly isChained?: boolean;
}

/** For `openssl ca`, which lets dates be chosen; `req -x509 -not_after` came only with OpenSSL 3.4. */
const CONFIG = `
[ca]
default_ca = test
[test]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1, DNS:localhost
`;

export class Authority implements AsyncDisposable {
  readonly folder: Folder;
  #issued = 0;

  private constructor(folder: Folder) {
    this.folder = folder;
  }

  static async create(): Promise<Authority> {
    const authority = new Authority(await newFolder());
    await authority.folder.write("ca.cnf", CONFIG);
    await authority.folder.write("index.txt", "");
    await authority.#makeKey("root");
    const root = "-key root.key -subj /CN=root -days 2 -out root.pem";
    await authority.openssl(`req -x509 -config ca.cnf -extensions authority ${root}`);
    await authority.#sign("intermediate", "root", "authority", {});
    return authority;
  }

  /** The certificate of the authority itself. */
  get rootFile(): string {
    return this.folder.file("root.pem");
  }

  root(): Promise<string> {
    return Bun.file(this.rootFile).text();
  }

  /** A certificate for 127.0.0.1 and localhost, and its key. One at a time. */
  async issue(issuing: Issuing = {}): Promise<Files> {
    const name = `server-${++this.#issued}`;
    const certFile = this.folder.file(`${name}.pem`);
    await this.#sign(name, issuing.isChained ? "intermediate" : "root", "server", issuing);
    if (issuing.isChained) {
      const chain = [certFile, this.folder.file("intermediate.pem")].map((file) => Bun.file(file).text());
      await Bun.write(certFile, (await Promise.all(chain)).join(""));
    }
    return files(certFile, this.folder.file(`${name}.key`));
  }

  /** Runs the openssl command in the authority's folder, with arguments that hold no spaces. */
  async openssl(args: string): Promise<void> {
    const { exitCode, stderr } = await run(["env", "-C", this.folder.path, "openssl", ...args.split(" ")]);
    if (exitCode !== 0) throw new Error(`openssl ${args}: ${stderr}`);
  }

  async #makeKey(name: string): Promise<void> {
    await this.openssl(`genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ${name}.key`);
  }

  async #sign(name: string, issuer: string, extensions: string, { from, until }: Issuing): Promise<void> {
    await this.#makeKey(name);
    await this.openssl(`req -new -config ca.cnf -key ${name}.key -subj /CN=${name} -out ${name}.csr`);
    const by = `-cert ${issuer}.pem -keyfile ${issuer}.key -extensions ${extensions}`;
    const times = `-startdate ${asn1(from ?? Date.now() - DAY_MS)} -enddate ${asn1(until ?? Date.now() + MONTH_MS)}`;
    await this.openssl(`ca -batch -notext -config ca.cnf ${by} ${times} -in ${name}.csr -out ${name}.pem`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder[Symbol.asyncDispose]();
  }
}

export function files(certFile: string, keyFile: string): Files {
  return { certFile, keyFile, args: ["--tls-cert", certFile, "--tls-key", keyFile] };
}

/** A time as openssl takes it: 20260131235959Z. */
function asn1(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");
}
