/**
 * What `print` writes: the blocks in the real proxies in front of a relay, and the unit as far as it can be judged
 * without running systemd. Where a program is missing its part is skipped, but never under CI.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { readConfig } from "../../src/program/config.ts";
import { localHosts } from "../../src/program/hosts.ts";
import { newFolder } from "../support/machines/folder.ts";
import {
  FRONT_NAMES,
  HOST,
  pathOf,
  type RunningFront,
  startFront,
  whyNoFront,
  writeCertificate,
} from "../support/machines/fronts.ts";
import { newCode } from "../support/peers/client.ts";
import { RawClient, UPGRADE } from "../support/peers/raw.ts";
import { command, ROOT, run, spawnRelay, VARIANTS } from "../support/relays/relay.ts";

const DEPLOYED = readFileSync(resolve(ROOT, "deploy/whisper-signaling.service"), "utf8");
/** The options of deploy/whisper-signaling.service: a relay for a proxy on the same machine. */
const DEPLOYED_OPTIONS = ["--host=127.0.0.1", "--admin=127.0.0.1:9000", "--trust-proxy=127.0.0.1"];
/** The exposure that `systemd-analyze security` may find, in tenths. */
const EXPOSURE = 15;

const obstacle = whyNoFront();
if (obstacle !== null) console.warn(`print.test.ts: the printed blocks are not tried: ${obstacle}`);
const hasSystemd = pathOf("systemd-analyze") !== null;
if (!hasSystemd) console.warn("print.test.ts: the unit is not judged: Debian's systemd would have to be installed");

test.skipIf(!process.env["CI"])("CI has the proxies and systemd to test with", () => {
  expect([obstacle, hasSystemd]).toEqual([null, true]);
});

const PRINTED =
  "systemd, systemd@, caddy, nginx, haproxy, nftables, integrity, man, completion-bash, completion-zsh, completion-fish";
const NEEDS_BOTH =
  "print systemd@ needs --reuse-port, by which two instances share the port, and --admin HOST:PORT, whose port is an instance's name";

async function print(what: string, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await run(command("binary", "print", what, ...args));
  const warned = stderr.split("\n").filter((line) => !/"\/[^"]+" is not there yet, /.test(line)); // tests name no real files
  expect({ exitCode, warned }).toEqual({ exitCode: 0, warned: [""] });
  return stdout;
}

/** The values of a directive in a unit, in order. */
function said(unit: string, directive: string): string[] {
  const joined = unit.replaceAll(/\\\n\s*/g, "");
  return [...joined.matchAll(new RegExp(`^${directive}=(.*)$`, "gm"))].map(([, value = ""]) => value);
}

test.each(["systemd", "nftables", ...FRONT_NAMES])("source and binary print the same for %s", async (what) => {
  const args = ["print", what, "--max-peers=1000", "--port", "8443"];
  const outcomes = await Promise.all(
    VARIANTS.map((variant) => run(command(variant, ...args), { WHISPER_DRAIN: "1m" })),
  );
  for (const { exitCode, stdout, stderr } of outcomes) {
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toContain("8443");
    expect(stdout).toMatch(/[^\n]\n$/);
  }
  expect(outcomes[0]?.stdout).toBe(outcomes[1]?.stdout);
});

describe.each(VARIANTS)("print (%s)", (variant) => {
  test.each([
    [["apache"], `print "apache" is not one of ${PRINTED}`],
    [["toString"], `print "toString" is not one of ${PRINTED}`],
    [[], `print "" is not one of ${PRINTED}`],
    [
      ["nftables", "--host=::1"],
      'print nftables needs the port that strangers reach: --host "::1" --port "8000" is not; add those of the proxy, such as --host :: --port 443',
    ],
    [["nginx", "--port=0"], '--port "0" is not a port that a proxy could be told'],
    [["nginx", "--drian=1s"], 'unknown option "--drian=1s"; the nearest is --drain, and --help lists them'],
    [["systemd@", "--reuse-port"], NEEDS_BOTH],
    [["systemd@", "--admin=127.0.0.1:9001"], NEEDS_BOTH],
    [["nginx", "--name=a b"], '--name "a b" is not a host name such as relay.example.org'],
    [["nginx", "--cert=/a"], "--cert and --key are given together or not at all"],
    [
      ["caddy", "--cert=/a b", "--key=/c"],
      '--cert "/a b" is not a full path, without white space, quotes and the like',
    ],
    [
      ["haproxy", "--cert=/a", "--key=/b"],
      "print haproxy takes no --key: HAProxy reads certificate and key from one file, named by --cert",
    ],
    [["systemd", "--tls-cert=a.pem", "--tls-key=/b"], '--tls-cert "a.pem" is not a full path, which a unit needs'],
  ])("print %j ends with exit code 2 and one line", async (args, message) => {
    const outcome = await run(command(variant, "print", ...args));
    expect(outcome).toEqual({ exitCode: 2, stdout: "", stderr: `whisper-signaling: ${message}\n` });
  });

  test("the help names it", async () => {
    const { stdout } = await run(command(variant, "--help"));
    for (const what of ["systemd", "nftables", ...FRONT_NAMES])
      expect(stdout).toMatch(new RegExp(`print WHAT [^]*?:\\n.*\\b${what}\\b`));
  });
});

describe("the unit", () => {
  test("in deploy/ is the one that is printed", async () => {
    expect(DEPLOYED).toBe(await print("systemd", ...DEPLOYED_OPTIONS));
  });

  test("starts the relay with the options given, by flags or by the environment, whatever is in them", async () => {
    const args = ["print", "systemd", "--port", "8001", '--tls-cert=/a b/100%"$x\\.pem', "--tls-key=/k"];
    const { stdout } = await run(command("binary", ...args), { WHISPER_ORIGIN: "https://a.example,https://b.example" });
    const files = ["tls-cert", "tls-key"].map((name) => `--${name}=\${CREDENTIALS_DIRECTORY}/${name}`).join(" ");
    expect(said(stdout, "ExecStart")).toEqual([
      `/usr/local/bin/whisper-signaling --port=8001 ${files} --origin=https://a.example,https://b.example`,
    ]);
    expect(said(stdout, "LoadCredential")).toEqual(['tls-cert:/a b/100%%"$x\\.pem', "tls-key:/k"]);
    const spaced = await print("systemd", '--host=a"b\\c$d%e', "--exempt=10.0.0.0/8, ::1");
    expect(said(spaced, "ExecStart")[0]).toEndWith(
      String.raw` "--host=a\"b\\c$$d%%e" "--exempt=10.0.0.0/8, ::1"`.slice(1),
    );
  });

  test.each([
    ["30s", "40"],
    ["0s", "10"],
    ["1500ms", "12"],
    ["1h", "3610"],
  ])("with --drain %s it waits %s s before it kills", async (drain, seconds) => {
    expect(said(await print("systemd", `--drain=${drain}`), "TimeoutStopSec")).toEqual([seconds]);
  });

  test.each(["2", "100", "17950", "58932", "1000000", "10000000"])(
    "its open files are enough for --max-peers %s, and not many more",
    async (maxPeers) => {
      const flag = `--max-peers=${maxPeers}`;
      const limit = Number(said(await print("systemd", flag), "LimitNOFILE")[0]);
      expect(readConfig([flag], {}, limit).maxPeers).toBe(Number(maxPeers));
      expect(() => readConfig(["--max-peers", String(Number(maxPeers) + 1_024)], {}, limit)).toThrow("--max-peers");
    },
  );

  test("it may take a port below 1024 where it has to, and has no capability otherwise", async () => {
    for (const args of [["--port=1023"], ["--admin=127.0.0.1:80"]]) {
      const unit = await print("systemd", ...args);
      expect(said(unit, "AmbientCapabilities")).toEqual(["CAP_NET_BIND_SERVICE"]);
      expect(said(unit, "CapabilityBoundingSet")).toEqual(["CAP_NET_BIND_SERVICE"]);
      expect(said(unit, "PrivateUsers")).toEqual([]);
    }
    for (const args of [["--port=1024"], ["--port=0"]]) {
      const unit = await print("systemd", ...args);
      expect(said(unit, "AmbientCapabilities")).toEqual([]);
      expect(said(unit, "CapabilityBoundingSet")).toEqual([""]);
      expect(said(unit, "PrivateUsers")).toEqual(["yes"]);
    }
  });

  test("it talks to this machine alone only where nothing of it listens to others", async () => {
    const denied = async (...args: string[]) => said(await print("systemd", ...args), "IPAddressDeny").length;
    expect([await denied("--host=127.0.0.1"), await denied("--host=::1", "--admin=[::1]:9000")]).toEqual([1, 1]);
    expect([await denied(), await denied("--host=::1", "--admin=10.0.0.1:9000")]).toEqual([0, 0]);
  });

  test("with a cluster it may call its engine, where that has an address, and let its helper confine itself", async () => {
    await using folder = await newFolder();
    const secret = await folder.write("secret", "x".repeat(32));
    const unit = (...args: string[]) =>
      print("systemd", "--host=127.0.0.1", `--cluster-secret-file=${secret}`, ...args);
    const two = await unit("--cluster=redis://10.0.0.9", "--cluster=rediss://[fd00::9]:6380");
    expect(said(two, "IPAddressAllow")).toEqual(["localhost 10.0.0.9 fd00::9"]);
    expect(said(two, "SystemCallFilter")[0]).toContain("seccomp landlock_create_ruleset");
    expect(said(await unit("--cluster=redis://engine.lan"), "IPAddressDeny")).toEqual([]);
    expect(said(await unit("--cluster=unix:///run/valkey.sock"), "IPAddressAllow")).toEqual(["localhost"]);
  });

  test("nothing is written twice, and what would stop the relay is not there", () => {
    const names = [...DEPLOYED.matchAll(/^([A-Z]\w+)=/gm)].map(([, name = ""]) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual(["SystemCallFilter"]);
    expect(names).not.toContain("MemoryDenyWriteExecute");
    expect(names).not.toContain("LimitAS");
    expect(said(DEPLOYED, "LimitCORE")).toEqual(["0"]);
  });

  const TLS = ["--tls-cert=/etc/relay/cert.pem", "--tls-key=/etc/relay/key.pem"];
  test
    .skipIf(!hasSystemd && !process.env["CI"])
    .each([[DEPLOYED_OPTIONS], [[]], [["--port=443", "--admin=127.0.0.1:9000", ...TLS]]])(
    "systemd finds nothing wrong with it and little exposed: %j",
    async (args) => {
      await using folder = await newFolder();
      const path = join(folder.path, "whisper-signaling.service");
      const unit = await print("systemd", ...args);
      await writeFile(path, unit.replace("/usr/local/bin/whisper-signaling", command("binary")[0] ?? ""));
      const security = ["security", "--offline=true", `--threshold=${EXPOSURE}`, "--no-pager", path];
      const judged = await run(["systemd-analyze", ...security]);
      expect(judged.stdout).toMatch(/Overall exposure level for whisper-signaling\.service: [01]\.\d (OK|SAFE) /);
      expect({ exitCode: judged.exitCode, stderr: judged.stderr }).toEqual({ exitCode: 0, stderr: "" });
      const verified = await run(["systemd-analyze", "verify", "--man=no", path]);
      expect(verified).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    },
  );
});

describe("a proxy's block", () => {
  test.each([
    [[], "127.0.0.1", "127.0.0.1:8000", true],
    [["--host=::"], "127.0.0.1", "127.0.0.1:8000", true],
    [["--host=127.1"], "127.0.0.1", "127.0.0.1:8000", false],
    [["--host=[::1]"], "::1", "[::1]:8000", false],
    [["--host=localhost"], "127.0.0.1,::1", "localhost:8000", false],
    [["--host=::1", "--port=81"], "::1", "[::1]:81", false],
    [["--host=10.0.0.5"], "10.0.0.5", "10.0.0.5:8000", true],
    [["--host=127.0.0.1"], "127.0.0.1", "127.0.0.1:8000", false],
  ])("with %j trusts %s, leads to %s", async (args, trusted, upstream, isOpen) => {
    for (const name of FRONT_NAMES) {
      const block = await print(name, ...args);
      expect(block).toContain(`--trust-proxy ${trusted},`);
      expect(block).toContain(upstream);
      expect(block.includes("--host 127.0.0.1 too")).toBe(isOpen);
    }
    expect(upstream).toStartWith(`${localHosts(readConfig(args, {}).host)[0]}:`);
  });

  test.each([
    ["25s", 75],
    ["1s", 60],
    ["20001ms", 61],
    ["10m", 1_800],
  ])("with --ping-interval %s cuts nobody off before %d s", async (interval, seconds) => {
    const flag = `--ping-interval=${interval}`;
    expect((await print("nginx", flag)).match(/\d+(?=s;)/g)?.map(Number)).toEqual([seconds, seconds]);
    const timeouts = (await print("haproxy", flag)).matchAll(/timeout (?:client|server|tunnel) (\d+)s/g);
    expect([...timeouts].map(([, found]) => Number(found))).toEqual([seconds, seconds, seconds]);
  });
});

/** An upgrade through the proxy by a client at the address `from`: its socket and the first line of the answer. */
async function knock(front: RunningFront, from: string, ...headers: string[]): Promise<[RawClient, string]> {
  const client = await RawClient.dial(await front.entrance(from));
  client.write(UPGRADE.replace("Host: relay", [`Host: ${HOST}`, ...headers].join("\r\n")));
  return [client, (await client.head()).split("\r\n")[0] ?? ""];
}

async function enter(front: RunningFront, from: string): Promise<RawClient> {
  const [client, line] = await knock(front, from);
  expect(line).toBe("HTTP/1.1 101 Switching Protocols");
  return client;
}

describe.skipIf(obstacle !== null).each(FRONT_NAMES)("behind a real %s with the printed block", (name) => {
  /** What the relay is told because the block says so. */
  async function trust(): Promise<string> {
    const [, proxy = ""] = /--trust-proxy (\S+?),/.exec(await print(name)) ?? [];
    return `--trust-proxy=${proxy}`;
  }

  test("it runs as it was printed with a name and a certificate", async () => {
    const host = "chat.example.net";
    await using folder = await newFolder();
    await writeCertificate(folder.path, host);
    const file = (what: string) => `${folder.path}/${what}.pem`;
    const files = name === "haproxy" ? [`--cert=${file("both")}`] : [`--cert=${file("cert")}`, `--key=${file("key")}`];
    await using relay = await spawnRelay("binary", await trust());
    const block = await print(name, `--port=${relay.port}`, "--host=127.0.0.1", `--name=${host}`, ...files);
    expect(block).not.toMatch(/relay\.example\.org|\/etc\//);
    await using front = await startFront(name, block, { host, hasFiles: true });
    const client = await RawClient.dial(await front.entrance("127.0.0.2"));
    client.write(UPGRADE.replace("Host: relay", `Host: ${host}`));
    expect(await client.head()).toStartWith("HTTP/1.1 101 ");
    client.end();
  });

  test.each([false, true])("a pair meets, also where the relay itself speaks TLS: %p", async (isTls) => {
    await using folder = await newFolder();
    await writeCertificate(folder.path);
    const tls = isTls ? [`--tls-cert=${folder.path}/cert.pem`, `--tls-key=${folder.path}/key.pem`] : [];
    await using relay = await spawnRelay("binary", await trust(), ...tls);
    await using front = await startFront(name, await print(name, `--port=${relay.port}`, "--host=127.0.0.1", ...tls));
    const sessionCode = newCode();
    const [alice, bob] = [await enter(front, "127.0.0.2"), await enter(front, "127.0.0.3")];
    alice.say({ type: "join", sessionCode, isInitiator: true });
    expect(await alice.text()).toStartWith('{"type":"joined"');
    bob.say({ type: "join", sessionCode, isInitiator: false });
    expect(await bob.text()).toStartWith('{"type":"joined"');
    expect([await alice.text(), await bob.text()]).toEqual(['{"type":"ready"}', '{"type":"ready"}']);
    const offer = { type: "offer", sessionCode, offer: { sdp: "é".repeat(10_000) } };
    alice.say(offer);
    expect(await bob.text()).toBe(JSON.stringify(offer));
    bob.end();
    expect(await alice.text()).toBe('{"type":"peer-left"}');
    alice.end();
  });

  test("clients are counted apart, and who forges X-Forwarded-For gains nothing", async () => {
    await using relay = await spawnRelay("binary", await trust(), "--max-per-address=1", "--exempt=none");
    await using front = await startFront(name, await print(name, `--port=${relay.port}`, "--host=127.0.0.1"));
    const mallory = await enter(front, "127.0.0.2");
    const forged = ["203.0.113.9", "127.0.0.1", "127.0.0.3", "rubbish", "127.0.0.1, 203.0.113.9"];
    for (const claim of [[], ...forged.map((address) => [`X-Forwarded-For: ${address}`])]) {
      const [client, line] = await knock(front, "127.0.0.2", ...claim);
      expect(line).toBe("HTTP/1.1 429 Too Many Requests");
      client.end();
    }
    const honest = await enter(front, "127.0.0.3");
    for (const client of [mallory, honest]) client.end();
    expect((await relay.stop()).stderr).toMatch(/^whisper-signaling: warning: limit \(--max-per-address, .*\n$/);
  });

  test("no address is printed, neither of who meets nor of who finds the relay gone", async () => {
    const relay = await spawnRelay("binary", await trust());
    await using front = await startFront(name, await print(name, `--port=${relay.port}`, "--host=127.0.0.1"));
    const waiting = await enter(front, "127.0.0.2");
    await relay.stop("SIGKILL");
    expect(await waiting.next()).toBe(null);
    const [late, line] = await knock(front, "127.0.0.2", "X-Forwarded-For: 127.0.0.2");
    expect(line).toMatch(/^HTTP\/1\.1 50[23] /);
    late.end();
    expect(await front.stop()).not.toContain("127.0.0.2");
  });
});
