/**
 * The files of deploy/cluster: the engine takes its settings and its user, HAProxy its configuration, and peers meet
 * behind it. Where HAProxy is missing its part is skipped, but never under CI.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { isIn, parseAddress } from "../../src/core/addresses.ts";
import { OPTIONS, readConfig } from "../../src/program/config.ts";
import { environmentName } from "../../src/program/environment.ts";
import { parseCidr } from "../../src/program/options.ts";
import { HAPROXY, startBalancer } from "../support/cluster/balancer.ts";
import { EngineProcess } from "../support/cluster/engine-process.ts";
import { startNodes } from "../support/cluster/nodes.ts";
import { newFolder } from "../support/machines/folder.ts";
import { Client, expectUndisturbed, newPair } from "../support/peers/client.ts";
import { ROOT } from "../support/relays/relay.ts";

const read = (path: string) => readFileSync(resolve(ROOT, "deploy/cluster", path), "utf8");

test.if(Boolean(process.env["CI"]))("CI has HAProxy to test with", () => {
  expect(HAPROXY).not.toBeNull();
});

describe("valkey.conf", () => {
  test("is taken by the engine, which saves nothing and throws nothing away", async () => {
    await using engine = await EngineProcess.start({
      args: ["--include", resolve(ROOT, "deploy/cluster/valkey.conf"), "--port", "0"],
    });
    const settings = ["save", "appendonly", "maxmemory-policy", "maxmemory"].map((name) =>
      engine.ask("CONFIG", "GET", name),
    );
    expect((await Promise.all(settings)).map((text) => text.split("\n").at(1) ?? "")).toEqual([
      ...["", "no", "noeviction", `${256 * 1_048_576}`],
    ]);
  });

  test("has a user that may do what a relay does, and nothing more", async () => {
    const [, rules = ""] = /^# +user relay (.*)$/m.exec(read("valkey.conf")) ?? [];
    await using engine = await EngineProcess.start();
    await engine.ask("ACL", "SETUSER", "relay", ...rules.replace("PASSWORD", "word").split(" "));
    await using folder = await newFolder();
    const password = await folder.write("password", "word");
    const args = ["--admin=127.0.0.1:0", `--cluster-password-file=${password}`];
    await using cluster = await startNodes(2, "binary", args, engine, `${engine.url}?user=relay`);
    const [one, other] = cluster.nodes;
    if (!one || !other) throw new Error("no nodes");
    const alice = await Client.join(one.url, "AAAAAAAA", true);
    const bob = await Client.join(other.url, "AAAAAAAA", false);
    await Promise.all([alice.expect("ready"), bob.expect("ready")]);
    await expectUndisturbed({ code: "AAAAAAAA", alice, bob });
    const mayNot = await engine.ask("ACL", "DRYRUN", "relay", "FLUSHALL");
    expect(mayNot).toContain("no permissions");
    expect((await engine.ask("ACL", "LOG")).trim()).toBe("");
  });
});

describe("compose.yml", () => {
  const compose = Bun.YAML.parse(read("compose.yml")) as Compose;
  const { relay1, relay2, relay3, engine, haproxy } = compose.services;

  test("starts three relays with options that there are, for the engine and the network beside them", () => {
    expect([relay2, relay3]).toEqual([relay1, relay1]);
    const names = Object.values(OPTIONS).map(({ flag }) => environmentName(flag));
    const { environment } = relay1;
    for (const name of Object.keys(environment)) expect(names).toContain(name);
    const config = readConfig([], environment, relay1.ulimits["nofile"]);
    expect(config.cluster.map(({ host }) => Object.keys(compose.services).includes(host))).toEqual([true]);
    expect(relay1.secrets.map((name) => `/run/secrets/${name}`)).toEqual([
      `${environment["WHISPER_CLUSTER_SECRET_FILE"]}`,
    ]);
    const subnets = compose.networks.inside.ipam.config.map(({ subnet }) => parseCidr(subnet));
    expect<unknown>(config.trustProxy).toEqual(subnets);
    expect(isIn(parseAddress("172.31.254.3") ?? 0n, config.trustProxy)).toBe(true);
    expect(Number.parseInt(relay1.stop_grace_period, 10) * 1_000).toBeGreaterThan(config.drainMs);
  });

  test("gives none of them a disk, or privileges; and a way out to HAProxy alone", () => {
    for (const service of [relay1, engine, haproxy]) {
      expect([service.read_only, service.cap_drop]).toEqual([true, ["ALL"]]);
      expect((service.volumes ?? []).filter((volume) => !volume.endsWith(":ro"))).toEqual([]);
    }
    expect([relay1.networks, engine.networks, haproxy.networks]).toEqual([
      ["inside"],
      ["inside"],
      ["inside", "outside"],
    ]);
    expect(compose.networks.inside.internal).toBe(true);
  });

  test("gives HAProxy the names of the relays instead of addresses", async () => {
    const [, , script = ""] = haproxy.entrypoint;
    const sed = /^sed '(.*?)'/.exec(script)?.[1] ?? "";
    const changed = await Bun.$`sed ${sed} ${resolve(ROOT, "deploy/cluster/haproxy.cfg")}`.text();
    expect(changed.match(/server relay\d \S+/g)?.map(String)).toEqual(
      [1, 2, 3].map((n) => `server relay${n} relay${n}:8000`),
    );
  });
});

test.skipIf(HAPROXY === null)(
  "behind the real HAProxy pairs meet at three relays, also after one is gone",
  async () => {
    await using cluster = await startNodes(3, "binary", ["--admin=127.0.0.1:0", "--trust-proxy=127.0.0.1"]);
    const ports = cluster.nodes.map(({ port, stdout }) => {
      const operator = /listening for the operator on http:\S+?:(\d+)/.exec(stdout.text)?.[1];
      return { port, admin: Number(operator) };
    });
    await using balancer = await startBalancer(ports);
    const { url } = balancer;
    const pairs = await Promise.all(Array.from({ length: 12 }, () => newPair(url)));
    for (const pair of pairs) await expectUndisturbed(pair);
    const sessions = await Promise.all(cluster.nodes.map((node) => node.sessions()));
    expect(sessions.filter((count) => count > 0).length).toBe(3);
    for (const { alice, bob } of pairs) for (const peer of [alice, bob]) peer.close();
    await cluster.nodes[0]?.stop("SIGKILL");
    for (const pair of await Promise.all(Array.from({ length: 6 }, () => newPair(url)))) await expectUndisturbed(pair);
  },
);

interface Service {
  readonly environment: Record<string, string>;
  readonly entrypoint: string[];
  readonly stop_grace_period: string;
  readonly secrets: string[];
  readonly networks: string[];
  readonly volumes?: string[];
  readonly read_only: boolean;
  readonly cap_drop: string[];
  readonly ulimits: Record<string, number>;
}
interface Compose {
  readonly services: Record<"relay1" | "relay2" | "relay3" | "engine" | "haproxy", Service>;
  readonly networks: {
    readonly inside: { readonly internal: boolean; readonly ipam: { config: { subnet: string }[] } };
  };
}
