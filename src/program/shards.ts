/**
 * How a balancer spreads sessions over relays that know nothing of each other: by the three hexadecimal digits that a
 * client puts into its URL, so that both peers come to the same one (docs/OPERATIONS.md, "More than one machine"). Pure.
 */
import { ConfigError } from "./options.ts";

/** A relay among several, as a balancer reaches it. */
export interface Node {
  /** HOST:PORT. */
  readonly address: string;
  readonly isTls: boolean;
  /** Made of the address alone, so that balancers which list other nodes, or in another order, still agree on this one. */
  readonly id: number;
}

const PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };
/** What stands in a balancer's configuration as it is: a name, an address, or one of IPv6 in brackets. */
const HOST = /^([\w.-]+|\[[\da-f:.]+\])$/;
/** HAProxy's own bound for the number of a server. */
const MOST_ID = 0x7fffffff;

/**
 * @param urls such as http://10.0.0.1:8000, as they were given
 * @returns the nodes in an order that does not depend on that in which they were given
 * @throws ConfigError for what is no such URL, and where two are one or speak differently
 */
export function readNodes(urls: readonly string[]): Node[] {
  const nodes = urls.map(readNode).sort((a, b) => a.id - b.id);
  nodes.forEach(({ address, isTls, id }, i) => {
    const next = nodes[i + 1];
    if (next?.address === address) throw new ConfigError(`--node ${JSON.stringify(address)} is given twice`);
    if (next && next.isTls !== isTls) throw new ConfigError("--node is either http:// for all or https:// for all");
    if (next?.id === id)
      throw new ConfigError(`--node ${JSON.stringify(address)} has another's number: use another port`);
  });
  return nodes;
}

function readNode(text: string): Node {
  const url = URL.parse(text);
  const port = url && (url.port || PORTS[url.protocol]);
  const isBare = url?.pathname === "/" && url.search + url.hash + url.username + url.password === "";
  if (!url || !port || port === "0" || !isBare || !HOST.test(url.hostname))
    throw new ConfigError(`--node ${JSON.stringify(text)} is not a URL such as http://10.0.0.1:8000`);
  const address = `${url.hostname}:${port}`;
  return { address, isTls: url.protocol === "https:", id: (Bun.hash.xxHash32(address) % MOST_ID) + 1 };
}

const UNHINTED = "A client that gives no digits: all such to one node, and to the next where that is gone.";
const VERIFIED = "Each node has a certificate for the public name, from an authority that this machine knows.";

/**
 * @param name the public name, which nodes with TLS have a certificate for
 * @param timeouts the lines of a backend that say how long it waits
 * @returns what chooses a backend, for the frontend, and the backends
 */
export function haproxyNodes(nodes: readonly Node[], name: string, timeouts: readonly string[]) {
  const isTls = nodes[0]?.isTls ?? false;
  const tls = isTls ? ` ssl verify required ca-file @system-ca sni str(${name}) verifyhost ${name}` : "";
  const reached = [
    ...timeouts,
    "    # A node that refuses a connection is passed over at once; one that is gone or drains, after two checks.",
    "    retries 2",
    "    option redispatch 1",
    "    # A machine that went without a word is noticed in 9 s, though nothing is sent.",
    "    option srvtcpka",
    ...["    srvtcpka-idle 5s", "    srvtcpka-intvl 2s", "    srvtcpka-cnt 2"],
    ...(isTls ? [`    # ${VERIFIED}`] : []),
  ];
  const servers = nodes.map(({ address, id }, i) => ({ name: `node${i + 1}`, at: `${address} id ${id}${tls}` }));
  return {
    choice: ["    use_backend unhinted unless { url_param(s) -m found }", "    default_backend relays"],
    backends: [
      "backend relays",
      "    balance url_param s",
      "    hash-type consistent sdbm avalanche",
      ...reached,
      "    option httpchk GET /health",
      "    default-server check inter 1s fall 2 rise 2",
      ...servers.map(({ name, at }) => `    server ${name} ${at}`),
      "",
      `# ${UNHINTED}`,
      "backend unhinted",
      ...reached,
      ...servers.map(({ name, at }, i) => `    server ${name} ${at} track relays/${name}${i === 0 ? "" : " backup"}`),
    ],
  };
}

/** What stands beside nginx's `server`, to which that leads as http://relays or https://relays. */
export function nginxNodes(nodes: readonly Node[]): string[] {
  return [
    `# ${UNHINTED}`,
    "map $arg_s $shard {",
    '    ""      unhinted;',
    "    default $arg_s;",
    "}",
    "",
    "upstream relays {",
    "    hash $shard consistent;",
    "    # max_fails=0: a node that was gone is asked again at once, and both peers with it.",
    ...nodes.map(({ address }) => `    server ${address} max_fails=0;`),
    "}",
  ];
}

/** What stands in nginx's `location` for nodes with TLS. */
export function nginxVerified(nodes: readonly Node[], name: string): string[] {
  if (!nodes[0]?.isTls) return [];
  return [
    `        # ${VERIFIED}`,
    "        proxy_ssl_verify on;",
    "        proxy_ssl_verify_depth 4;",
    "        proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;",
    "        proxy_ssl_server_name on;",
    `        proxy_ssl_name ${name};`,
  ];
}
