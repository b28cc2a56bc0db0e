/**
 * What stands around a relay, written to fit its options: a systemd unit, the block of a proxy in front of it, or the
 * kernel's filter. Pure:
 * it reads the options and returns text; nothing here knows whether such a program is installed.
 */

import { type Config, OPTIONS, openFilesFor } from "./config.ts";
import { FIRST_FREE_PORT } from "./failure.ts";
import { isLoopback, localHosts, localSource } from "./hosts.ts";
import { nftables } from "./nftables.ts";
import { ConfigError, type OptionTable } from "./options.ts";

const WRITERS = {
  systemd,
  caddy,
  nginx,
  haproxy,
  nftables: (config: Config) => nftables(config, isLoopback(config.host)),
} as const;

/** Where the unit expects the binary. */
const BINARY = "/usr/local/bin/whisper-signaling";
/** Open files for a relay that was not told how many peers to take: far above what most need, far below the kernel's. */
const OPEN_FILES = 65_536;
/** How much longer than --drain systemd waits before it kills, in s. */
const STOP_MARGIN_S = 10;
/** No timeout of a proxy is below this, in s: a client's clock and its network have their own delays. */
const PROXY_IDLE_MIN_S = 60;

/**
 * @param what one of WRITERS
 * @param given the options that were set, by their names without dashes, as the operator wrote them
 * @throws ConfigError where there is no such writer, or the options leave open what it has to write
 */
export function printed(what: string | undefined, config: Config, given: Readonly<Record<string, string>>): string {
  const writer = new Map<string | undefined, (typeof WRITERS)[keyof typeof WRITERS]>(Object.entries(WRITERS)).get(what);
  if (writer === undefined)
    throw new ConfigError(`print ${JSON.stringify(what ?? "")} is not one of ${Object.keys(WRITERS).join(", ")}`);
  return `${writer(config, given).join("\n")}\n`;
}

function systemd(config: Config, given: Readonly<Record<string, string>>): string[] {
  const { drainMs, host, port, admin } = config;
  const isPrivileged = [port, admin?.port ?? 0].some((used) => used > 0 && used < FIRST_FREE_PORT);
  const isNear = config.cluster.every(({ path, host }) => path !== null || isLoopback(host));
  const isLocal = isLoopback(host) && (admin === null || isLoopback(admin.host)) && isNear;
  return [
    "# /etc/systemd/system/whisper-signaling.service, as `whisper-signaling print systemd` writes it for these options:",
    "# print it again when they change. It is written for systemd 247 and later.",
    "",
    "[Unit]",
    "Description=whisper-signaling, a WebSocket relay for WebRTC",
    "Wants=network-online.target",
    "After=network-online.target",
    "",
    "[Service]",
    "# Started as soon as it runs; from when on it listens is in its journal.",
    "Type=exec",
    `ExecStart=${[BINARY, ...flagsOf(given)].join(" \\\n  ")}`,
    ...credentials(given),
    "Restart=on-failure",
    "RestartSec=5",
    "# 2: an option is wrong. That does not mend itself.",
    "RestartPreventExitStatus=2",
    `# Above --drain (${drainMs / 1_000} s), or pairs would be cut off in the middle.`,
    `TimeoutStopSec=${Math.ceil(drainMs / 1_000) + STOP_MARGIN_S}`,
    "",
    "# One for each peer; the relay itself takes no more peers than nine tenths of it.",
    `LimitNOFILE=${Number(given["max-peers"] ?? 0) === 0 ? OPEN_FILES : openFilesFor(config.maxPeers)}`,
    "# What is in memory never reaches a disk: no core dump, no swap. Freed memory goes back to the system at once.",
    "LimitCORE=0",
    "MemorySwapMax=0",
    "Environment=MIMALLOC_PURGE_DELAY=0",
    "",
    "# A user that exists while the relay runs. It has a name so that a second unit, which takes the port over with",
    "# --reuse-port, is the same user: the kernel shares a port within one only.",
    "DynamicUser=yes",
    "User=whisper-signaling",
    ...(isPrivileged
      ? [
          `# For a port below ${FIRST_FREE_PORT}. PrivateUsers= would make it worth nothing, so it is not set.`,
          "AmbientCapabilities=CAP_NET_BIND_SERVICE",
          "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        ]
      : ["CapabilityBoundingSet=", "PrivateUsers=yes"]),
    "NoNewPrivileges=yes",
    "UMask=0077",
    "",
    "# It reads its own binary and libraries, and writes nothing.",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateMounts=yes",
    "PrivateDevices=yes",
    "DevicePolicy=closed",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    ...(admin === null
      ? ["ProcSubset=pid"]
      : ["# No ProcSubset=pid: of /proc/stat comes the time of its start, for its metrics."]),
    "KeyringMode=private",
    "RemoveIPC=yes",
    "",
    ...(config.cluster.length === 0
      ? ["# It listens, and talks to nobody but who connects.", "RestrictAddressFamilies=AF_INET AF_INET6"]
      : [
          "# It listens; and its helpers, which are locked apart from it, connect to the engines of --cluster.",
          "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        ]),
    ...(isLocal
      ? ["# It listens on this machine alone, for a proxy.", "IPAddressDeny=any", "IPAddressAllow=localhost"]
      : []),
    "",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "# What services use, without what takes privileges or moves priorities, and what the relay locks itself down with. A",
    "# refused call is an error, not an end.",
    "SystemCallFilter=@system-service seccomp",
    "SystemCallFilter=~@privileged @resources @keyring @memlock @aio",
    "SystemCallErrorNumber=EPERM",
    "# No MemoryDenyWriteExecute=yes: JavaScript is compiled to machine code in memory, and the relay would not start.",
    "",
    "[Install]",
    "WantedBy=multi-user.target",
  ];
}

/** The options as the unit's command line has them; files become the unit's credentials. */
export function flagsOf(given: Readonly<Record<string, string>>, table: OptionTable = OPTIONS): string[] {
  const files = filesIn(given, table);
  return Object.entries(given).map(([name, value]) =>
    name in files ? `--${name}=\${CREDENTIALS_DIRECTORY}/${name}` : quoted(`--${name}=${value}`),
  );
}

/** The options that name a file to be read at the start. */
function filesIn(given: Readonly<Record<string, string>>, table: OptionTable): Record<string, string> {
  const flags = Object.values(table).flatMap(({ flag, kind }) =>
    kind === "file" || kind === "secret-file" ? [flag.slice(2)] : [],
  );
  return Object.fromEntries(Object.entries(given).filter(([name, value]) => flags.includes(name) && value !== "off"));
}

/** A word of a command line in a unit: % and $ stand for themselves, and white space does not end it. */
function quoted(word: string): string {
  const plain = word.replaceAll(/[\\"]/g, "\\$&").replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /[\s"'\\;]/.test(plain) ? `"${plain}"` : plain;
}

/** Of a secret, too, only where its file is. */
export function credentials(given: Readonly<Record<string, string>>, table: OptionTable = OPTIONS): string[] {
  const lines = Object.entries(filesIn(given, table)).map(([name, path]) => {
    if (!path.startsWith("/") || /[\n\r]/.test(path))
      throw new ConfigError(`--${name} ${JSON.stringify(path)} is not a full path, which a unit needs`);
    return `LoadCredential=${name}:${path.replaceAll("%", "%%")}`;
  });
  if (lines.length === 0) return [];
  return ["# root reads them at the start, for the relay may not: restart it when one of them changes.", ...lines];
}

/** What the blocks of all proxies have in common. */
function seenBy(config: Config): { upstream: string; isTls: boolean; idleS: number; hints: string[] } {
  const { host, port, tlsCert, pingIntervalMs } = config;
  if (port === 0) throw new ConfigError('--port "0" is not a port that a proxy could be told');
  const upstream = `${localHosts(host)[0]}:${port}`;
  const proxy = localSource(host) ?? "and the address that this proxy connects from";
  const hints = [`# Start the relay with --trust-proxy ${proxy}, or all clients count as one.`];
  if (!isLoopback(host)) hints.push("# Start it with --host 127.0.0.1 too, so that nobody gets around the proxy.");
  const idleS = Math.max(PROXY_IDLE_MIN_S, Math.ceil((3 * pingIntervalMs) / 1_000));
  return { upstream, isTls: tlsCert !== null, idleS, hints };
}

const TLS_HINT = "The relay speaks TLS itself. Its certificate is not verified: it is this machine's own.";

function nginx(config: Config): string[] {
  const { upstream, isTls, idleS, hints } = seenBy(config);
  return [
    ...hints,
    "# nginx needs two connections for each peer: raise worker_connections to more than twice the peers you expect.",
    "map $http_upgrade $connection_upgrade {",
    "    default upgrade;",
    '    ""      close;',
    "}",
    "",
    "server {",
    "    listen 443 ssl;",
    "    listen [::]:443 ssl;",
    "    server_name relay.example.org;",
    "    ssl_certificate     /etc/ssl/relay/cert.pem;",
    "    ssl_certificate_key /etc/ssl/relay/key.pem;",
    "    # Both logs would hold addresses.",
    "    access_log off;",
    "    error_log /dev/null crit;",
    "",
    "    location / {",
    ...(isTls ? [`        # ${TLS_HINT}`] : []),
    `        proxy_pass ${isTls ? "https" : "http"}://${upstream};`,
    "        proxy_http_version 1.1;",
    "        proxy_set_header Host $host;",
    "        proxy_set_header Upgrade $http_upgrade;",
    "        proxy_set_header Connection $connection_upgrade;",
    "        # Replaced, not appended to: whatever the client claims is gone.",
    "        proxy_set_header X-Forwarded-For $remote_addr;",
    "        # Well above --ping-interval.",
    `        proxy_read_timeout ${idleS}s;`,
    `        proxy_send_timeout ${idleS}s;`,
    "    }",
    "}",
  ];
}

function caddy(config: Config): string[] {
  const { upstream, isTls, hints } = seenBy(config);
  return [
    ...hints,
    "# Caddy writes no access log unless told to, gets its certificate by itself, and cuts no open WebSocket, however",
    "# long it is silent. It replaces X-Forwarded-For, unless its own option trusted_proxies says otherwise.",
    "{",
    "\tlog {",
    "\t\t# What fails would be logged with the client's address.",
    "\t\texclude http.log.error http.handlers.reverse_proxy",
    "\t}",
    "}",
    "",
    "relay.example.org {",
    ...(isTls
      ? [
          `\treverse_proxy https://${upstream} {`,
          `\t\t# ${TLS_HINT}`,
          "\t\ttransport http {",
          "\t\t\ttls_insecure_skip_verify",
          "\t\t}",
          "\t}",
        ]
      : [`\treverse_proxy ${upstream}`]),
    "}",
  ];
}

function haproxy(config: Config): string[] {
  const { upstream, isTls, idleS, hints } = seenBy(config);
  return [
    ...hints,
    "frontend relay",
    "    mode http",
    "    # Certificate and key in one file.",
    "    bind :443 ssl crt /etc/ssl/relay/both.pem",
    "    bind :::443 v6only ssl crt /etc/ssl/relay/both.pem",
    "    # A log would hold addresses.",
    "    no log",
    "    # Replaced, not appended to: whatever the client claims is gone.",
    "    http-request set-header X-Forwarded-For %[src]",
    "    timeout http-request 10s",
    `    timeout client ${idleS}s`,
    "    default_backend relay",
    "",
    "backend relay",
    "    mode http",
    "    no log",
    "    timeout connect 5s",
    `    timeout server ${idleS}s`,
    "    # For an open WebSocket: well above --ping-interval.",
    `    timeout tunnel ${idleS}s`,
    ...(isTls ? [`    # ${TLS_HINT}`] : []),
    `    server relay ${upstream}${isTls ? " ssl verify none" : ""}`,
  ];
}
