/** What peers are told of TURN: the signature that coturn expects, another one for each, and only in `ready`. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { OPTIONS } from "../../src/program/config.ts";
import { readIceUrl } from "../../src/program/ice-urls.ts";
import { newCredential, passwordFor } from "../../src/program/turn.ts";
import { type Folder, newFolder } from "../support/machines/folder.ts";
import { refusal } from "../support/machines/refusal.ts";
import { Client, newCode } from "../support/peers/client.ts";
import { command, run, spawnRelay, VARIANTS } from "../support/relays/relay.ts";

const SECRETS = ["the-secret-that-signs-now", "the-one-that-did-before"] as const;
const URLS = ["turn:turn.example.org:3478?transport=udp", "turns:turn.example.org:443?transport=tcp"];

let folder: Folder;
let turn: string[];
beforeAll(async () => {
  folder = await newFolder();
  const file = await folder.write("secrets", `${SECRETS.join("\n")}\n`);
  turn = [...URLS.map((url) => `--turn-url=${url}`), `--turn-secret-file=${file}`];
});
afterAll(() => folder[Symbol.asyncDispose]());

interface Told {
  readonly urls: readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

/** What stands in the next `ready`, which has no other member. */
async function told(client: Client): Promise<readonly Told[]> {
  const { type: _, ...members } = await client.expect("ready");
  expect(Object.keys(members)).toEqual(["iceServers"]);
  return members["iceServers"] as readonly Told[];
}

describe("a credential", () => {
  test("is signed by HMAC-SHA1 as RFC 2202 has it, in base64", () => {
    const digest = Buffer.from("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79", "hex").toString("base64");
    expect(passwordFor("what do ya want for nothing?", "Jefe")).toBe(digest);
  });

  test("is what coturn's documentation has openssl make of username and secret", async () => {
    const { username, credential } = newCredential(SECRETS[0], 3_600_000, Date.UTC(2026, 0, 1));
    const shell = `printf %s "$1" | openssl dgst -sha1 -hmac "$2" -binary | openssl base64`;
    const { stdout } = await run(["sh", "-c", shell, "sh", username, SECRETS[0]]);
    expect(stdout.trim()).toBe(credential);
  });

  test("expires when it is said to, in whole seconds and never before", () => {
    for (const now of [Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 1) + 1])
      expect(Number(newCredential("s", 60_000, now).username.split(":")[0])).toBe(Math.ceil(now / 1_000) + 60);
  });
});

describe.each(VARIANTS)("a relay from %s", (variant) => {
  test("tells each peer of the servers in every ready, each time with a credential of its own", async () => {
    await using relay = await spawnRelay(variant, "--stun-url=stun:turn.example.org", ...turn, "--turn-ttl=1h");
    const code = newCode();
    const alice = await Client.join(relay.url, code, true);
    const bob = await Client.join(relay.url, code, false);
    const all = [await told(alice), await told(bob)];
    bob.close();
    await alice.expect("peer-left");
    const carol = await Client.join(relay.url, code, false);
    all.push(await told(alice), await told(carol));

    for (const [stun, server, ...more] of all) {
      expect(stun).toEqual({ urls: ["stun:turn.example.org"] });
      expect(server?.urls).toEqual(URLS);
      expect(more).toEqual([]);
      const { username = "", credential } = server ?? {};
      const [, expiry] = /^(\d+):[\w-]{16}$/.exec(username) ?? [];
      expect(Math.abs(Number(expiry) - Date.now() / 1_000 - 3_600)).toBeLessThan(60);
      expect(credential).toBe(passwordFor(username, SECRETS[0]));
    }
    expect(new Set(all.map(([, server]) => server?.username)).size).toBe(4);
  });

  test("says its clock and how long credentials last, once, and never the secret", async () => {
    await using relay = await spawnRelay(variant, ...turn, "--turn-ttl=90m", "--sandbox=require");
    const code = newCode();
    const [alice, bob] = [await Client.join(relay.url, code, true), await Client.join(relay.url, code, false)];
    const servers = [...(await told(alice)), ...(await told(bob))];
    for (const peer of [alice, bob]) peer.close();
    const { exitCode, stdout, stderr } = await relay.stop();
    expect([exitCode, stderr]).toEqual([0, ""]);
    const notices = [...stdout.matchAll(/credentials for TURN last 5400 s by this clock, .*: (\S+Z)\n/g)];
    expect(notices.map(([, clock = ""]) => Math.abs(Date.parse(clock) - Date.now()) < 60_000)).toEqual([true]);
    for (const secret of [
      ...SECRETS,
      ...servers.flatMap(({ username = "", credential = "" }) => [username, credential]),
    ])
      expect(stdout).not.toContain(secret);
  });
});

test("without an option for it a ready is the fixed text, with a STUN server alone it has no credential", async () => {
  const ready = async (...args: string[]) => {
    await using relay = await spawnRelay("binary", ...args);
    const code = newCode();
    const alice = await Client.join(relay.url, code, true);
    await Client.join(relay.url, code, false);
    return alice.next();
  };
  expect(await ready()).toBe('{"type":"ready"}');
  expect(await ready("--stun-url", "stun:a.example,stun:[2001:db8::1]:80")).toBe(
    '{"type":"ready","iceServers":[{"urls":["stun:a.example","stun:[2001:db8::1]:80"]}]}',
  );
});

describe("a bad option is refused", () => {
  const EXAMPLE =
    "is not a URL such as turn:turn.example.org:3478?transport=udp or turns:turn.example.org:443?transport=tcp";
  test.each([
    ["turn://a.example", EXAMPLE],
    ["stun:a.example", EXAMPLE],
    ["turn:", EXAMPLE],
    ["TURN:a.example", EXAMPLE],
    ["turn:user@a.example", EXAMPLE],
    ["turn:2001:db8::1", EXAMPLE],
    ["turn:a.example?transport=tcp&x=1", EXAMPLE],
    ["turn:-x", EXAMPLE],
    ["turns:x-.example", EXAMPLE],
    ["turn:a..example", EXAMPLE],
    ["turn:.example", EXAMPLE],
    ["turn:[::::]", EXAMPLE],
    ["turn:[192.0.2.1]", EXAMPLE],
    ["turn:[fe80::1%eth0]", EXAMPLE],
    ["turn:192.0.2.256", EXAMPLE],
    ["turn:192.0.2", EXAMPLE],
    ["turn:2130706433", EXAMPLE],
    [`turn:${"a".repeat(64)}.example`, EXAMPLE],
    ["turn:a.example:0", "has a port that is not from 1 to 65535"],
    ["turn:a.example:65536", "has a port that is not from 1 to 65535"],
    ["turn:a.example?transport=sctp", "has a transport that is not udp or tcp"],
    ["turns:a.example?transport=udp", "asks for TLS over UDP, which browsers don't speak: say tcp"],
  ])("--turn-url %s", (url, why) => {
    expect(refusal([`--turn-url=turn:b.example,${url}`])).toBe(`--turn-url ${JSON.stringify(url)} ${why}`);
  });

  test.each([
    ["turn:a.example", "is not a URL such as stun:turn.example.org:3478"],
    ["stun:-x", "is not a URL such as stun:turn.example.org:3478"],
    ["stun:[::::]:80", "is not a URL such as stun:turn.example.org:3478"],
    ["stun:a.example?transport=udp", "has a transport, which URLs of STUN don't have"],
  ])("--stun-url %s", (url, why) => {
    expect(refusal([], { WHISPER_STUN_URL: url })).toBe(`WHISPER_STUN_URL ${JSON.stringify(url)} ${why}`);
  });

  test("and one that is good is not: a name of any kind, an address of either", () => {
    const hosts = [
      "a",
      "a-b.example",
      "1a.example.",
      "under_score.example",
      "192.0.2.1",
      "[2001:db8::1]",
      "[::ffff:192.0.2.1]",
    ];
    for (const host of hosts)
      expect([host, readIceUrl(`turn:${host}:80`, "turn").host]).toEqual([host, host.replace(/^\[(.*)\]$/, "$1")]);
  });

  test("a server without a secret, and a secret without a server", () => {
    const both = "--turn-url and --turn-secret-file are given together or not at all";
    expect(refusal(["--turn-url=turn:a.example"])).toBe(both);
    expect(refusal(["--turn-secret-file=/s"])).toBe(both);
    expect(OPTIONS.turnTtlMs.min).toBe("1m");
    expect(refusal(["--turn-ttl=59s"])).toBe(
      '--turn-ttl "59s" is not a whole number with a unit (ms, s, m, h) from 1m to 168h',
    );
  });

  test.each([
    ["short", "123456789012345", "has a secret of less than 16 characters, which can be guessed"],
    ["a short one below", `${SECRETS[0]}\nshort`, "has a secret of less than 16 characters, which can be guessed"],
    ["an empty line", `${SECRETS[0]}\n\n${SECRETS[1]}`, "is not one secret a line, without white space around it"],
    ["a space at its end", `${SECRETS[0]} \n`, "is not one secret a line, without white space around it"],
  ])("a file with %s, and none of it is told", async (_, content, why) => {
    const file = await folder.write("bad", content);
    const { exitCode, stdout, stderr } = await run(
      command("source", `--turn-url=${URLS[0]}`, `--turn-secret-file=${file}`),
    );
    const line = `whisper-signaling: --turn-secret-file ${JSON.stringify(file)} ${why}\n`;
    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 2, stdout: "", stderr: line });
  });
});

test("a unit has the servers' URLs on its command line, and the secret as a credential of systemd's", async () => {
  const { stdout, exitCode } = await run(command("source", "print", "systemd", ...turn));
  expect(exitCode).toBe(0);
  expect(stdout).toContain(`--turn-url=${URLS.join(",")}`);
  expect(stdout).toContain("--turn-secret-file=$" + "{CREDENTIALS_DIRECTORY}/turn-secret-file");
  expect(stdout).toContain(`LoadCredential=turn-secret-file:${folder.file("secrets")}\n`);
  for (const secret of SECRETS) expect(stdout).not.toContain(secret);
});
