/**
 * The files of deploy/, as far as they can be tried without an engine: that they agree with the image, the options and
 * this kernel. The unit is in print.test.ts. Where Caddy is missing its part is skipped, but never under CI.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { isIn, parseAddress, UNKNOWN } from "../../src/core/addresses.ts";
import { OPTIONS, readConfig } from "../../src/program/config.ts";
import { environmentName } from "../../src/program/environment.ts";
import { parseCidr } from "../../src/program/options.ts";
import { newFolder } from "../support/machines/folder.ts";
import { pathOf, writeCertificate } from "../support/machines/fronts.ts";
import { command, ROOT, run, spawnRelay } from "../support/relays/relay.ts";

const read = (path: string) => readFileSync(resolve(ROOT, path), "utf8");

test.skipIf(pathOf("shellcheck") === null && !process.env["CI"])(
  "shellcheck has nothing to say about .ci/run",
  async () => {
    expect(await run(["shellcheck", resolve(ROOT, ".ci/run")])).toEqual({ exitCode: 0, stdout: "", stderr: "" });
  },
);

interface Service {
  readonly build?: string;
  readonly image: string;
  readonly environment: Record<string, string>;
  readonly stop_grace_period?: string;
  readonly networks: string[];
  readonly ports?: string[];
  readonly volumes?: string[];
  readonly read_only: boolean;
  readonly cap_drop: string[];
  readonly security_opt: string[];
  readonly ulimits: Record<string, number>;
}
interface Compose {
  readonly services: { readonly relay: Service; readonly caddy: Service };
  readonly networks: { readonly inside: { readonly internal: boolean; readonly ipam: Ipam } };
  readonly volumes: Record<string, object>;
}
interface Ipam {
  readonly config: { readonly subnet: string }[];
}

const compose = Bun.YAML.parse(read("deploy/compose.yml")) as Compose;
const { relay, caddy } = compose.services;

describe("compose.yml", () => {
  test("starts the image of the Dockerfile, on its own, without privileges and without a place to write", () => {
    expect(existsSync(resolve(ROOT, "deploy", relay.build ?? "", "Dockerfile"))).toBe(true);
    for (const service of [relay, caddy]) {
      expect(service.read_only).toBe(true);
      expect(service.cap_drop).toEqual(["ALL"]);
      expect(service.security_opt).toEqual(["no-new-privileges:true"]);
    }
    expect([relay.ports, relay.volumes, relay.ulimits["core"]]).toEqual([undefined, undefined, 0]);
  });

  test("sets options that exist, to values that are allowed under the limit of open files that it gives", () => {
    const names = Object.values(OPTIONS).map(({ flag }) => environmentName(flag));
    for (const name of Object.keys(relay.environment)) expect(names).toContain(name);
    expect(readConfig([], relay.environment, relay.ulimits["nofile"]).maxPeers).toBeGreaterThan(50_000);
    expect(caddy.ulimits["nofile"]).toBe(2 * (relay.ulimits["nofile"] ?? 0));
  });

  test("waits for longer than the relay drains", () => {
    const grace = Number(/^(\d+)s$/.exec(relay.stop_grace_period ?? "")?.[1]) * 1_000;
    expect(grace).toBeGreaterThan(readConfig([], relay.environment).drainMs);
  });

  test("puts the relay on a network without a way out, and has it trust that network and nothing else", () => {
    expect(relay.networks).toEqual(["inside"]);
    expect(caddy.networks).toContain("inside");
    const { internal, ipam } = compose.networks.inside;
    expect(internal).toBe(true);
    const subnets = ipam.config.map(({ subnet }) => parseCidr(subnet));
    expect<unknown>(readConfig([], relay.environment).trustProxy).toEqual(subnets);
    const inside = subnets.filter((subnet) => subnet !== null);
    expect(isIn(parseAddress("172.31.255.2") ?? UNKNOWN, inside)).toBe(true);
    expect(isIn(parseAddress("172.31.255.16") ?? UNKNOWN, inside)).toBe(false);
  });

  test("gives Caddy the Caddyfile, volumes that are declared, and the ports of the web", () => {
    const [config, ...kept] = (caddy.volumes ?? []).map((volume) => volume.split(":"));
    expect(config).toEqual(["./Caddyfile", "/etc/caddy/Caddyfile", "ro"]);
    expect(kept.map(([name]) => name)).toEqual(Object.keys(compose.volumes));
    expect(caddy.ports).toEqual(["80:80", "443:443"]);
  });
});

describe("the Caddyfile", () => {
  const text = read("deploy/Caddyfile");
  test("leads to the relay of compose.yml on the port of the image, for the name that compose.yml gives", () => {
    expect(text).toContain(`reverse_proxy relay:${/^EXPOSE (\d+)$/m.exec(read("Dockerfile"))?.[1]}\n`);
    expect([...text.matchAll(/\{\$(\w+)\}/g)].map(([, name]) => name)).toEqual(Object.keys(caddy.environment));
    expect(readConfig([], relay.environment).port).toBe(Number(OPTIONS.port.default));
  });

  test("keeps the same things out of Caddy's log as the block that is printed", async () => {
    const log = /^\tlog \{\n.*?^\t\}/ms;
    const printed = (await run(command("binary", "print", "caddy"))).stdout;
    expect(log.exec(text)?.[0]).toBe(log.exec(printed)?.[0] ?? "nothing");
  });

  const hasCaddy = pathOf("caddy") !== null;
  if (!hasCaddy) console.warn("deploy.test.ts: the Caddyfile is not tried: Debian's caddy would have to be installed");
  test.skipIf(!hasCaddy && !process.env["CI"])("is one to Caddy, and formatted as Caddy formats", async () => {
    await using folder = await newFolder();
    const env = { HOME: folder.path, RELAY_DOMAIN: "relay.example.org" };
    const file = resolve(ROOT, "deploy/Caddyfile");
    const valid = await run(["caddy", "validate", "--adapter", "caddyfile", "--config", file], env);
    expect(valid).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("Valid configuration") });
    expect(valid.stderr).not.toContain('"level":"warn"');
    expect((await run(["caddy", "fmt", file], env)).stdout).toBe(text);
  });
});

describe("the image's health check", () => {
  test("finds a relay that the environment makes speak TLS", async () => {
    await using folder = await newFolder();
    await writeCertificate(folder.path);
    const files = { WHISPER_TLS_CERT: `${folder.path}/cert.pem`, WHISPER_TLS_KEY: `${folder.path}/key.pem` };
    await using running = await spawnRelay(
      "binary",
      `--tls-cert=${files.WHISPER_TLS_CERT}`,
      `--tls-key=${files.WHISPER_TLS_KEY}`,
    );
    const port = { WHISPER_PORT: `${running.port}` };
    expect((await run(command("binary", "check"), { ...port, ...files })).exitCode).toBe(0);
    expect((await run(command("binary", "check"), port)).exitCode).toBe(1);
  });
});

describe("sysctl.conf", () => {
  const text = read("deploy/sysctl.conf");
  const settings = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  /** Keys that a module brings, which a machine without a firewall need not have. */
  const ofModules = /^net\.netfilter\./;

  test.each(settings)("%s is a setting of this kernel, and is explained", (setting) => {
    const [, key = "", value = ""] = /^-?([a-z0-9_.]+) = (\d+(?: \d+)*)$/.exec(setting) ?? [];
    const path = `/proc/sys/${key.replaceAll(".", "/")}`;
    if (!ofModules.test(key) || existsSync(path))
      expect(readFileSync(path, "utf8").trim().split(/\s+/).length).toBe(value.split(" ").length);
    const [paragraph = ""] = text.split("\n\n").filter((part) => part.split("\n").includes(setting));
    expect(paragraph).toStartWith("# ");
  });

  test("leaves the ports that the relay listens on out of the range that others are given", () => {
    const [, low] = /^net\.ipv4\.ip_local_port_range = (\d+) /m.exec(text) ?? [];
    expect(Number(low)).toBeGreaterThan(Number(OPTIONS.port.default));
  });
});
