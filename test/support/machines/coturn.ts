/** A real TURN server, coturn as Debian has it, as a process of a test's own on the loopback. */
import { existsSync } from "node:fs";
import { type Launched, launch } from "../relays/relay.ts";
import type { Files } from "./certificates.ts";
import { newFolder } from "./folder.ts";
import { freePort } from "./free-port.ts";

export const COTURN = "/usr/bin/turnserver";

export function hasCoturn(): boolean {
  return existsSync(COTURN);
}

export interface Coturn extends AsyncDisposable {
  /** By transport, as --turn-url takes them. */
  readonly urls: Readonly<Record<"udp" | "tcp" | "tls", string>>;
  readonly stunUrl: string;
  /** What it has logged. */
  log(): string;
}

/**
 * @param secrets each of them signs credentials that it takes; without one it asks for no credential
 * @param files its certificate, which is for 127.0.0.1
 * @param more further lines of its configuration
 */
export async function startCoturn(
  secrets: readonly string[],
  files: Files,
  more: readonly string[] = [],
): Promise<Coturn> {
  const folder = await newFolder();
  const [port, tlsPort, first] = [freePort(), freePort(), freePort()];
  const lines = [
    ...["listening-ip=127.0.0.1", "relay-ip=127.0.0.1", `listening-port=${port}`, `tls-listening-port=${tlsPort}`],
    ...[`min-port=${first}`, `max-port=${first + 50}`, "realm=turn.test"],
    secrets.length > 0 ? "use-auth-secret" : "no-auth",
    ...secrets.map((secret) => `static-auth-secret=${secret}`),
    ...[
      `cert=${files.certFile}`,
      `pkey=${files.keyFile}`,
      `userdb=${folder.file("db")}`,
      `pidfile=${folder.file("pid")}`,
    ],
    ...["no-cli", "allow-loopback-peers", "verbose", "log-file=stdout", "new-log-timestamp", ...more],
  ];
  let launched: Launched;
  try {
    const config = await folder.write("turnserver.conf", `${lines.join("\n")}\n`);
    launched = await launch([COTURN, "-c", config], /SQLite DB connection success/);
  } catch (failure) {
    await folder[Symbol.asyncDispose]();
    throw failure;
  }
  return {
    urls: {
      udp: `turn:127.0.0.1:${port}?transport=udp`,
      tcp: `turn:127.0.0.1:${port}?transport=tcp`,
      tls: `turns:127.0.0.1:${tlsPort}?transport=tcp`,
    },
    stunUrl: `stun:127.0.0.1:${port}`,
    log: () => launched.stdout.text,
    async [Symbol.asyncDispose]() {
      await launched[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
