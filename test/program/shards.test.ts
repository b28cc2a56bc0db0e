/** Which nodes are told apart, and what balancers are told of them. Real balancers with real relays are tried in test/client. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { haproxyNodes, nginxNodes, nginxVerified, readNodes } from "../../src/program/shards.ts";
import { newFolder } from "../support/machines/folder.ts";
import { pathOf, startFront, whyNoFront, writeCertificate } from "../support/machines/fronts.ts";
import { command, run } from "../support/relays/relay.ts";

const NODES = ["http://10.0.0.1:8000", "http://10.0.0.2:8000", "http://[fd00::3]:8000"];

describe("nodes", () => {
  test("are the same, in the same order and with the same numbers, in whatever order they are given", () => {
    const nodes = readNodes(NODES);
    expect(nodes.map(({ address }) => address).toSorted()).toEqual([
      "10.0.0.1:8000",
      "10.0.0.2:8000",
      "[fd00::3]:8000",
    ]);
    for (const [a, b, c] of [
      [0, 2, 1],
      [2, 1, 0],
    ] as const)
      expect(readNodes([NODES[a], NODES[b], NODES[c]].map(String))).toEqual(nodes);
    const fewer = readNodes(NODES.slice(1));
    for (const { address, id } of fewer) expect(nodes.find((node) => node.address === address)?.id).toBe(id);
    for (const { id } of nodes) expect(id > 0 && id <= 0x7fffffff).toBe(true);
  });

  test("have the port of their scheme where none is given", () => {
    expect(
      readNodes(["https://a.example", "https://b.example:8443/"])
        .map(({ address }) => address)
        .toSorted(),
    ).toEqual(["a.example:443", "b.example:8443"]);
  });

  test.each([
    [["wss://a"], "is not a URL such as"],
    [["a:8000"], "is not a URL such as"],
    [["http://a/path"], "is not a URL such as"],
    [["http://user:word@a"], "is not a URL such as"],
    [["http://a:8000", "http://a:8000/"], "is given twice"],
    [["http://a", "https://b"], "http:// for all or https:// for all"],
  ])("%j are refused: it %s", (urls, why) => {
    expect(() => readNodes(urls)).toThrow(why);
  });

  test.each([true, false])("speak TLS, and are believed by their certificates then and only then: %p", (isTls) => {
    const nodes = readNodes([isTls ? "https://a" : "http://a"]);
    const { backends } = haproxyNodes(nodes, "relay.example.org", []);
    const servers = backends.filter((line) => line.includes(" server "));
    const verified = "ssl verify required ca-file @system-ca sni str(relay.example.org) verifyhost relay.example.org";
    expect(servers.filter((line) => line.includes(verified)).length).toBe(isTls ? servers.length : 0);
    const lines = nginxVerified(nodes, "relay.example.org").map((line) => line.trim());
    for (const line of ["proxy_ssl_verify on;", "proxy_ssl_name relay.example.org;"])
      expect(lines.includes(line)).toBe(isTls);
  });

  test.each(["a:0", "a;b", "a{b", 'a"b', "a'b", "a$b", "a*b", "(a)"])(
    "%s is refused, which a balancer would read as something else",
    (address) => {
      expect(() => readNodes([`http://${address}`])).toThrow("is not a URL such as");
    },
  );

  test("of which there is one, are balanced all the same", () => {
    const one = readNodes(["http://a"]);
    expect(haproxyNodes(one, "x", []).backends.filter((line) => line.includes(" server "))).toHaveLength(2);
    expect(nginxNodes(one).filter((line) => line.includes(" server "))).toHaveLength(1);
  });
});

describe("print", () => {
  const asked = (...urls: string[]) => urls.flatMap((url) => ["--node", url]);

  test("caddy has no way to be told of several", async () => {
    const { exitCode, stderr } = await run(command("binary", "print", "caddy", ...asked("http://a")));
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: "whisper-signaling: print caddy takes no --node: haproxy and nginx do\n",
    });
  });

  test.skipIf(pathOf("haproxy") === null).each(["http", "https"])(
    "haproxy finds nothing wrong with nodes by %s",
    async (scheme) => {
      await using folder = await newFolder();
      await writeCertificate(folder.path);
      const file = join(folder.path, "haproxy.cfg");
      const nodes = asked(`${scheme}://127.0.0.1:8001`, `${scheme}://127.0.0.1:8002`);
      const args = ["haproxy", ...nodes, "--cert", join(folder.path, "both.pem"), "--output", file];
      expect(await run(command("binary", "print", ...args))).toMatchObject({ exitCode: 0, stderr: "" });
      const { exitCode, stdout, stderr } = await run([pathOf("haproxy") ?? "", "-c", "-f", file]);
      expect([exitCode, stdout + stderr]).toEqual([0, expect.not.stringMatching(/ALERT|WARNING/)]);
    },
  );

  test.skipIf(whyNoFront() !== null).each(["haproxy", "nginx"] as const)("%s takes 300 nodes", async (name) => {
    const nodes = Array.from({ length: 300 }, (_, n) => `http://127.1.${n >> 8}.${n & 255}:9`);
    const { exitCode, stdout, stderr } = await run(command("binary", "print", name, ...asked(...nodes)));
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    await using _balancer = await startFront(name, stdout);
  });
});
