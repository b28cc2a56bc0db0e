/**
 * What stands around a relay, written to fit its options: a systemd unit, the block of a proxy in front of it, the
 * kernel's filter, or the hashes of the scripts that it serves. It returns text; nothing here knows whether such a
 * program is installed. Of the machine it asks only whether the files that are named are there.
 */
import { statSync } from "node:fs";
import { version } from "../../package.json" with { type: "json" };
import type { Asked } from "./commands.ts";
import { ITSELF } from "./completions.ts";
import { AROUND, RELAY } from "./help.ts";
import { isLoopback } from "./hosts.ts";
import { integrityOf } from "./library.ts";
import { nftables } from "./nftables.ts";
import { ConfigError } from "./options.ts";
import { caddy, haproxy, nginx } from "./proxies.ts";
import { filesIn, systemd, template } from "./unit.ts";

const WRITERS: Record<(typeof AROUND)[number], (asked: Asked) => string[]> = {
  systemd,
  "systemd@": template,
  caddy,
  nginx,
  haproxy,
  nftables: ({ config }) => nftables(config, isLoopback(config.host)),
  integrity,
};
const UNITS: readonly (string | undefined)[] = ["systemd", "systemd@"];

/**
 * @param what one of WRITERS or of ITSELF
 * @throws ConfigError where there is no such writer, or the options leave open what it has to write
 */
export function printed(what: string | undefined, asked: Asked): string {
  const [, itself] = Object.entries(ITSELF).find(([name]) => name === what) ?? [];
  if (itself !== undefined) return itself(RELAY, version);
  const [, writer] = Object.entries(WRITERS).find(([name]) => name === what) ?? [];
  if (writer !== undefined) return `${writer(asked).join("\n")}\n`;
  const all = [...AROUND, ...Object.keys(ITSELF)].join(", ");
  throw new ConfigError(`print ${JSON.stringify(what ?? "")} is not one of ${all}`);
}

/** A line for each script, as sha384sum writes them, but in the form that browsers take. */
function integrity({ library }: Asked): string[] {
  return [...library].map(([path, text]) => {
    if (text === null) throw new ConfigError(`print "integrity" finds no ${path}: bun run build:client makes it`);
    return `${integrityOf(text)}  ${path}`;
  });
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
