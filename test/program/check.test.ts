/** `check` as a health check: what is well, and how it finds the relay in every form of --host. */
import { describe, expect, test } from "bun:test";
import { localHosts, localSource } from "../../src/program/hosts.ts";
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

test.each(["127.0.0.1", "0.0.0.0", "0", "127.1", "localhost", "::", "[::]", "*", "::1", "[::1]", "::ffff:127.0.0.1"])(
  "a relay with --host %s is found by a check with the same",
  async (host) => {
    await using relay = await spawnRelay("binary", "--host", host);
    expect((await checkOf(relay.port, host)).exitCode).toBe(0);
  },
);

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
