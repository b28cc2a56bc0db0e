/** The options of a directory that several relays share: a part of the table in config.ts. Pure. */
import type { OptionTable } from "./options.ts";

export const CLUSTER_OPTIONS = {
  cluster: {
    flag: "--cluster",
    kind: "engines",
    default: "none",
    what: "Valkey or Redis in which several relays share who has which session, as redis://HOST:PORT; several spread the sessions",
  },
  clusterSecretFile: {
    flag: "--cluster-secret-file",
    kind: "secret-file",
    default: "off",
    what: "file of the secret that the relays of a cluster share; of two, one a line, both are known",
  },
  clusterPasswordFile: {
    flag: "--cluster-password-file",
    kind: "secret-file",
    default: "off",
    what: "file of the engines' password; the user is in the URL",
  },
  clusterCa: {
    flag: "--cluster-ca",
    kind: "file",
    default: "off",
    what: "PEM file of the authority that has signed the certificates of rediss:// engines; off: those that browsers trust",
  },
  clusterMayPersist: {
    flag: "--cluster-allow-persistence",
    kind: "switch",
    default: "off",
    what: "take an engine that saves to disk, throws keys away, or does not tell",
  },
} as const satisfies OptionTable;

/** Those that do nothing where there is no engine. */
export const CLUSTER_ONLY = ["clusterPasswordFile", "clusterCa", "clusterMayPersist"] as const;
