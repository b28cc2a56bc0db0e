/** `check` as a health check: what is well, and how it finds the relay in every form of --host. */
import { describe, expect, test } from "bun:test";
import { isExposed, localHosts, localSource } from "../../src/program/hosts.ts";
import { Authority } from "../support/machines/certificates.ts";
import { Client, newCode } from "../support/peers/client.ts";
import { command, run, spawnRelay } from "../support/relays/relay.ts";

const checkOf = (port: number, host = "127.0.0.1", ...args: string[]) =>
  run(command("binary", "check", "--host", host, "--port", String(port), ...args));

describe("a relay that keeps to its limits is healthy, and check says which it met", () => {
  const FULL = "new connections (503: it is full, short of memory or drains; /readyz says which)";
  const MANY = "new connections (429: too many from this address; --max-per-address, --connect-rate)";
  test.each([
    [["--max-peers=2"], FULL],
    [["--max-per-address=1"], MANY],
    [["--max-per-address=2"], MANY],
    [["--connect-burst=1", "--connect-rate=1"], MANY],
    [["--message-burst=1", "--message-rate=1"], "rate-limited"],
    [["--message-burst=3", "--message-rate=1"], "rate-limited"],
  ])("%j", async (args, limit) => {
    await using relay = await spawnRelay("binary", "--exempt=none", ...args);
    const { exitCode, stdout, stderr } = await checkOf(relay.port);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout.trimEnd().split("\n").at(-1)).toBe(`ok    it answers, and takes no more now: ${limit}`);
  });

  test("--max-waiting, while somebody else waits", async () => {
    await using relay = await spawnRelay("binary", "--exempt=none", "--max-waiting=1");
    const alice = await Client.join(relay.url, newCode(), true);
    const { exitCode, stdout } = await checkOf(relay.port);
    expect([exitCode, stdout]).toEqual([0, expect.stringContaining("takes no more now: at-capacity")]);
    alice.close();
  });

  test("while it drains", async () => {
    await using relay = await spawnRelay("binary", "--exempt=none");
    const code = newCode();
    const [alice, bob] = [await Client.join(relay.url, code, true), await Client.join(relay.url, code, false)];
    relay.process.kill("SIGTERM");
    await relay.stdout.until(/draining/);
    const { exitCode, stdout } = await checkOf(relay.port);
    expect([exitCode, stdout]).toEqual([0, expect.stringContaining(`takes no more now: ${FULL}`)]);
    for (const peer of [alice, bob]) peer.close();
  });

  test.each([
    ...["--quota-messages=10", "--quota-bytes=64KiB", "--max-message=1KiB", "--max-waiting=1", "--session-ttl=1s"],
    ...["--join-timeout=1s", "--max-buffered=64KiB", "--ping-interval=1s", "--max-per-address=3", "--connect-burst=4"],
  ])("at %s it fits in whole", async (arg) => {
    await using relay = await spawnRelay("binary", "--exempt=none", arg);
    const { exitCode, stdout } = await checkOf(relay.port);
    expect([exitCode, stdout.trimEnd().split("\n").length, stdout]).toEqual([
      0,
      12,
      expect.not.stringContaining("no more"),
    ]);
  });
});

test("who refuses without being a relay is not healthy", async () => {
  for (const status of [403, 429, 500, 502, 503]) {
    using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("", { status }) });
    expect([status, (await checkOf(server.port ?? 0)).exitCode]).toEqual([status, 1]);
  }
});

test.each([
  ["127.0.0.1", ["127.0.0.1"], "127.0.0.1"],
  ["0.0.0.0", ["127.0.0.1"], "127.0.0.1"],
  ["0", ["127.0.0.1"], "127.0.0.1"],
  ["127.1", ["127.0.0.1"], "127.0.0.1"],
  ["::", ["127.0.0.1", "[::1]"], "127.0.0.1"],
  ["[::]", ["127.0.0.1", "[::1]"], "127.0.0.1"],
  ["*", ["127.0.0.1", "[::1]"], "127.0.0.1"],
  ["::1", ["[::1]"], "::1"],
  ["[::1]", ["[::1]"], "::1"],
  ["localhost", ["localhost"], "127.0.0.1,::1"],
  ["10.0.0.5", ["10.0.0.5"], "10.0.0.5"],
  ["relay.example", ["relay.example"], null],
])("a listener on %s is reached at %j", (host, hosts, source) => {
  expect([localHosts(host), localSource(host)] as unknown[]).toEqual([hosts, source]);
});

test.each([
  [["0.0.0.0", "::", "[::]", "*", "0", "8.8.8.8", "2001:db8::1", "172.32.0.1"], true],
  [["127.0.0.1", "127.1", "::1", "[::1]", "localhost", "10.1.2.3", "172.31.255.255", "192.168.0.1", "fd00::1"], false],
  [["100.64.0.1", "169.254.1.1", "fe80::1", "::ffff:10.0.0.1", "metrics.internal"], false],
])("strangers may reach a listener on one of %j: %p", (hosts, expected) => {
  expect(hosts.filter((host) => isExposed(host) !== expected)).toEqual([]);
});

describe("check --config", () => {
  const config = (args: string[], env: Record<string, string> = {}) =>
    run(command("binary", "check", "--config", ...args), env);

  test("reads what a start would read, and listens to nothing", async () => {
    await using authority = await Authority.create();
    const { args } = await authority.issue();
    await using relay = await spawnRelay("binary"); // whose port is taken, which is no matter
    expect(await config([`--port=${relay.port}`, ...args])).toEqual({
      ...{ exitCode: 0, stderr: "" },
      stdout: "ok    a start would take these options and this certificate\n",
    });
  });

  test.each<[string[], Record<string, string>, string]>([
    [["--port=70000"], {}, '--port "70000" is not a whole number'],
    [["--tls-cert=/none", "--tls-key=/none"], {}, '--tls-cert "/none" can\'t be read: there is no such file'],
    [[], { WHISPER_PROT: "1" }, "unknown variable"],
    [["--max-peers=9999999"], {}, '--max-peers "9999999" is more than the'],
  ])("refuses %j %j with what the start would say", async (args, env, message) => {
    const { exitCode, stdout, stderr } = await config(args, env);
    expect([exitCode, stdout, stderr]).toEqual([2, "", expect.stringContaining(message)]);
    const start = await run(command("binary", ...args), env);
    expect([start.exitCode, start.stderr]).toEqual([2, stderr]);
  });
});

test.each([["--help"], ["print systemd"], ["check ws://127.0.0.1:1"], ["-V"]])(
  "a reader that has gone ends it quietly: %s",
  async (line) => {
    const script = `{ "$@"; echo "ended with $?" >&2; } | true`;
    const { stderr } = await run(["bash", "-c", script, "bash", ...command("binary", ...line.split(" "))]);
    expect(stderr).toBe(`ended with ${line.startsWith("check") ? 1 : 0}\n`);
  },
);

test.concurrent.each(["--ping-interval=10m", "--ping-interval=1s", "--session-ttl=1s", "--quota-messages=10"])(
  "with --probe it is seen that a silent peer keeps its seat (%s)",
  async (arg) => {
    await using relay = await spawnRelay("binary", "--exempt=none", arg);
    const { exitCode, stdout } = await checkOf(relay.port, "127.0.0.1", "--probe");
    expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/\nok {4}a silent peer is asked, [^\n]+ms\n$/)]);
  },
);

test.concurrent.each([
  "127.0.0.1",
  "0.0.0.0",
  "0",
  "127.1",
  "localhost",
  "::",
  "[::]",
  "*",
  "::1",
  "[::1]",
  "::ffff:127.0.0.1",
])("a relay with --host %s is found by a check with the same", async (host) => {
  await using relay = await spawnRelay("binary", "--host", host);
  expect((await checkOf(relay.port, host)).exitCode).toBe(0);
});

/** A network of its own, in which IPv6 is off. */
const NO_IPV6 = "ip link set lo up && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 || exit 99;";
const inside = (script: string) => run(["unshare", "--net", "--map-root-user", "sh", "-c", `${NO_IPV6} ${script}`]);
const canIsolate =
  process.platform === "linux" &&
  (await inside("exit 0").then(
    ({ exitCode }) => exitCode === 0,
    () => false,
  ));
if (!canIsolate) console.warn("check.test.ts: no network without IPv6: unshare would need user namespaces, or root");

test.skipIf(!process.env["CI"])("CI has a network without IPv6 to test in", () => {
  expect(canIsolate).toBeTrue();
});

test.skipIf(!canIsolate)("where IPv6 is off, a relay on :: is checked by IPv4", async () => {
  const [relay, checks] = [command("binary", "--host", "::"), command("binary", "check", "--host", "::")];
  const script = `${relay.join(" ")} & relay=$!; for n in 1 2 3 4 5 6 7 8 9; do sleep 0.2; ${checks.join(" ")} && break; done; ended=$?; kill $relay; wait; exit $ended`;
  const { exitCode, stdout } = await inside(script);
  expect([exitCode, stdout]).toEqual([0, expect.stringContaining("a peer leaves and the other is told")]);
});
