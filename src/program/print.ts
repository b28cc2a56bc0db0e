/**
 * What stands around a relay, written to fit its options: a systemd unit, the block of a proxy in front of it, or the
 * kernel's filter. It returns text; nothing here knows whether such a program is installed. Of the machine it asks only
 * whether the files that are named are there.
 */
import { statSync } from "node:fs";
import type { Asked } from "./commands.ts";
import { isLoopback } from "./hosts.ts";
import { nftables } from "./nftables.ts";
import { ConfigError } from "./options.ts";
import { caddy, haproxy, nginx } from "./proxies.ts";
import { filesIn, systemd, template } from "./unit.ts";

const WRITERS = {
  systemd,
  "systemd@": template,
  caddy,
  nginx,
  haproxy,
  nftables: ({ config }: Asked) => nftables(config, isLoopback(config.host)),
} as const;
const UNITS: readonly (string | undefined)[] = ["systemd", "systemd@"];

/**
 * @param what one of WRITERS
 * @throws ConfigError where there is no such writer, or the options leave open what it has to write
 */
export function printed(what: string | undefined, asked: Asked): string {
  const writer = new Map<string | undefined, (typeof WRITERS)[keyof typeof WRITERS]>(Object.entries(WRITERS)).get(what);
  if (writer === undefined)
    throw new ConfigError(`print ${JSON.stringify(what ?? "")} is not one of ${Object.keys(WRITERS).join(", ")}`);
  return `${writer(asked).join("\n")}\n`;
}

/** Warnings of files that what was printed needs and that are not there. One that may not be looked at is not judged. */
export function missingFiles(what: string | undefined, { given, options, nameOf }: Asked): string[] {
  const ofRelay = Object.entries(filesIn(given)).map(([name, path]) => [nameOf(`--${name}`), path] as const);
  const ofProxy = [["--cert", options.cert] as const, ["--key", options.key] as const];
  const needed = UNITS.includes(what) ? ofRelay : ofProxy;
  return needed.flatMap(([name, path]) =>
    path === null || !isMissing(path)
      ? []
      : `${name} ${JSON.stringify(path)} is not there yet, and nothing starts without it`,
  );
}

function isMissing(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (failure) {
    return failure instanceof Error && "code" in failure && failure.code === "ENOENT";
  }
}
