/**
 * The rules that `print nftables` writes, loaded by the real nft in a network of its own in which the relay listens,
 * and strangers at this machine's end of the cable. Needs Linux, root, iproute2 and nftables, or it is skipped; under CI
 * it never is.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { newFolder } from "../support/machines/folder.ts";
import { pathOf } from "../support/machines/fronts.ts";
import { Network } from "../support/machines/netns.ts";
import { until } from "../support/machines/until.ts";
import { frame, OP, UPGRADE } from "../support/peers/raw.ts";
import { command, run, spawnProgram } from "../support/relays/relay.ts";

/** Mallory's, alice's: two of IPv4, and of IPv6 a /64 each, of which Mallory uses as many addresses as it likes. */
const MALLORY_4 = "198.18.78.1";
const ALICE_4 = "198.18.78.2";
const mallory6 = (n: number) => `fd77:0:0:1::${n + 1}`;
const ALICE_6 = "fd77:0:0:2::1";
const IPV6_ADDRESSES = 20;
const RELAY: Readonly<Record<string, string>> = {
  [MALLORY_4]: "198.18.78.254",
  [ALICE_4]: "198.18.78.254",
  [ALICE_6]: "fd77:0:0:2::ffff",
};
const relayFor = (from: string) => RELAY[from] ?? "fd77:0:0:1::ffff";

const LIMITS = ["--host=::", "--max-per-address=4", "--connect-rate=1", "--connect-burst=15", "--max-message=8KiB"];
/** What the rules make of them: see src/program/nftables.ts. */
const MOST_AT_ONCE = 8;
const MOST_AT_A_STROKE = 30;
const BURST_BYTES = 15 * 8 * 1_024;

const nft = pathOf("nft");

async function whyNot(): Promise<string | null> {
  if (nft === null) return "Debian's nftables would have to be installed";
  if (!(await Network.isPossible())) return "no network can be made: it needs root and iproute2";
  await using folder = await newFolder();
  await using network = await Network.create();
  const { stderr } = await load(network, folder.path);
  return stderr === "" ? null : `this kernel takes no such rules: ${stderr.split("\n")[0]}`;
}

async function load(network: Network, folder: string, port = 8_000): Promise<{ stderr: string }> {
  const { stdout } = await run(command("binary", "print", "nftables", `--port=${port}`, "--exempt=none", ...LIMITS));
  const path = join(folder, "rules");
  await writeFile(path, stdout);
  return run([...network.through, nft ?? "nft", "-f", path]);
}

const obstacle = await whyNot();
if (obstacle !== null) console.warn(`nftables.test.ts: the rules are not tried: ${obstacle}`);

test.skipIf(!process.env["CI"])("CI has nftables and a network to test with", () => {
  expect(obstacle).toBe(null);
});

describe.skipIf(obstacle !== null)("with the rules that are printed", () => {
  const held = new AsyncDisposableStack();
  let network: Network;
  let port = 0;
  let folder = "";
  const sockets: Socket[] = [];

  beforeAll(async () => {
    folder = held.use(await newFolder()).path;
    network = held.use(await Network.create());
    const own6 = Array.from({ length: IPV6_ADDRESSES }, (_, n) => `${mallory6(n)}/64`);
    await network.addAddresses(
      [`${MALLORY_4}/24`, `${ALICE_4}/24`, `${ALICE_6}/64`, ...own6],
      ["198.18.78.254/24", "fd77:0:0:1::ffff/64", "fd77:0:0:2::ffff/64"],
    );
    const relay = command("binary", "--port=0", "--exempt=none", ...LIMITS);
    port = held.use(await spawnProgram([...network.through, ...relay])).port;
  });
  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await held.disposeAsync();
  });

  /** Tries to connect. A second without an answer is a packet dropped. */
  function dial(from: string, head = "GET / HTTP/1.1\r\n"): Promise<Socket | "refused" | "dropped"> {
    const socket = connect({ host: relayFor(from), port, localAddress: from });
    sockets.push(socket);
    const { promise, resolve } = Promise.withResolvers<Socket | "refused" | "dropped">();
    socket.once("connect", () => {
      socket.write(head);
      resolve(socket);
    });
    socket.once("error", () => resolve("refused"));
    setTimeout(() => {
      if (socket.connecting) socket.destroy();
      resolve("dropped");
    }, 1_000);
    return promise;
  }

  async function opened(addresses: readonly string[]): Promise<number> {
    const dialed = await Promise.all(addresses.map((from) => dial(from)));
    return dialed.filter((socket) => typeof socket !== "string").length;
  }

  async function fresh(): Promise<void> {
    for (const socket of sockets.splice(0)) socket.destroy();
    await load(network, folder, port);
  }

  const upgrades = async (from: string) => {
    const socket = await dial(from, UPGRADE);
    if (typeof socket === "string") return false;
    return new Promise<boolean>((resolve) =>
      socket.once("data", (data) => resolve(/^HTTP\/1.1 101 /.test(String(data)))),
    );
  };

  test("heads that never end take no more connections at once than a stranger may have, and others get in", async () => {
    await fresh();
    expect(await opened(Array(20).fill(MALLORY_4))).toBe(MOST_AT_ONCE);
    expect(await upgrades(ALICE_4)).toBe(true);
  });

  test("the addresses of one /64 count as one stranger, those of another as another", async () => {
    await fresh();
    expect(await opened(Array.from({ length: IPV6_ADDRESSES }, (_, n) => mallory6(n)))).toBe(MOST_AT_ONCE);
    expect(await upgrades(ALICE_6)).toBe(true);
  });

  test("a connection that has ended makes room for another", async () => {
    await fresh();
    expect(await opened(Array(20).fill(MALLORY_4))).toBe(MOST_AT_ONCE);
    for (const socket of sockets.splice(0)) socket.resetAndDestroy();
    await until("the ban to be lifted", async () => typeof (await dial(MALLORY_4)) !== "string");
  });

  test("new connections beyond a burst are dropped, though each is closed at once", async () => {
    await fresh();
    let tried = 0;
    for (; tried < 2 * MOST_AT_A_STROKE; tried++) {
      const socket = await dial(MALLORY_4);
      if (socket === "dropped") break;
      if (typeof socket !== "string") socket.resetAndDestroy();
    }
    expect([tried >= MOST_AT_A_STROKE, tried < MOST_AT_A_STROKE + 10]).toEqual([true, true]);
  });

  test("empty continuation frames come no faster than messages could, and others get in", async () => {
    await fresh();
    const socket = await dial(MALLORY_4, UPGRADE);
    if (typeof socket === "string") throw new Error(`the connection was ${socket}`);
    const empty = Buffer.concat(Array.from({ length: 20_000 }, () => frame(OP.continuation, "", false)));
    socket.write(frame(OP.text, "", false));
    const write = () => {
      while (!socket.destroyed && socket.write(empty));
    };
    socket.on("drain", write);
    write();
    await Bun.sleep(1_500); // without the rules some hundred MB go by in this time
    const { stdout } = await run(["ss", "--tcp", "--info", "--no-header", "src", MALLORY_4, "dport", `= ${port}`]);
    const acknowledged = Math.max(...[...stdout.matchAll(/bytes_acked:(\d+)/g)].map(([, bytes]) => Number(bytes)));
    expect(acknowledged).toBeGreaterThan(BURST_BYTES / 4);
    expect(acknowledged).toBeLessThan(2 * BURST_BYTES);
    expect(await upgrades(ALICE_4)).toBe(true);
  });
});
