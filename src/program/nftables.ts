/**
 * The rules for the kernel's own filter that keep each stranger to what the relay's limits allow, where the relay can't
 * see it: connections that never become WebSockets, and bytes that are no messages. Pure: it returns text.
 */
import type { Cidr } from "../core/addresses.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./options.ts";

/** Who is over a limit shall hear it from the relay, which says when to come back: the kernel's limits are above. */
const MARGIN = 2;
/** As the relay counts: IPv4 by address, IPv6 by /64, of which one customer has many. */
const FAMILIES = [
  { type: "ipv4_addr", digit: 4, client: "ip saddr" },
  { type: "ipv6_addr", digit: 6, client: "ip6 saddr & ffff:ffff:ffff:ffff::" },
] as const;
const KIB = 1_024;

/**
 * @param isLocal whether the relay listens on this machine alone, for a proxy, whose port is then the one to guard
 * @throws ConfigError where there is no port that strangers reach
 */
export function nftables(config: Config, isLocal: boolean): string[] {
  const { port, maxPerAddress, connectRate, connectBurst, maxMessageBytes } = config;
  if (isLocal || port === 0)
    throw new ConfigError(
      `print nftables needs the port that strangers reach: --host ${JSON.stringify(config.host)} --port "${port}" is not; add those of the proxy, such as --host :: --port 443`,
    );
  const most = MARGIN * maxPerAddress;
  const opening = `limit rate over ${MARGIN * connectRate}/second burst ${MARGIN * connectBurst} packets`;
  const kib = (connections: number) => Math.ceil((connections * maxMessageBytes) / KIB);
  const sending = `limit rate over ${kib(connectRate)} kbytes/second burst ${kib(connectBurst)} kbytes`;
  return [
    "#!/usr/sbin/nft -f",
    "# As `whisper-signaling print nftables` writes it for these options: print it again when they change. Load it with",
    "# nft -f, at each start of the machine before the relay. It guards the port on this machine: for a port that Docker",
    "# passes on to a container, put the chain on the hook forward.",
    "table inet whisper_signaling",
    "delete table inet whisper_signaling",
    "table inet whisper_signaling {",
    ...FAMILIES.flatMap(({ type, digit }) => [
      `\tset open${digit} { type ${type}; size 65535; flags dynamic; }`,
      `\tset opening${digit} { type ${type}; size 65535; flags dynamic, timeout; timeout 1m; }`,
      `\tset sending${digit} { type ${type}; size 65535; flags dynamic, timeout; timeout 1m; }`,
    ]),
    "\tchain input {",
    "\t\ttype filter hook input priority filter; policy accept;",
    `\t\ttcp dport != ${port} accept`,
    '\t\tiifname "lo" accept',
    ...[...config.trustProxy, ...config.exempt].map((range) => `\t\t${written(range)} accept`),
    "\t\t# New connections. Who is refused one by the relay makes it all the same.",
    ...FAMILIES.map(({ digit, client }) => `\t\tct state new update @opening${digit} { ${client} ${opening} } drop`),
    "\t\t# Connections at once, whatever they are: a request head that never ends lives for 10 s.",
    ...FAMILIES.map(
      ({ digit, client }) =>
        `\t\tct state new add @open${digit} { ${client} ct count over ${most} } reject with tcp reset`,
    ),
    "\t\t# Bytes: a whole message of the largest size for each new connection. What is dropped comes again, more slowly.",
    ...FAMILIES.map(({ digit, client }) => `\t\tupdate @sending${digit} { ${client} ${sending} } drop`),
    "\t}",
    "}",
  ];
}

/** A range as a rule names it. */
function written({ address, bits }: Cidr): string {
  const groups = address.toString(16).padStart(32, "0").match(/.{4}/g) ?? [];
  const isV4 = bits >= 96 && address >> 32n === 0xffffn;
  const bytes = Buffer.from(groups.slice(6).join(""), "hex");
  return isV4 ? `ip saddr ${bytes.join(".")}/${bits - 96}` : `ip6 saddr ${groups.join(":")}/${bits}`;
}
