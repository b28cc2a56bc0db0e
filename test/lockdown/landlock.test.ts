/** The helper of --cluster under Landlock: what it may still connect to, as it is released. */
import { describe, expect, test } from "bun:test";
import { type EngineConfig, line, linesOf, type Report } from "../../src/cluster/pipe.ts";
import { EngineProcess } from "../support/cluster/engine-process.ts";
import { newFolder } from "../support/machines/folder.ts";
import { pathOf } from "../support/machines/fronts.ts";
import { expectUndisturbed, newPair } from "../support/peers/client.ts";
import { command, RELEASED, spawnProgram, type Variant } from "../support/relays/relay.ts";

/** What a helper that was confined to one port reports first of an engine at another, or at that one. */
async function firstOf(variant: Variant, confinedTo: number | null, config: Partial<EngineConfig>): Promise<Report[]> {
  const words = confinedTo === null ? [] : [`${confinedTo}`];
  const helper = Bun.spawn(command(variant, "cluster-helper", ...words), { env: {}, stdin: "pipe", stdout: "pipe" });
  const whole: EngineConfig = {
    ...{ addresses: ["127.0.0.1"], port: 1, isSocket: false, tlsName: null, ca: null, user: null, password: null },
    ...{ database: 0, node: "node", mayPersist: false, atMs: Date.now(), isLocked: true, ...config },
  };
  helper.stdin.write(line(whole));
  helper.stdin.flush();
  const reports: Report[] = [];
  for await (const text of linesOf(helper.stdout)) {
    reports.push(JSON.parse(text));
    if (reports.at(-1)?.[0] !== "locked") break;
  }
  helper.stdin.end();
  await helper.exited;
  return reports;
}

const [[, , obstacle] = []] = await firstOf("binary", 1, {});
const isOld = typeof obstacle === "string"; // no test can bring another kernel
if (isOld) console.warn(`landlock.test.ts: nothing is tried: ${obstacle}`);

describe.skipIf(isOld).each(RELEASED)("a helper (%s)", (variant) => {
  /** A port at which somebody listens, who closes each connection. */
  const listen = () =>
    Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => void socket.end(),
        data() {},
      },
    });

  test.each([true, false])(
    "reaches its engine's port and no other, whether its lock is on (%p) or not",
    async (isLocked) => {
      using engine = listen();
      using other = listen();
      const at = async (port: number) => (await firstOf(variant, engine.port, { port, isLocked })).at(-1);
      expect(await at(engine.port)).toEqual(["down", "connect", expect.stringContaining("closed"), null]);
      expect(await at(other.port)).toEqual(["down", "connect", "EACCES", null]);
    },
  );

  test("reaches no port where its engine has a path", async () => {
    using other = listen();
    const [down] = await firstOf(variant, 0, { port: other.port, isLocked: false });
    expect(down).toEqual(["down", "connect", "EACCES", null]);
  });

  test("that is not confined reaches any: nothing else keeps it from that", async () => {
    using other = listen();
    const [locked, down] = await firstOf(variant, null, { port: other.port });
    expect(locked).toEqual(["locked", null, null]);
    expect(down).toEqual(["down", "connect", expect.stringContaining("closed"), null]);
  });
});

test.skipIf(pathOf("strace") === null && !process.env["CI"])(
  "a relay whose helper can't be confined says so, and serves",
  async () => {
    const without = "inject=landlock_create_ruleset:error=EOPNOTSUPP";
    const tracer = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=landlock_create_ruleset", "-e", without];
    await using engine = await EngineProcess.start();
    await using folder = await newFolder();
    const secret = await folder.write("secret", "a secret that nobody guesses, ever");
    const args = [`--cluster=${engine.url}`, `--cluster-secret-file=${secret}`, "--drain=0s"];
    await using relay = await spawnProgram([...tracer, ...command("binary", ...args)]);
    await expectUndisturbed(await newPair(relay.url));
    process.kill(
      Number((await Bun.file(`/proc/${relay.process.pid}/task/${relay.process.pid}/children`).text()).trim()),
    );
    expect((await relay.ended()).stderr).toBe(
      "whisper-signaling: warning: a helper of --cluster may connect to any port: there is no Landlock that knows ports (Linux 6.7)\n",
    );
  },
);
