/** What `check` says where it can't connect: each cause for real, and what to do about it in the same line. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import { Authority, DAY_MS, type Files } from "../support/machines/certificates.ts";
import { freePort } from "../support/machines/free-port.ts";
import { command, run, spawnRelay } from "../support/relays/relay.ts";

let authority: Authority;
let trusting: Record<string, string>;
beforeAll(async () => {
  authority = await Authority.create();
  trusting = { NODE_EXTRA_CA_CERTS: authority.rootFile };
});
afterAll(() => authority[Symbol.asyncDispose]());

/** What the one line says of a check that fails. */
async function reason(url: string, env: Record<string, string> = {}, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await run(command("binary", "check", url, ...args), env);
  expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: "" });
  expect(stdout).toMatch(/^FAIL {2}[^\n]+\n$/);
  return stdout.slice(6, -1);
}

describe.concurrent("before anything is said", () => {
  test("nothing listens", async () => {
    const port = freePort();
    expect(await reason(`ws://127.0.0.1:${port}`)).toBe(
      `nothing listens on 127.0.0.1 port ${port}: start the relay there, or name the port that it has`,
    );
  });

  test("the name has no address", async () => {
    expect(await reason("wss://relay.invalid/")).toMatch(
      /^the name relay\.invalid (has no address|can't be looked up now): /,
    );
  });

  test("it takes connections and says nothing", async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" ? address?.port : 0;
    expect(await reason(`ws://127.0.0.1:${port}`)).toContain("does not answer a request for a WebSocket");
    expect(await reason(`wss://127.0.0.1:${port}`)).toContain("does not answer a TLS handshake: see what");
    server.close();
  });

  test("it takes connections and never answers a TLS handshake", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" ? address?.port : 0;
    expect(await reason(`wss://127.0.0.1:${port}`)).toBe(
      "it takes the connection and does not answer a TLS handshake: see what listens there",
    );
    server.close();
  }, 30_000);
});

describe("of TLS", () => {
  const now = Date.now();
  test.each([
    [
      "has expired",
      { from: now - 2 * DAY_MS, until: now - DAY_MS },
      "127.0.0.1",
      true,
      "certificate has expired: renew it",
    ],
    [
      "not valid yet",
      { from: now + DAY_MS, until: now + 2 * DAY_MS },
      "127.0.0.1",
      true,
      "is not valid yet: see the clocks",
    ],
    [
      "is of an unknown authority",
      {},
      "127.0.0.1",
      false,
      "an authority that is unknown here: have it send the whole chain",
    ],
    ["is of one in a chain", { isChained: true }, "localhost", false, "an authority that is unknown here: "],
    ["is for another name", {}, "127.0.0.2", true, "is for other names than 127.0.0.2: "],
  ] as const)("the certificate %s", async (_, issuing, host, isTrusted, why) => {
    const files: Files = await authority.issue(issuing);
    await using relay = await spawnRelay("binary", ...files.args, "--host=0.0.0.0");
    expect(await reason(`wss://${host}:${relay.port}`, isTrusted ? trusting : {})).toContain(why);
  });

  test("a relay that speaks it is asked for plain, and one that doesn't for TLS", async () => {
    await using tls = await spawnRelay("binary", ...(await authority.issue()).args);
    await using plain = await spawnRelay("binary");
    expect(await reason(`ws://127.0.0.1:${tls.port}`)).toBe(`127.0.0.1 port ${tls.port} speaks TLS: ask wss:// there`);
    expect(await reason(`wss://127.0.0.1:${plain.port}`)).toBe(
      `127.0.0.1 port ${plain.port} speaks no TLS: ask ws:// there, or start the relay with --tls-cert`,
    );
  });
});

describe.concurrent("by HTTP", () => {
  test("an origin is needed, or another", async () => {
    await using relay = await spawnRelay("binary", "--origin=https://chat.example");
    expect(await reason(relay.url)).toStartWith("403: it takes pages of some origins alone: name one of them");
    expect(await reason(relay.url, {}, "--origin=https://other.example")).toBe(
      "403: https://other.example is not among the origins that it takes: see its --origin",
    );
    expect((await run(command("binary", "check", relay.url, "--origin=https://chat.example"))).exitCode).toBe(0);
  });

  test.each([
    [200, "what is in front has to pass on Upgrade and Connection"],
    [301, "ask the address that this one redirects to"],
    [404, "that is no answer of a relay"],
    [429, "not from a relay, which would say when to come back"],
    [500, "that is no answer of a relay"],
    [502, "a proxy is there, and does not reach the relay"],
    [503, "not from a relay, which would say when to come back"],
    [504, "a proxy is there, and does not reach the relay"],
  ])("%d means: %s", async (status, why) => {
    const headers = { Location: "https://example.invalid/" };
    using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("", { status, headers }) });
    expect(await reason(`ws://127.0.0.1:${server.port}`)).toMatch(new RegExp(`^${status}: .*${why}`));
  });
});

describe.concurrent("a check that waits", () => {
  test("ends well as soon as the relay is there", async () => {
    const port = freePort();
    const waiting = run(command("binary", "check", "--wait=20s", `ws://127.0.0.1:${port}`));
    await using _relay = await spawnRelay("binary", `--port=${port}`);
    const { exitCode, stdout } = await waiting;
    expect([exitCode, stdout]).toEqual([0, expect.not.stringContaining("FAIL")]);
  });

  test("says once at its end what is wrong", async () => {
    const { exitCode, stdout } = await run(command("binary", "check", "--wait=600ms", `ws://127.0.0.1:${freePort()}`));
    expect([exitCode, stdout]).toEqual([1, expect.stringMatching(/^FAIL {2}nothing listens[^\n]*\n$/)]);
  });
});
