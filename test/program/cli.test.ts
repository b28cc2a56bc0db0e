/** The program as an operator meets it: command line, environment, exit codes, health, signals. */
import { describe, expect, test } from "bun:test";
import { engines, version } from "../../package.json" with { type: "json" };
import { CHECK_OPTIONS, PRINT_OPTIONS } from "../../src/program/commands.ts";
import { OPTIONS } from "../../src/program/config.ts";
import { Client, newCode, newPair } from "../support/peers/client.ts";
import { RawClient, UPGRADE } from "../support/peers/raw.ts";
import { command, commitOf, run, spawnRelay, VARIANTS } from "../support/relays/relay.ts";

const DRAINING = "draining for up to 30 s; a second signal stops at once";

describe.concurrent.each(VARIANTS)("the program (%s)", (variant) => {
  test("prints its help and its version, and exits with 0", async () => {
    const help = await run(command(variant, "--help"));
    expect({ ...help, stdout: "" }).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    for (const { flag } of Object.values(OPTIONS)) expect(help.stdout).toContain(`  ${flag} `);
    for (const { flag } of Object.values({ ...CHECK_OPTIONS, ...PRINT_OPTIONS }))
      expect(help.stdout).toMatch(new RegExp(`^  ${flag}$`, "m")); // which no variable sets
    for (const word of ["-h", "help"]) expect(await run(command(variant, word))).toEqual(help);
    const commit = commitOf(variant);
    const stdout = `whisper-signaling ${version} (${commit === "unknown" ? "" : `commit ${commit}, `}Bun ${engines.bun})\n`;
    for (const word of ["--version", "-V"])
      expect(await run(command(variant, word))).toEqual({ exitCode: 0, stdout, stderr: "" });
  });

  test.each([
    [["--port", "70000"], {}, '--port "70000" is not a whole number from 0 to 65535'],
    [["--frobnicate"], {}, 'unknown option "--frobnicate"; --help lists them'],
    [["--session-ttl", "1"], {}, '--session-ttl "1" is not a whole number with a unit (ms, s, m, h) from 1s to 24h'],
    [[], { WHISPER_MAX_MESSAGE: "1GiB" }, 'WHISPER_MAX_MESSAGE "1GiB" is not a whole number with a unit'],
    [["check", "http://localhost"], {}, 'check "http://localhost" is not a ws:// or wss:// URL'],
    [["check", "--prot", "1"], {}, 'unknown option "--prot"'],
    [["check", "--wait=soon"], {}, '--wait "soon" is not a whole number with a unit (ms, s, m, h) from 0s to 1h'],
    [["chekc"], {}, 'unknown command "chekc"; the nearest is check, and --help lists them'],
    [["prnit", "nginx"], {}, 'unknown command "prnit"; the nearest is print, and --help lists them'],
    [["serve"], {}, 'unknown command "serve"; --help lists them'],
    [["print", "systemd", "caddy"], {}, '"caddy" is one word too many; --help says what is taken'],
    [["check", "ws://127.0.0.1:1", "ws://127.0.0.1:2"], {}, '"ws://127.0.0.1:2" is one word too many'],
    [["check", "ws://127.0.0.1:1", "--config"], {}, 'check --config takes no URL, and not "ws://127.0.0.1:1"'],
    [["--max-peers=1"], {}, '--max-peers "1" pairs nobody'],
    [[], { WHISPER_MAX_PEERS: "1" }, 'WHISPER_MAX_PEERS "1" pairs nobody'],
    [[], { WHISPER_MAX_MEMORY: "1MiB" }, 'WHISPER_MAX_MEMORY "1048576B" is less than'],
    [
      ["--tls-key=/none"],
      { WHISPER_TLS_CERT: "/nowhere" },
      'WHISPER_TLS_CERT "/nowhere" can\'t be read: there is no such file',
    ],
    [["--tls-key=/none"], { WHISPER_HOST: "::" }, "--tls-cert and --tls-key are given together or not at all"],
    [[], { WHISPER_TLS_KEY: "/none" }, "--tls-cert and WHISPER_TLS_KEY are given together or not at all"],
    [["print", "systemd"], { WHISPER_TLS_CERT: "a", WHISPER_TLS_KEY: "/b" }, 'WHISPER_TLS_CERT "a" is not a full path'],
    [["print", "nginx"], { WHISPER_PORT: "0" }, 'WHISPER_PORT "0" is not a port'],
  ])("a start with %j %j ends with exit code 2 and one line", async (args, env, message) => {
    const { exitCode, stdout, stderr } = await run(command(variant, ...args), env);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toStartWith(`whisper-signaling: ${message}`);
    expect(stderr.indexOf("\n")).toBe(stderr.length - 1);
  });

  test("a port in use ends the start with exit code 1 and one line, also on all addresses", async () => {
    await using relay = await spawnRelay(variant, "--host=0.0.0.0");
    for (const host of ["0.0.0.0", "127.0.0.1"]) {
      const second = await run(command(variant, "--host", host, "--port", String(relay.port)));
      const stderr = `whisper-signaling: can't listen on ${host} port ${relay.port}: it is in use; \`ss -ltnp\` shows by whom\n`;
      expect(second).toEqual({ exitCode: 1, stdout: "", stderr });
    }
  });

  test("an address that is not this machine's is named", async () => {
    const { exitCode, stderr } = await run(command(variant, "--host", "192.0.2.1", "--port", "0"));
    expect(stderr).toBe("whisper-signaling: can't listen on 192.0.2.1 port 0: this machine has no such address\n");
    expect(exitCode).toBe(3);
  });

  test("the environment sets options, and PORT and its like don't", async () => {
    const env = { WHISPER_PORT: "99999", PORT: "1", BUN_PORT: "2", NODE_PORT: "3" };
    expect((await run(command(variant), env)).stderr).toContain('WHISPER_PORT "99999"');
  });

  test.each(["SIGTERM", "SIGINT"] as const)("%s closes every peer and ends it with exit code 0", async (signal) => {
    await using relay = await spawnRelay(variant, "--drain=0s");
    const { alice, bob } = await newPair(relay.url);
    const outcome = await relay.stop(signal);
    expect({ ...outcome, stdout: "" }).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    const lines = outcome.stdout.trimEnd().split("\n");
    if (lines[1]?.includes("open files")) lines.splice(1, 1); // where the tests run under a low limit
    expect(lines.length).toBe(4);
    expect(lines[0]).toMatch(
      /^whisper-signaling: version \S+( \([0-9a-f]+(-dirty)?\))?, with host=127.0.0.1 port=0 drain=0s exempt=127.0.0.0\/8,::1 max-peers=\d+ sandbox=on$/,
    );
    expect(lines.slice(1)).toEqual(
      [`listening on http://127.0.0.1:${relay.port}`, DRAINING.replace("30", "0"), "stopped"].map(
        (line) => `whisper-signaling: ${line}`,
      ),
    );
    expect([(await alice.closed).code, (await bob.closed).code]).toEqual([1012, 1012]);
  });

  test("the times and sizes of the options are those in force", async () => {
    await using relay = await spawnRelay(variant, "--session-ttl=1s", "--join-timeout=1s", "--max-message=1KiB");
    const [alice, bob] = await Promise.all([Client.connect(relay.url), Client.connect(relay.url)]);
    alice.send({ type: "join", sessionCode: newCode() });
    expect(await alice.expect("joined")).toMatchObject({ expiresInMs: 1_000 });
    expect([(await alice.closed).code, (await bob.closed).code]).toEqual([4502, 4503]);
    const mallory = await Client.connect(relay.url);
    mallory.send(" ".repeat(1_025));
    expect((await mallory.closed).code).toBe(1009);
  });

  describe("over plain HTTP", () => {
    test("health counts the sessions that have at least one peer", async () => {
      await using relay = await spawnRelay(variant);
      const health = async () => (await relay.get("/health")).text();
      expect(await health()).toBe('{"status":"ok","sessions":0}');
      await Client.connect(relay.url);
      await newPair(relay.url);
      await Client.join(relay.url, newCode(), true);
      expect(await health()).toBe('{"status":"ok","sessions":2}');
    });

    test("the root answers with a short text, other paths with 404, other methods with 405", async () => {
      await using relay = await spawnRelay(variant);
      const root = await relay.get("/");
      expect([root.status, root.headers.get("access-control-allow-origin")]).toEqual([200, "*"]);
      expect(await root.text()).toBe("whisper-signaling: a WebSocket relay for WebRTC. It stores nothing.\n");
      const statuses = ["/healthz", "/health/", "/x", "/?x", "/health?x=1"].map(
        async (p) => (await relay.get(p)).status,
      );
      expect(await Promise.all(statuses)).toEqual([404, 404, 404, 200, 200]);
      const posted = await fetch(`http://127.0.0.1:${relay.port}/health`, { method: "POST", body: "x" });
      expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    });

    test("the upgrade is taken on any path, with or without a good Host header", async () => {
      await using relay = await spawnRelay(variant);
      for (const path of ["", "/", "/health", "/a/proxy/prefix?x=1"]) (await Client.connect(relay.url + path)).close();
      for (const host of ["[", "a b", "x:99999", ""]) {
        const raw = await RawClient.dial(relay.port);
        raw.write(UPGRADE.replace("Host: relay", `Host: ${host}`));
        expect(await raw.head()).toStartWith("HTTP/1.1 101 ");
        raw.end();
        const plain = await RawClient.dial(relay.port);
        plain.write(`GET /health HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
        expect(await plain.head()).toStartWith("HTTP/1.1 200 ");
        plain.end();
      }
    });

    test("an upgrade that is none gets an answer, not a socket", async () => {
      await using relay = await spawnRelay(variant);
      const broken: [from: string, to: string, status: string][] = [
        ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", "426"],
        ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", "200"],
        ["Upgrade: websocket", "Upgrade: h2c", "200"],
      ];
      for (const [from, to, status] of broken) {
        const raw = await RawClient.dial(relay.port);
        raw.write(UPGRADE.replace(from, to));
        expect(await raw.head()).toStartWith(`HTTP/1.1 ${status} `);
        raw.end();
      }
    });
  });

  describe("check", () => {
    test("sees a whole exchange, prints it with times, and leaves nothing behind", async () => {
      await using relay = await spawnRelay(variant);
      const { exitCode, stdout, stderr } = await run(command(variant, "check", relay.url));
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      const lines = stdout.trimEnd().split("\n");
      expect(lines.length).toBe(12);
      for (const line of lines) expect(line).toMatch(/^ok {4}[a-z, ]+ \d+\.\d ms$/);
      expect(await relay.sessions()).toBe(0);
    });

    test("finds the relay of its own options and environment", async () => {
      await using relay = await spawnRelay(variant, "--host=0.0.0.0");
      const { exitCode } = await run(command(variant, "check"), { WHISPER_PORT: String(relay.port) });
      expect(exitCode).toBe(0);
      expect((await run(command(variant, "check", "--port", String(relay.port)))).exitCode).toBe(0);
    });

    test("fails with exit code 1 where nothing listens", async () => {
      const gone = await spawnRelay(variant);
      await gone.stop();
      const { exitCode, stdout } = await run(command(variant, "check", gone.url));
      expect({ exitCode, stdout }).toEqual({
        exitCode: 1,
        stdout: `FAIL  nothing listens on 127.0.0.1 port ${gone.port}: start the relay there, or name the port that it has\n`,
      });
    });
  });
});

test.concurrent("check fails where something else answers: one that echoes, one that changes a byte, one that seats a third", async () => {
  const tries = LIES.map(async ([what, lies]) => {
    await using server = lyingRelay(lies);
    const { exitCode, stdout } = await run(command("binary", "check", `ws://127.0.0.1:${server.port}`));
    expect(exitCode).toBe(1);
    expect(stdout).toContain(`FAIL  ${what}`);
  });
  await Promise.all(tries);
});

type Lie = "echo" | "change a byte" | "seat a third";
const LIES: [what: string, lies: Lie][] = [
  ['"joined" did not come within', "echo"],
  ["the offer did not arrive byte for byte", "change a byte"],
  ["a close did not come within", "seat a third"],
];

/** A server that almost does what the wire says. */
function lyingRelay(lies: Lie): { port: number } & AsyncDisposable {
  let joined = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response()),
    websocket: {
      message(ws, text) {
        if (lies === "echo") return void ws.send(text);
        if (String(text).includes('"join"')) {
          ws.subscribe("all");
          const isSecond = ++joined === 2;
          ws.send(`{"type":"joined","opposite":${isSecond}}`);
          if (!isSecond) return;
          ws.publish("all", '{"type":"ready"}');
          ws.send('{"type":"ready","pairing":1,"peer":null}');
        } else ws.publish("all", lies === "change a byte" ? String(text).replace("check", "chess") : text);
      },
    },
  });
  return { port: server.port ?? 0, [Symbol.asyncDispose]: () => server.stop(true) };
}
