/** What the log says where addresses are not what they seem: each case once, on the binary, with what to set. */
import { expect, test } from "bun:test";
import { RawClient, UPGRADE } from "../support/peers/raw.ts";
import { spawnRelay } from "../support/relays/relay.ts";

const PROXIED = "X-Forwarded-For: 203.0.113.9\r\n";

async function warningsAfter(args: readonly string[], connections: number, header = ""): Promise<string> {
  await using relay = await spawnRelay("binary", ...args);
  const clients: RawClient[] = [];
  for (let n = 0; n < connections; n++) {
    const client = await RawClient.dial(relay.port);
    client.write(UPGRADE.replace("\r\n\r\n", `\r\n${header}\r\n`));
    await client.head();
    clients.push(client);
  }
  for (const client of clients) client.end();
  return (await relay.stop()).stderr;
}

test.each([
  ["an exempt address that forwards", ["--exempt=127.0.0.1"], 3, PROXIED, "an exempt address sends X-Forwarded-For, "],
  [
    "a proxy that is neither trusted nor exempt",
    ["--exempt=none"],
    3,
    PROXIED,
    "an address that is not trusted sends ",
  ],
  [
    "a trusted proxy that names nobody",
    ["--exempt=none", "--trust-proxy=127.0.0.1"],
    6,
    "",
    "a trusted proxy sends no ",
  ],
  [
    "a forwarder that is exempt and names nobody",
    ["--exempt=127.0.0.1", "--max-per-address=4"],
    7,
    "",
    "addresses in --exempt have more connections than ",
  ],
])("%s is warned of once, without an address", async (_, args, connections, header, warning) => {
  const stderr = await warningsAfter(args, connections, header);
  expect(stderr).toStartWith(`whisper-signaling: warning: ${warning}`);
  expect(stderr.trimEnd()).not.toContain("\n");
  expect(stderr).not.toMatch(/\d+\.\d+\.\d+/);
});

test.each([
  ["clients of no proxy", ["--exempt=none"], 6, ""],
  ["a check on the machine of a trusted proxy", ["--exempt=none", "--trust-proxy=127.0.0.1"], 3, ""],
  ["a trusted proxy as it should be", ["--exempt=none", "--trust-proxy=127.0.0.1"], 6, PROXIED],
  ["as many from exempt addresses as one may have", ["--exempt=127.0.0.1", "--max-per-address=4"], 4, ""],
])("%s are not", async (_, args, connections, header) => {
  expect(await warningsAfter(args, connections, header)).toBe("");
});
