/** The systemd unit, written to fit a relay's options: what it starts, what it takes away, and when it starts again. Pure. */
import { isIP } from "node:net";
import type { Asked } from "./commands.ts";
import { OPEN_FILES, OPTIONS, openFilesFor } from "./config.ts";
import { FIRST_FREE_PORT, INCURABLE } from "./failure.ts";
import { isLoopback } from "./hosts.ts";
import { ConfigError, type NameOf, type OptionTable } from "./options.ts";

/** Where a unit may find the binary: where packages put it, or where docs/OPERATIONS.md does. */
const INSTALLED = ["/usr/bin/whisper-signaling", "/usr/local/bin/whisper-signaling"] as const;
/** How much longer than --drain systemd waits before it kills, in s. */
const STOP_MARGIN_S = 10;
/** With what systemd ends a start for which LoadCredential= found no file (systemd.exec(5)). */
const NO_CREDENTIALS = 243;

/** By which the helper of --cluster confines itself. */
const LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self";

/** A unit for one relay. */
export function systemd(asked: Asked): string[] {
  return unit(asked, flagsOf(asked.given), "whisper-signaling.service", []);
}

/**
 * A unit of which two instances take turns on one port. Each is named after the port of its listener for the operator,
 * which can't be shared.
 * @throws ConfigError where the options don't let two of them run
 */
export function template(asked: Asked): string[] {
  const { admin, reusePort } = asked.config;
  if (!reusePort || admin === null)
    throw new ConfigError(
      "print systemd@ needs --reuse-port, by which two instances share the port, and --admin HOST:PORT, whose port is an instance's name",
    );
  const flags = flagsOf(asked.given).map((flag) => (flag.startsWith("--admin=") ? flag.replace(/\d+$/, "%i") : flag));
  return unit(asked, flags, "whisper-signaling@.service", [
    "# Two instances take turns, each named after the port of its --admin: whisper-signaling@9001, whisper-signaling@9002.",
    "# deploy/renew-hook.sh hands over from the one that runs to the other.",
  ]);
}

function unit(
  { config, given, nameOf, path }: Asked,
  flags: readonly string[],
  file: string,
  comment: string[],
): string[] {
  const { drainMs, host, port, admin } = config;
  const needed = Object.entries(filesIn(given));
  const binary = INSTALLED.find((installed) => installed === path) ?? INSTALLED[1];
  const isPrivileged = [port, admin?.port ?? 0].some((used) => used > 0 && used < FIRST_FREE_PORT);
  const engines = config.cluster.flatMap((one) => (one.path !== null || isLoopback(one.host) ? [] : [one.host]));
  const isLocal =
    [host, ...(admin ? [admin.host] : [])].every(isLoopback) && engines.every((engine) => isIP(engine) !== 0);
  return [
    `# /etc/systemd/system/${file}, as \`whisper-signaling print ${file.includes("@") ? "systemd@" : "systemd"}\` writes it for these options:`,
    "# print it again when they change. It is written for systemd 247 and later.",
    ...comment,
    "",
    "[Unit]",
    "Description=whisper-signaling, a WebSocket relay for WebRTC",
    "Wants=network-online.target",
    "After=network-online.target",
    ...needed.flatMap(([name, file]) => [
      `# ${nameOf(`--${name}`)}: without this file there is no start, and \`systemctl status\` names it.`,
      `AssertPathExists=${file.replaceAll("%", "%%")}`,
    ]),
    "",
    "[Service]",
    "# Started once it says that it listens; where it can't, `systemctl start` fails.",
    "Type=notify",
    "NotifyAccess=main",
    `ExecStart=${[binary, ...flags].join(" \\\n  ")}`,
    ...credentials(given, OPTIONS, nameOf),
    "Restart=on-failure",
    "RestartSec=5",
    "# What another start would not mend: an option or a file is wrong, the address is not this machine's, the sandbox can't",
    `# be had, and ${NO_CREDENTIALS}, which is systemd's own: a file to be handed over can't be read.`,
    `RestartPreventExitStatus=${[...INCURABLE, NO_CREDENTIALS].join(" ")}`,
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
    "# It listens, and talks to nobody but who connects; to systemd, by AF_UNIX, it says that it is ready.",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    ...(isLocal
      ? [
          `# It listens on this machine alone, for a proxy${engines.length > 0 ? ", and calls its engine" : ""}.`,
          "IPAddressDeny=any",
          `IPAddressAllow=${["localhost", ...engines].join(" ")}`,
        ]
      : []),
    "",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "# What services use, without what takes privileges or moves priorities, and what the relay locks itself down with. A",
    "# refused call is an error, not an end.",
    `SystemCallFilter=@system-service seccomp${config.cluster.length > 0 ? ` ${LANDLOCK}` : ""}`,
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
export function filesIn(given: Readonly<Record<string, string>>, table: OptionTable = OPTIONS): Record<string, string> {
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
export function credentials(
  given: Readonly<Record<string, string>>,
  table: OptionTable = OPTIONS,
  nameOf: NameOf = (flag) => flag,
): string[] {
  const lines = Object.entries(filesIn(given, table)).map(([name, path]) => {
    if (!path.startsWith("/") || /[\n\r]/.test(path))
      throw new ConfigError(`${nameOf(`--${name}`)} ${JSON.stringify(path)} is not a full path, which a unit needs`);
    return `LoadCredential=${name}:${path.replaceAll("%", "%%")}`;
  });
  if (lines.length === 0) return [];
  return ["# root reads them at the start, for the relay may not: restart it when one of them changes.", ...lines];
}
