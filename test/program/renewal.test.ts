/**
 * A renewed certificate without dropping anyone: a new relay takes the port while the old one drains, by hand and as
 * deploy/renew-hook.sh does it. The drain itself is in drain.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { copyFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Authority, type Files, files } from "../support/machines/certificates.ts";
import { newFolder } from "../support/machines/folder.ts";
import { freePort } from "../support/machines/free-port.ts";
import { Systemd } from "../support/machines/systemd.ts";
import { openTunnel, shakeHands } from "../support/machines/tunnel.ts";
import { Client, expectUndisturbed, newCode, newPair, type Pair } from "../support/peers/client.ts";
import { command, type Outcome, RELEASED, ROOT, run, spawnRelay } from "../support/relays/relay.ts";

const HOOK = resolve(ROOT, "deploy/renew-hook.sh");
/** Handshakes enough that one with the wrong relay would show. */
const HANDSHAKES = 20;

let authority: Authority;
let ca: string;
let first: Files;
let second: Files;
beforeAll(async () => {
  authority = await Authority.create();
  ca = await authority.root();
  first = await authority.issue();
  second = await authority.issue();
});
afterAll(() => authority[Symbol.asyncDispose]());

/** That whoever connects now is shown this certificate. */
async function expectShown({ certFile }: Files, port: number): Promise<void> {
  const { fingerprint256 } = new X509Certificate(await Bun.file(certFile).text());
  for (let i = 0; i < HANDSHAKES; i++)
    expect(await shakeHands(port, { ca })).toMatchObject({ failure: null, fingerprint: fingerprint256 });
}

/** A pair of which one has sent an offer and waits for the answer, and the answer that completes it. */
async function newPairMidway(url: string): Promise<Pair & { complete(): Promise<void> }> {
  const pair = await newPair(url);
  const { alice, bob, code } = pair;
  const offer = alice.send({ type: "offer", sessionCode: code, offer: { type: "offer", sdp: newCode() } });
  expect(await bob.next()).toBe(offer);
  async function complete(): Promise<void> {
    const answer = bob.send({ type: "answer", sessionCode: code, answer: { type: "answer", sdp: newCode() } });
    expect(await alice.next()).toBe(answer);
    await expectUndisturbed(pair);
    alice.close();
    expect(await bob.next()).toBe('{"type":"peer-left"}');
  }
  return { ...pair, complete };
}

/** That a peer that waits is told to come back, does so, and meets the other there. */
async function expectToMeetElsewhere(waiting: Client, code: string, url: string): Promise<Pair> {
  await waiting.expectError("restarting");
  expect(await waiting.closed).toEqual({ code: 1012, reason: "restarting" });
  const pair = await newPair(url, code);
  await expectUndisturbed(pair);
  return pair;
}

test.each(RELEASED)("a new relay takes over the port and the old one drops nobody (%s)", async (variant) => {
  await using old = await spawnRelay(variant, ...first.args, "--reuse-port", "--drain=1h");
  await using tunnel = await openTunnel(old.port, { ca });
  const midway = await newPairMidway(tunnel.url);
  const code = newCode();
  const waiting = await Client.join(tunnel.url, code, true);
  await expectShown(first, old.port);

  await using renewed = await spawnRelay(variant, ...second.args, "--reuse-port", `--port=${old.port}`);
  const ended = old.stop();
  const pair = await expectToMeetElsewhere(waiting, code, tunnel.url);
  await expectShown(second, old.port);
  await midway.complete();
  expect(await ended).toMatchObject({ exitCode: 0, stderr: "" });
  await expectUndisturbed(pair);
  expect(await renewed.sessions()).toBe(1);
});

describe("the hook for certbot", () => {
  /** A machine on which two instances of the relay take turns, and certbot writes the certificate. */
  async function newMachine() {
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(await newFolder());
    const live = files(folder.file("fullchain.pem"), folder.file("privkey.pem"));
    const port = freePort();
    const instances = [freePort(), freePort()] as const;
    const systemd = stack.use(
      await Systemd.create((unit) => {
        const shared = ["--host=127.0.0.1", `--port=${port}`, "--reuse-port", "--drain=1h"];
        const [, instance] = /^whisper-signaling@(\d+)\.service$/.exec(unit) ?? [];
        return command("binary", ...shared, `--admin=127.0.0.1:${instance}`, ...live.args);
      }),
    );
    const tunnel = stack.use(await openTunnel(port, { ca }));
    const [a, b] = instances.map((instance) => `whisper-signaling@${instance}.service`);
    const owned = stack.move();
    return {
      port,
      systemd,
      url: tunnel.url,
      units: { a: `${a}`, b: `${b}` },
      async renew({ certFile, keyFile }: Files) {
        await copyFile(certFile, live.certFile);
        await copyFile(keyFile, live.keyFile);
      },
      /** Starts the first instance. */
      async start() {
        expect(await systemd.start(`${a}`)).toBeTrue();
      },
      hook(env: Record<string, string> = {}): Promise<Outcome> {
        const PATH = `${systemd.path}:${process.env["PATH"]}`;
        return run(["sh", HOOK], { PATH, WHISPER_INSTANCES: instances.join(" "), ...env });
      },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  }

  test("starts the other instance, and stops the one that runs when that is ready; the next time back again", async () => {
    await using machine = await newMachine();
    const { port, systemd, url, units } = machine;
    await machine.renew(first);
    await machine.start();
    let [from, to] = [units.a, units.b];
    for (const certificate of [second, first]) {
      const midway = await newPairMidway(url);
      const code = newCode();
      const waiting = await Client.join(url, code, false);
      await machine.renew(certificate);
      systemd.calls.length = 0;
      const hook = machine.hook();
      await (await expectToMeetElsewhere(waiting, code, url)).alice.close();
      await expectShown(certificate, port);
      await midway.complete();
      const stderr = `renew-hook: ${to} serves now\n`;
      expect(await hook).toEqual({ exitCode: 0, stdout: "", stderr });
      expect(systemd.calls).toEqual([`stop ${to}`, `start ${to}`, `enable ${to}`, `disable ${from}`, `stop ${from}`]);
      expect(systemd.running).toEqual([to]);
      [from, to] = [to, from];
    }
  });

  test("leaves the one that runs alone where the new certificate is no good", async () => {
    await using machine = await newMachine();
    const { port, systemd, units } = machine;
    await machine.renew(first);
    await machine.start();
    const pair = await newPair(machine.url);
    await machine.renew(files(first.certFile, second.keyFile));
    const { exitCode, stderr } = await machine.hook();
    expect(exitCode).toBe(1);
    expect(stderr).toBe(
      `renew-hook: ${units.b} does not start, and the old one goes on; see journalctl -u ${units.b}\n`,
    );
    expect(systemd.running).toEqual([units.a]);
    await expectShown(first, port);
    await expectUndisturbed(pair);
  });

  test("leaves the one that runs alone where the new one can't listen", async () => {
    await using machine = await newMachine();
    await machine.renew(first);
    await machine.start();
    const admin = machine.units.b.replace(/\D+/g, ""); // of which somebody else holds the port
    await using _ = Bun.serve({
      hostname: "127.0.0.1",
      port: Number(admin),
      fetch: () => new Response("", { status: 503 }),
    });
    expect((await machine.hook()).exitCode).toBe(1);
    expect(machine.systemd.running).toEqual([machine.units.a]);
    await expectShown(first, machine.port);
  });

  test("starts one where none runs, and ends one that was left over from a renewal cut short", async () => {
    await using machine = await newMachine();
    const { systemd, units } = machine;
    await machine.renew(first);
    expect((await machine.hook()).exitCode).toBe(0);
    expect(systemd.running).toEqual([units.a]);
    expect(await systemd.start(units.b)).toBeTrue();
    await machine.renew(second);
    expect((await machine.hook()).exitCode).toBe(0);
    expect(systemd.running).toEqual([units.b]);
    await expectShown(second, machine.port);
  });

  test("is told when it has not two instances to choose from", async () => {
    await using machine = await newMachine();
    await machine.renew(first);
    await machine.start();
    const [only = ""] = machine.units.a.match(/\d+/) ?? [];
    const { exitCode, stderr } = await machine.hook({ WHISPER_INSTANCES: only });
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: "renew-hook: WHISPER_INSTANCES names fewer than two instances\n",
    });
    expect(machine.systemd.running).toEqual([machine.units.a]);
  });

  test("its unit is printed for both instances, which are one user, and is ready when it says so", async () => {
    const options = ["--port=443", "--reuse-port", "--admin=[::1]:9001", "--tls-cert=/x/c.pem", "--tls-key=/x/k.pem"];
    const { exitCode, stdout } = await run(command("binary", "print", "systemd@", ...options));
    expect(exitCode).toBe(0);
    const lines = stdout.replaceAll(/\\\n\s*/g, "").split("\n");
    const flags = ["tls-cert", "tls-key"].map((name) => `--${name}=\${CREDENTIALS_DIRECTORY}/${name}`).join(" ");
    expect(lines).toContain(
      `ExecStart=/usr/local/bin/whisper-signaling --port=443 ${flags} --admin=[::1]:%i --reuse-port=on`,
    );
    for (const line of ["LoadCredential=tls-cert:/x/c.pem", "User=whisper-signaling", "Type=notify"])
      expect(lines).toContain(line);
    expect(lines).toContain("AssertPathExists=/x/c.pem");
  });

  test("is plain sh", async () => {
    expect(await run(["sh", "-n", HOOK])).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    expect(await Bun.file(HOOK).text()).toContain("\nset -eu\n");
  });

  test.skipIf(!process.env["CI"] && Bun.which("shellcheck") === null)(
    "is what shellcheck has nothing to say about",
    async () => {
      expect(await run(["shellcheck", "--shell=sh", HOOK])).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    },
  );
});
