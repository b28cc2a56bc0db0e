/**
 * A day of an operator's on a booted Debian: the package is installed, upgraded and removed, the commands of
 * docs/OPERATIONS.md are pasted as they stand, and relays are restarted under pairs and under load. Skipped where no
 * machine can be booted; that something is not installed is no reason under CI.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFile, cp, mkdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { KINDS, packing } from "../../release/packages.ts";
import { Booted, makeTree, whatIsMissing, whyNoMachine } from "../support/machines/booted.ts";
import { type Folder, newFolder } from "../support/machines/folder.ts";
import { blocksBelow, commandsIn } from "../support/machines/pasted.ts";
import { ROOT, run } from "../support/relays/relay.ts";

const { version: VERSION } = packageJson;
const OLD = "0.0.9";
const CHECK = "whisper-signaling check --host 127.0.0.1";
const PROGRAMS = ["whisper-signaling", "whisper-load"];
/** What of the documents needs the world outside: a public name, Fedora's mirrors. */
const OUTSIDE = /^(certbot|dnf) /m;

const why = whyNoMachine() ?? (process.env["CI"] ? null : whatIsMissing());
if (why !== null) console.warn(`install.long.ts is skipped: ${why}`);

let folder: Folder;
let text: string;
/** The files of the packages, by kind and version. */
const files = new Map<string, string>();

/** What the machine is given in /media: the packages, and a folder as an operator has it who downloaded the binaries. */
const media = () => folder.file("media");
const boot = () => Booted.create(folder.file("tree"), media());

beforeAll(async () => {
  if (why !== null) return;
  folder = await newFolder();
  await mkdir(media());
  const made = makeTree(folder.file("tree"));
  text = await readFile(resolve(ROOT, "docs/OPERATIONS.md"), "utf8");
  const binaries = Object.fromEntries(PROGRAMS.map((name) => [name, resolve(ROOT, "dist", name)]));
  for (const [name, path] of Object.entries(binaries)) await copyFile(path, join(media(), name));
  await cp(resolve(ROOT, "deploy"), join(media(), "deploy"), { recursive: true });
  for (const kind of KINDS)
    for (const version of [OLD, VERSION]) {
      const file = kind.fileName(kind.arch[process.arch] ?? "", version);
      const scratch = folder.file(`scratch-${kind.suffix}-${version}`);
      const { command, env } = await packing(kind, process.arch, binaries, join(media(), file), scratch, version);
      const packed = await run(command, env);
      if (packed.exitCode !== 0) throw new Error(`${file}: ${packed.stdout}${packed.stderr}`);
      await rm(scratch, { recursive: true });
      files.set(`${kind.suffix} ${version}`, `./${file}`);
    }
  await made;
}, 600_000);

afterAll(() => folder?.[Symbol.asyncDispose]());

/** What whisper-load counts in the machine while something is done, as its --json says. */
async function loadWhile(machine: Booted, load: string, act: () => Promise<unknown>) {
  const loaded = machine.run(`/media/whisper-load ${load} --json /root/load.json; true`);
  await machine.do("until ss -Htn state established '( sport = :8000 )' | grep -q .; do sleep 0.1; done; sleep 2");
  await act();
  await loaded;
  return JSON.parse(await machine.do("cat /root/load.json"));
}

/** The figures of a run, and how its peers failed. */
function tell(
  what: string,
  { counts, errors }: { counts: Record<string, number>; errors: Record<string, { count: number }> },
) {
  const failed = Object.entries(errors).map(([name, { count }]) => `${name} ${count}`);
  console.info(`${what}: ${counts["done"]} done, ${counts["dropped"]} dropped; ${failed.join(", ") || "no failures"}`);
}

/** Pastes blocks one after the other. Returns how many commands ran, of how many there are. */
async function paste(machine: Booted, blocks: readonly string[]): Promise<{ ran: number; all: number }> {
  const counts = { ran: 0, all: 0 };
  for (const block of blocks) {
    counts.all += commandsIn(block);
    if (OUTSIDE.test(block)) continue;
    await machine.do(block, "/root/pasted");
    counts.ran += commandsIn(block);
  }
  return counts;
}

describe.skipIf(why !== null)("on a booted Debian", () => {
  test("the .deb is installed, upgraded, restarted and removed, and the relay answers in between", async () => {
    await using machine = await boot();
    const since = performance.now();
    await machine.do(`apt-get install -y ${files.get(`deb ${OLD}`)} >/dev/null`, "/media");
    await machine.do(CHECK);
    console.info(`${Math.round(performance.now() - since)} ms from apt install to a check that is green`);
    expect(await machine.do("dpkg-query -W whisper-signaling")).toBe(`whisper-signaling\t${OLD}-1\n`);
    const before = await machine.do("systemctl show -P MainPID whisper-signaling");
    expect(await machine.do(`stat -c %U /proc/${before.trim()}`)).toBe("whisper-signaling\n");
    expect(await machine.do("systemctl is-enabled whisper-signaling")).toBe("enabled\n");
    for (const program of PROGRAMS)
      expect(await machine.do(`${program} --version`)).toStartWith(`${program} ${VERSION}`);
    await machine.do(
      "cmp /usr/lib/systemd/system/whisper-signaling.service <(whisper-signaling print systemd \
      --host 127.0.0.1 --admin 127.0.0.1:9000 --trust-proxy 127.0.0.1)",
    );

    await machine.do(`apt-get install -y ${files.get(`deb ${VERSION}`)} >/dev/null`, "/media");
    await machine.do(CHECK);
    expect(await machine.do("systemctl show -P MainPID whisper-signaling")).not.toBe(before);

    await machine.do("apt-get remove -y whisper-signaling >/dev/null");
    expect(await machine.do("systemctl is-active whisper-signaling || true")).toBe("inactive\n");
    await machine.do("apt-get purge -y whisper-signaling >/dev/null");
    expect(
      await machine.do("find / -xdev -name '*whisper*' -not -path '/proc/*' -not -path '/media/*' -not -path '/run/*'"),
    ).toBe("");
    await machine.do(`apt-get install -y ${files.get(`deb ${VERSION}`)} >/dev/null`, "/media");
    await machine.do(CHECK);
  });

  test("the .rpm is installed, upgraded and removed", async () => {
    await using machine = await boot();
    // Debian's packages are not in rpm's database, so what it requires can't be found there.
    await machine.do(`rpm -i --nodeps ${files.get(`rpm ${OLD}`)}`, "/media");
    await machine.do(`systemctl enable --now whisper-signaling; ${CHECK}`);
    const before = await machine.do("systemctl show -P MainPID whisper-signaling");
    await machine.do(
      `rpm -U --nodeps ${files.get(`rpm ${VERSION}`)}; ${CHECK}; rpm -V --nodeps whisper-signaling`,
      "/media",
    );
    expect(await machine.do("systemctl show -P MainPID whisper-signaling")).not.toBe(before);
    await machine.do("rpm -e whisper-signaling");
    expect(await machine.do("systemctl is-active whisper-signaling || true")).toBe("inactive\n");
    expect(await machine.do("ls /usr/bin | grep whisper || true")).toBe("");
  });

  test("a restart and a hand-over cut no pair, and a hand-over leaves no newcomer without a listener", async () => {
    await using machine = await boot();
    await machine.do(`apt-get install -y ${files.get(`deb ${VERSION}`)} >/dev/null`, "/media");
    const url = "ws://127.0.0.1:8000";
    const restart = () => machine.do("systemctl restart whisper-signaling");
    const held = await loadWhile(machine, `hold ${url} --pairs 50 --concurrency 10 --duration 10s`, restart);
    tell("restart under 50 pairs", held);
    expect(held.counts.dropped).toBe(0);
    const restarted = await loadWhile(machine, `handshake ${url} --rate 5 --duration 10s`, restart);
    tell("restart under 5 sessions a second", restarted);

    const [change = "", ...rest] = blocksBelow(text, "## Upgrades").slice(1);
    await machine.do("mkdir -p /root/pasted; cp -r /usr/share/whisper-signaling /root/pasted/deploy");
    await machine.do(change, "/root/pasted");
    const handOver = () => machine.do("/usr/local/lib/whisper-signaling/renew-hook.sh");
    const kept = await loadWhile(machine, `hold ${url} --pairs 50 --concurrency 10 --duration 10s`, handOver);
    tell("handed over under 50 pairs", kept);
    expect(kept.counts.dropped).toBe(0);
    expect(Object.keys(kept.errors)).not.toContain("connect:ECONNREFUSED");
    const handed = await loadWhile(machine, `handshake ${url} --rate 5 --duration 10s`, handOver);
    tell("handed over under 5 sessions a second", handed);
    expect(Object.keys(handed.errors)).not.toContain("connect:ECONNREFUSED");
    expect(rest.length).toBe(1);
  });

  test("what docs/OPERATIONS.md says of installing and upgrading can be pasted, behind a proxy", async () => {
    await using machine = await boot();
    await machine.do("cp -r /media /root/pasted");
    await certify(machine, "/etc/ssl/relay", "cert.pem", "key.pem");
    const [unit = "", proxy = "", , sysctl = ""] = blocksBelow(text, "### The binary with systemd");
    const blocks = [
      ...blocksBelow(text, "### From a package"),
      unit,
      proxy,
      sysctl,
      ...blocksBelow(text, "## Upgrades"),
    ];
    const { ran, all } = await paste(machine, blocks);
    console.info(`behind a proxy: ${ran} of ${all} commands ran as written`);
    await machine.do("curl --fail --silent --insecure https://127.0.0.1/health");
    expect(await machine.do("systemctl list-units --plain --no-legend --state=active 'whisper-signaling*'")).toMatch(
      /^whisper-signaling@900[12].service .*\n$/,
    );
  });

  test("what docs/OPERATIONS.md says of certificates can be pasted, from the first layout to the second", async () => {
    await using machine = await boot();
    await machine.do("cp -r /media /root/pasted; echo 127.0.0.1 relay.example.org >> /etc/hosts");
    await certify(machine, "/etc/letsencrypt/live/relay.example.org", "fullchain.pem", "privkey.pem");
    const [unit = "", , direct = ""] = blocksBelow(text, "### The binary with systemd");
    const blocks = [unit, direct, ...blocksBelow(text, "### Renewal without dropping anyone")];
    const { ran, all } = await paste(machine, blocks);
    console.info(`with its own certificate: ${ran} of ${all} commands ran as written`);
    await certify(machine, "/etc/letsencrypt/live/relay.example.org", "fullchain.pem", "privkey.pem");
    await machine.do("/usr/local/lib/whisper-signaling/renew-hook.sh; whisper-signaling check wss://relay.example.org");
  });
});

/** What certbot would have left there: a certificate for relay.example.org, which this machine trusts. */
async function certify(machine: Booted, path: string, cert: string, key: string): Promise<void> {
  await machine.do(`mkdir -p ${path}
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=relay.example.org \
      -addext subjectAltName=DNS:relay.example.org -keyout ${path}/${key} -out ${path}/${cert} 2>/dev/null
    cp ${path}/${cert} /usr/local/share/ca-certificates/relay.crt; update-ca-certificates >/dev/null 2>&1`);
}
