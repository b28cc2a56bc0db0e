/** The listener for the operator, from outside: what it says in each state, and that strangers hear none of it. */

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json" with { type: "json" };
import { startAdmin } from "../../src/program/admin.ts";
import { gauges } from "../../src/program/books.ts";
import { newFolder } from "../support/machines/folder.ts";
import { counted, scrape } from "../support/machines/metrics.ts";
import { atLeast, equals, until } from "../support/machines/until.ts";
import { Client, expectUndisturbed, newCode, newPair } from "../support/peers/client.ts";
import { RawClient, UPGRADE } from "../support/peers/raw.ts";
import { startHandRelay } from "../support/relays/in-process.ts";
import { command, commitOf, RELEASED, type RunningRelay, run, spawnRelay } from "../support/relays/relay.ts";

const ADMIN = "--admin=127.0.0.1:0";
const ask = async (relay: RunningRelay, path: string) => {
  const answer = await relay.admin(path);
  return `${answer.status} ${(await answer.text()).trimEnd()}`;
};

describe.each(RELEASED)("the listener for the operator (%s)", (variant) => {
  test("says that all is well, and the public port knows nothing of it", async () => {
    await using relay = await spawnRelay(variant, ADMIN);
    expect([await ask(relay, "/livez"), await ask(relay, "/readyz")]).toEqual(["200 ok", "200 ok"]);
    const metrics = await relay.admin("/metrics");
    expect(metrics.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(metrics.headers.get("cache-control")).toBe("no-store");
    expect(await counted(relay, "whisper_readiness")).toEqual({ ok: 1 });
    for (const path of ["/", "/health", "/metrics/", "/debug"]) expect((await relay.admin(path)).status).toBe(404);
    for (const path of ["/livez", "/readyz", "/metrics"]) expect((await relay.get(path)).status).toBe(404);
    expect((await relay.get("/health")).status).toBe(200);
  });

  test("is off unless it is asked for", async () => {
    const relay = await spawnRelay(variant);
    await using _ = relay;
    expect((await relay.stop()).stdout).not.toContain("operator");
  });

  test("takes no WebSocket and no other method", async () => {
    await using relay = await spawnRelay(variant, ADMIN);
    const { url } = await relay.admin("/livez");
    const raw = await RawClient.dial(Number(URL.parse(url)?.port));
    raw.write(UPGRADE);
    expect(await raw.head()).toStartWith("HTTP/1.1 404 ");
    raw.end();
    expect((await fetch(url, { method: "POST", body: "x" })).status).toBe(404);
  });

  test("sends others elsewhere while there are more peers than --high-water, and no longer", async () => {
    await using relay = await spawnRelay(variant, ADMIN, "--high-water=1");
    const alice = await Client.connect(relay.url);
    expect(await ask(relay, "/readyz")).toBe("200 ok");
    const bob = await Client.connect(relay.url);
    expect(await ask(relay, "/readyz")).toBe("503 crowded");
    expect(await counted(relay, "whisper_readiness")).toEqual({ crowded: 1 });
    expect(await ask(relay, "/livez")).toBe("200 ok");
    await Client.connect(relay.url); // it still takes who comes
    for (const client of [alice, bob]) client.close();
    await until("readiness", () => ask(relay, "/readyz"), equals("200 ok"));
  });

  test("keeps answering while the relay drains, and goes with it", async () => {
    await using relay = await spawnRelay(variant, ADMIN, "--drain=60s");
    const pair = await newPair(relay.url);
    const stopped = relay.stop();
    await until("the drain", () => ask(relay, "/readyz"), equals("503 draining"));
    expect(await ask(relay, "/livez")).toBe("200 ok");
    expect(await counted(relay, "whisper_readiness")).toEqual({ draining: 1 });
    expect(await Client.connect(relay.url).catch(String)).toContain("no connection");
    expect(await counted(relay, "whisper_upgrades_total")).toEqual({ taken: 2, draining: 1 });
    await expectUndisturbed(pair);
    expect((await scrape(relay)).get('whisper_sessions{state="paired"}')).toBe(1);
    pair.alice.close();
    pair.bob.close();
    expect((await stopped).exitCode).toBe(0);
    expect(await relay.admin("/livez").catch(() => "gone")).toBe("gone");
  });

  test.each(["127.0.0.1", "[::1]"])("that can't have its port on %s ends the start with one line", async (host) => {
    // Its holder would share the port: the operator's is shared with nobody, for no answer would then be of one relay.
    const shared = { port: 0, reusePort: true, fetch: () => new Response() };
    const taken = Bun.serve({ hostname: host.replace(/[[\]]/g, ""), ...shared });
    const relay = await run(command(variant, `--admin=${host}:${taken.port}`, "--host=127.0.0.1", "--port=0"));
    const where = `${host.replace(/[[\]]/g, "")} port ${taken.port}`;
    taken.stop(true);
    expect(relay).toEqual({
      ...{ exitCode: 1, stdout: "" },
      stderr: `whisper-signaling: can't listen on ${where}: it is in use; \`ss -ltnp\` shows by whom\n`,
    });
  });

  test("tells of the process what the system tells of it", async () => {
    await using relay = await spawnRelay(variant, ADMIN);
    await scrape(relay); // from here on its connection stays open
    await Promise.all(Array.from({ length: 20 }, () => Client.connect(relay.url)));
    const before = outside(relay.process.pid);
    const found = await scrape(relay);
    const after = outside(relay.process.pid);
    const value = (name: string) => found.get(name) ?? Number.NaN;
    expect(value("process_open_fds")).toBeWithin(before.openFiles - 1, before.openFiles + 2);
    expect(value("process_open_fds")).toBeGreaterThan(20);
    expect(value("process_max_fds")).toBe(before.maxFiles);
    expect(value("process_resident_memory_bytes")).toBeWithin(before.residentBytes * 0.8, before.residentBytes * 1.25);
    expect(value("process_cpu_seconds_total")).toBeWithin(before.cpuSeconds, after.cpuSeconds + 0.001);
    expect(value("process_start_time_seconds") * 1_000).toBeWithin(Date.now() - 60_000, Date.now() + 2_000);
    const build = [...found.keys()].find((name) => name.startsWith("whisper_build_info"));
    expect(build).toBe(`whisper_build_info{version="${version}",commit="${commitOf(variant)}",bun="${Bun.version}"}`);
  });

  test("tells how long the certificate lasts, and nothing of it where there is none", async () => {
    await using folder = await newFolder();
    const [cert, key] = [join(folder.path, "cert.pem"), join(folder.path, "key.pem")];
    const subject = ["-subj", "/CN=relay.example", "-days", "10", "-nodes", "-newkey", "ec"];
    const made = ["req", "-x509", ...subject, "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", key, "-out", cert];
    expect((await run(["openssl", ...made])).exitCode).toBe(0);

    await using relay = await spawnRelay(variant, ADMIN, `--tls-cert=${cert}`, `--tls-key=${key}`);
    const left = (await scrape(relay)).get("whisper_tls_certificate_expiry_seconds");
    expect(left).toBeWithin(10 * 86_400 - 60, 10 * 86_400 + 1);
    expect(await ask(relay, "/readyz")).toBe("200 ok"); // the operator's port stays plain
    await using plain = await spawnRelay(variant, ADMIN);
    expect(await (await plain.admin("/metrics")).text()).not.toContain("certificate");
  });

  test("names nothing that a peer sent", async () => {
    const proxy = ["--trust-proxy=127.0.0.0/8", "--exempt=none", "--max-per-address=2"];
    await using relay = await spawnRelay(variant, ADMIN, ...proxy, "--origin=https://chat.example");
    const sessionCode = newCode();
    const forged = `${UPGRADE.replace("GET /", "GET /evil-path").trimEnd()}\r\nUser-Agent: evil-agent`;
    const heads: string[] = [];
    for (const origin of ["https://chat.example", "https://evil-origin.example", "https://chat.example"]) {
      const raw = await RawClient.dial(relay.port);
      raw.write(`${forged}\r\nOrigin: ${origin}\r\nX-Forwarded-For: 203.0.113.77\r\nX-Evil: evil-header\r\n\r\n`);
      heads.push((await raw.head()).slice(9, 12));
      raw.say({ type: "join", sessionCode, token: "evil-token" });
      raw.say({ type: "evil-type", sessionCode });
      raw.say({ type: "offer", sessionCode: "evil-code", offer: { sdp: "evil-sdp" } });
    }
    expect(heads).toEqual(["101", "403", "101"]);
    await until(
      "an error to be counted",
      async () => (await counted(relay, "whisper_errors_total"))["wrong-session"] ?? 0,
      atLeast(1),
    );
    const text = await (await relay.admin("/metrics?evil-query")).text();
    expect(text).not.toMatch(/evil|203\.0\.113|127\.0\.0|chat\.example/);
    expect(text).not.toContain(sessionCode);
  });
});

/** What the system says of a process: the same files, read by another one. */
function outside(pid: number): { residentBytes: number; cpuSeconds: number; openFiles: number; maxFiles: number } {
  const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, "latin1");
  const fields = read("stat")
    .replace(/^.*\) /s, "")
    .split(" ");
  return {
    residentBytes: Number(/^VmRSS:\s+(\d+)/m.exec(read("status"))?.[1]) * 1_024,
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
    openFiles: readdirSync(`/proc/${pid}/fd`).length,
    maxFiles: Number(/^Max open files\s+(\d+)/m.exec(read("limits"))?.[1]),
  };
}

describe("the listener, in this process", () => {
  test("is not ready while the relay finds a difference in its own books, crowded or not", async () => {
    const { relay, books, url } = startHandRelay();
    let isCrowded = false;
    const sources = {
      status: () => books.status,
      isCrowded: () => isCrowded,
      isCutOff: () => false,
      metrics: () => "",
    };
    const admin = startAdmin("127.0.0.1", 0, sources);
    const readyz = async () => (await fetch(`${admin.address}/readyz`)).text();
    const { alice, bob } = await newPair(url);
    relay.sweep();
    expect(await readyz()).toBe("ok\n");
    alice.close();
    await until("one socket to be left", () => gauges(relay.state).sockets, equals(1));
    relay.state.seats++; // one that was never given back
    relay.sweep();
    for (isCrowded of [false, true]) expect(await readyz()).toBe("degraded\n");
    expect(await (await fetch(`${admin.address}/metrics`)).text()).toContain('{state="degraded"} 1\n');
    expect((await fetch(`${admin.address}/livez`)).status).toBe(200);
    bob.close();
    await Promise.all([admin.stop(), relay.stop()]);
  });

  test("is alive, and says no more than that, after a fault in what it asks", async () => {
    const metrics = () => {
      throw new Error("a secret");
    };
    const sources = { status: () => "ok" as const, isCrowded: () => false, isCutOff: () => false, metrics };
    const admin = startAdmin("127.0.0.1", 0, sources);
    const get = async (path: string) => {
      const answer = await fetch(`${admin.address}${path}`);
      return [answer.status, await answer.text()];
    };
    expect(await get("/metrics")).toEqual([500, "Internal error\n"]);
    expect(await get("/livez")).toEqual([200, "ok\n"]);
    await admin.stop();
  });
});
