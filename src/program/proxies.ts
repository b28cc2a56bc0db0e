/** The blocks for proxies in front of a relay, written to fit its options and to be run as they are. Pure. */
import type { Asked } from "./commands.ts";
import { isLoopback, localHosts, localSource } from "./hosts.ts";
import { ConfigError } from "./options.ts";
import { haproxyNodes, type Node, nginxNodes, nginxVerified, readNodes } from "./shards.ts";

/** No timeout of a proxy is below this, in s: a client's clock and its network have their own delays. */
const PROXY_IDLE_MIN_S = 60;
/** What stands in a block as it is: a path that none of the three languages reads as more. */
const FULL_PATH = /^\/[^\s"'`\\{}$;#]+$/;

/** What the blocks of all proxies have in common. */
function seenBy({ config, options, nameOf }: Asked): {
  upstream: string;
  name: string;
  isTls: boolean;
  idleS: number;
  hints: string[];
  nodes: readonly Node[];
} {
  const { host, port, tlsCert, pingIntervalMs } = config;
  const nodes = readNodes(options.nodes);
  if (port === 0 && nodes.length === 0)
    throw new ConfigError(`${nameOf("--port")} "0" is not a port that a proxy could be told`);
  const { name, cert, key } = options;
  for (const [flag, path] of [["--cert", cert] as const, ["--key", key] as const])
    if (path !== null && !FULL_PATH.test(path))
      throw new ConfigError(
        `${flag} ${JSON.stringify(path)} is not a full path, without white space, quotes and the like`,
      );
  const upstream = `${localHosts(host)[0]}:${port}`;
  const proxy = localSource(host) ?? "and the address that this proxy connects from";
  const idleS = Math.max(PROXY_IDLE_MIN_S, Math.ceil((3 * pingIntervalMs) / 1_000));
  if (nodes.length > 0)
    return { upstream: "relays", name, isTls: nodes[0]?.isTls ?? false, idleS, hints: NODE_HINTS, nodes };
  const hints = [`# Start the relay with --trust-proxy ${proxy}, or all clients count as one.`];
  if (!isLoopback(host)) hints.push("# Start it with --host 127.0.0.1 too, so that nobody gets around the proxy.");
  return { upstream, name, isTls: tlsCert !== null, idleS, hints, nodes };
}

const NODE_HINTS = [
  "# Start each relay with --trust-proxy and the address that this balancer connects from, or all clients count as one; and",
  "# with --reuse-port, so that one that drains is passed over at once.",
];

/** Certificate and key of a proxy that has them in two files. */
function together({ options: { cert, key } }: Asked): { cert: string | null; key: string | null } {
  if ((cert === null) !== (key === null)) throw new ConfigError("--cert and --key are given together or not at all");
  return { cert, key };
}

const TLS_HINT = "The relay speaks TLS itself. Its certificate is not verified: it is this machine's own.";

export function nginx(asked: Asked): string[] {
  const { upstream, name, isTls, idleS, hints, nodes } = seenBy(asked);
  const { cert, key } = together(asked);
  return [
    ...hints,
    "# nginx needs two connections for each peer: raise worker_connections to more than twice the peers you expect.",
    "map $http_upgrade $connection_upgrade {",
    "    default upgrade;",
    '    ""      close;',
    "}",
    "",
    ...(nodes.length > 0 ? [...nginxNodes(nodes), ""] : []),
    "server {",
    "    listen 443 ssl;",
    "    listen [::]:443 ssl;",
    `    server_name ${name};`,
    `    ssl_certificate     ${cert ?? "/etc/ssl/relay/cert.pem"};`,
    `    ssl_certificate_key ${key ?? "/etc/ssl/relay/key.pem"};`,
    "    # Both logs would hold addresses.",
    "    access_log off;",
    "    error_log /dev/null crit;",
    "",
    "    location / {",
    ...(nodes.length > 0
      ? [
          "        # For a machine that is gone without a word.",
          "        proxy_connect_timeout 2s;",
          ...nginxVerified(nodes, name),
        ]
      : isTls
        ? [`        # ${TLS_HINT}`]
        : []),
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

export function caddy(asked: Asked): string[] {
  const { upstream, name, isTls, hints, nodes } = seenBy(asked);
  const { cert, key } = together(asked);
  if (nodes.length > 0) throw new ConfigError("print caddy takes no --node: haproxy and nginx do");
  return [
    ...hints,
    `# Caddy writes no access log unless told to${cert === null ? ", gets its certificate by itself" : ""}, and cuts no open WebSocket, however`,
    "# long it is silent. It replaces X-Forwarded-For, unless its own option trusted_proxies says otherwise.",
    "{",
    "\tlog {",
    "\t\t# What fails would be logged with the client's address.",
    "\t\texclude http.log.error http.handlers.reverse_proxy",
    "\t}",
    "}",
    "",
    `${name} {`,
    ...(cert === null ? [] : [`\ttls ${cert} ${key}`]),
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

export function haproxy(asked: Asked): string[] {
  const { upstream, name, isTls, idleS, hints, nodes } = seenBy(asked);
  const { cert, key } = asked.options;
  if (key !== null)
    throw new ConfigError(
      "print haproxy takes no --key: HAProxy reads certificate and key from one file, named by --cert",
    );
  const file = cert ?? "/etc/ssl/relay/both.pem";
  const timeouts = [
    ...["    mode http", "    no log"],
    `    timeout connect ${nodes.length > 0 ? 2 : 5}s`,
    `    timeout server ${idleS}s`,
    "    # For an open WebSocket: well above --ping-interval.",
    `    timeout tunnel ${idleS}s`,
  ];
  const spread = nodes.length > 0 ? haproxyNodes(nodes, name, timeouts) : null;
  return [
    ...hints,
    "frontend relay",
    "    mode http",
    "    # Certificate and key in one file.",
    `    bind :443 ssl crt ${file}`,
    `    bind :::443 v6only ssl crt ${file}`,
    "    # A log would hold addresses.",
    "    no log",
    "    # Replaced, not appended to: whatever the client claims is gone.",
    "    http-request set-header X-Forwarded-For %[src]",
    "    timeout http-request 10s",
    `    timeout client ${idleS}s`,
    ...(spread?.choice ?? ["    default_backend relay"]),
    "",
    ...(spread?.backends ?? [
      "backend relay",
      ...timeouts,
      ...(isTls ? [`    # ${TLS_HINT}`] : []),
      `    server relay ${upstream}${isTls ? " ssl verify none" : ""}`,
    ]),
  ];
}
