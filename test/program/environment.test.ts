/** What of the environment counts, and what happens to the rest. */
import { expect, test } from "bun:test";
import { doubtsAbout, givenOptions, readConfig } from "../../src/program/config.ts";
import { freePort } from "../support/machines/free-port.ts";
import { command, Output, run, spawn, VARIANTS } from "../support/relays/relay.ts";

/** What Kubernetes sets in every container beside services called whisper and whisper-admin. */
const KUBERNETES = {
  WHISPER_SERVICE_HOST: "10.0.0.1",
  WHISPER_SERVICE_PORT: "8000",
  WHISPER_SERVICE_PORT_HTTP: "8000",
  WHISPER_PORT: "tcp://10.0.0.1:8000",
  WHISPER_PORT_8000_TCP: "tcp://10.0.0.1:8000",
  WHISPER_PORT_8000_TCP_PROTO: "tcp",
  WHISPER_PORT_8000_TCP_PORT: "8000",
  WHISPER_PORT_8000_TCP_ADDR: "10.0.0.1",
  WHISPER_ADMIN_SERVICE_HOST: "10.0.0.2",
  WHISPER_ADMIN_SERVICE_PORT: "9000",
  WHISPER_ADMIN_PORT: "tcp://10.0.0.2:9000",
  WHISPER_ADMIN_PORT_9000_TCP: "tcp://10.0.0.2:9000",
};

test.each(VARIANTS)(
  "a relay starts beside a Kubernetes service of its name, and says what it passed over (%s)",
  async (variant) => {
    const relay = spawn(command(variant, "--host=127.0.0.1", `--port=${freePort()}`), KUBERNETES);
    const [stdout, stderr] = [new Output(relay.stdout), new Output(relay.stderr)];
    await stdout.until(/listening/);
    relay.kill("SIGTERM");
    await Promise.all([stdout.ended, stderr.ended]);
    expect(await relay.exited).toBe(0);
    expect(stderr.text).toBe(
      "whisper-signaling: warning: WHISPER_PORT was passed over: Kubernetes has set it for a service\n",
    );
  },
);

test("a port of our own is still read beside it", () => {
  expect(readConfig([], { ...KUBERNETES, WHISPER_PORT: "8001" }).port).toBe(8001);
  expect(readConfig(["--port=8002"], KUBERNETES).port).toBe(8002);
  expect(doubtsAbout({ ...KUBERNETES, WHISPER_PORT: "8001" })).toEqual([]);
  expect(givenOptions([], KUBERNETES)).toEqual({});
});

test.each([
  [{ WHISPER_ORIGINS: "https://example.org" }, "WHISPER_ORIGIN"],
  [{ WHISPER_TLSCERT: "x" }, "WHISPER_TLS_CERT"],
  [{ WHISPER_MAX_PEER: "10" }, "WHISPER_MAX_PEERS"],
  [{ WHISPER_SERVICE: "x" }, "WHISPER_"],
  [{ WHISPER_ADMIN_PORT: "9000" }, "WHISPER_ADMIN"],
])("a variable that is none of the options ends the start: %j", async (env, nearest) => {
  const [[name]] = Object.entries(env) as [[string, string]];
  for (const args of [[], ["check"], ["print", "caddy"]]) {
    const { exitCode, stdout, stderr } = await run(command("binary", ...args), env);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toStartWith(
      `whisper-signaling: unknown variable "${name}" in the environment; the nearest is ${nearest}`,
    );
    expect(stderr.indexOf("\n")).toBe(stderr.length - 1);
  }
});

test("a variable that is set to nothing is not set, whichever it is; a flag with nothing is refused", () => {
  const names = [
    "WHISPER_PORT",
    "WHISPER_HOST",
    "WHISPER_ORIGIN",
    "WHISPER_EXEMPT",
    "WHISPER_TLS_CERT",
    "WHISPER_REUSE_PORT",
  ];
  const env = Object.fromEntries([...names, "WHISPER_UNKNOWN"].map((name) => [name, ""]));
  expect(readConfig([], env)).toEqual({ ...readConfig([], {}) });
  expect(givenOptions([], env)).toEqual({});
  for (const flag of ["--port=", "--host=", "--origin=", "--exempt=", "--tls-cert=", "--reuse-port="])
    expect(() => readConfig([flag], {})).toThrow(flag.slice(0, -1));
});

test("what was given is told as it was written, also where it is the default", () => {
  expect(givenOptions(["--port=8000", "--session-ttl", "600s"], { WHISPER_HOST: "::", WHISPER_PORT: "1" })).toEqual({
    host: "::",
    port: "8000",
    "session-ttl": "600s",
  });
});
