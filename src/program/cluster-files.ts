/**
 * What the options of a cluster lead to: the files that they name are read, once, and what does not go together is refused
 * before a helper is started. Loaded where --cluster is set. What is in the files is repeated nowhere.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ClusterConfig } from "../cluster/cluster.ts";
import type { Config } from "./config.ts";
import { ConfigError, whyNot } from "./failure.ts";
import type { NameOf } from "./options.ts";

/** The engine sees names that are made with it, and could try secrets. */
const LEAST_SECRET = 32;
/** The one in force and the one that takes its place. Each costs a key in the engine for every session. */
const MOST_SECRETS = 2;

/** @throws ConfigError where a file can't be used, or the options don't go together */
export function readCluster(config: Config, nameOf: NameOf): ClusterConfig {
  const { cluster: engines, clusterSecretFile, clusterPasswordFile, clusterCa, clusterMayPersist, sandbox } = config;
  const secrets = clusterSecretFile?.readLines(LEAST_SECRET) ?? [];
  if (secrets.length > MOST_SECRETS)
    throw new ConfigError(
      `${nameOf("--cluster-secret-file")} names ${secrets.length} secrets; at most ${MOST_SECRETS}`,
    );
  const all = engines.map((engine) => JSON.stringify({ ...engine, user: null }));
  if (new Set(all).size < all.length) throw new ConfigError(`${nameOf("--cluster")} names an engine twice`);
  const password = clusterPasswordFile?.read() ?? null;
  if (password === null && engines.some(({ user }) => user !== null))
    throw new ConfigError(`${nameOf("--cluster")} names a user, and --cluster-password-file no password`);
  const ca = clusterCa === null ? null : readAuthority(nameOf("--cluster-ca"), clusterCa);
  return { engines, secrets, password, ca, mayPersist: clusterMayPersist, isLocked: sandbox !== "off" };
}

function readAuthority(name: string, path: string): string {
  const unfit = (why: string) => new ConfigError(`${name} ${JSON.stringify(path)} ${why}`);
  let pem: string;
  try {
    pem = readFileSync(path, "utf8");
  } catch (failure) {
    throw unfit(`can't be read: ${whyNot(failure)}`);
  }
  try {
    new X509Certificate(pem);
  } catch {
    throw unfit("is not a PEM certificate");
  }
  return pem;
}
