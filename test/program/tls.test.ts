/** TLS in the relay itself, from outside: who gets in, what is shown to them, and which files end the start. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { chmod, readdir } from "node:fs/promises";
import { resolve } from "node:path";
import { CertificateWatch, SOON_DAYS } from "../../src/program/tls.ts";
import { Authority, DAY_MS, type Files, files } from "../support/machines/certificates.ts";
import { clientHello, openTunnel, shakeHands } from "../support/machines/tunnel.ts";
import { atMost, until } from "../support/machines/until.ts";
import { expectUndisturbed, newPair } from "../support/peers/client.ts";
import { RawClient } from "../support/peers/raw.ts";
import { command, RELEASED, ROOT, run, spawnRelay } from "../support/relays/relay.ts";

/** From process start to the first handshake; a twentieth of it on an idle machine. */
const START_MS = 5_000;
const DAY_SECONDS = DAY_MS / 1_000;
/** Root can read everything, unless it gives that up. */
const UNPRIVILEGED =
  process.getuid?.() === 0 ? ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"] : [];

let authority: Authority;
let ca: string;
let good: Files;
beforeAll(async () => {
  authority = await Authority.create();
  ca = await authority.root();
  good = await authority.issue();
});
afterAll(() => authority[Symbol.asyncDispose]());

describe.each(RELEASED)("a relay that speaks TLS itself (%s)", (variant) => {
  test("is ready in no time", async () => {
    const startedAt = performance.now();
    await using relay = await spawnRelay(variant, ...good.args);
    expect((await shakeHands(relay.port, { ca })).failure).toBeNull();
    expect(performance.now() - startedAt).toBeLessThan(START_MS);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    "a pair meets over %s, and the relay closes it cleanly",
    async (version) => {
      await using relay = await spawnRelay(variant, ...good.args, "--drain=0s");
      await using tunnel = await openTunnel(relay.port, { ca, minVersion: version, maxVersion: version });
      const pair = await newPair(tunnel.url);
      await expectUndisturbed(pair);
      expect(await relay.stop()).toMatchObject({ exitCode: 0, stderr: "" });
      expect((await pair.alice.closed).code).toBe(1012);
    },
  );

  test("TLS 1.3 is what a client gets that speaks both, and older versions are refused", async () => {
    await using relay = await spawnRelay(variant, ...good.args);
    expect((await shakeHands(relay.port, { ca })).protocol).toBe("TLSv1.3");
    for (const version of ["TLSv1", "TLSv1.1"] as const) {
      const old = await shakeHands(relay.port, { ca, minVersion: version, maxVersion: version });
      expect(old.failure).toContain("PROTOCOL_VERSION");
    }
    expect((await shakeHands(relay.port, { ca, maxVersion: "TLSv1.2" })).protocol).toBe("TLSv1.2");
  });

  test("check refuses a certificate that this machine doesn't trust, and takes it once it does", async () => {
    await using relay = await spawnRelay(variant, ...good.args);
    const refused = await run(command(variant, "check", relay.url));
    expect(refused).toEqual({ exitCode: 1, stdout: expect.stringMatching(/^FAIL .*\n$/), stderr: "" });
    const trusting = { NODE_EXTRA_CA_CERTS: authority.rootFile };
    expect(await run(command(variant, "check", relay.url), trusting)).toMatchObject({ exitCode: 0, stderr: "" });
  });

  test("check takes the machine's own relay at its word, whatever name the certificate has", async () => {
    await using relay = await spawnRelay(variant, ...good.args);
    const own = await run(command(variant, "check", "--port", String(relay.port), ...good.args));
    expect(own).toMatchObject({ exitCode: 0, stderr: "" });
    expect(own.stdout).not.toContain("FAIL");
    const env = { WHISPER_PORT: String(relay.port), WHISPER_TLS_CERT: good.certFile, WHISPER_TLS_KEY: good.keyFile };
    expect(await run(command(variant, "check"), env)).toMatchObject({ exitCode: 0, stderr: "" });
  });

  test("the whole chain is sent, so that a client that knows only the root connects", async () => {
    const chained = await authority.issue({ isChained: true });
    await using relay = await spawnRelay(variant, ...chained.args);
    await using tunnel = await openTunnel(relay.port, { ca });
    await expectUndisturbed(await newPair(tunnel.url));
    const leaf = await authority.folder.write("leaf.pem", firstBlock(await Bun.file(chained.certFile).text()));
    await using cut = await spawnRelay(variant, ...files(leaf, chained.keyFile).args);
    expect((await shakeHands(cut.port, { ca })).failure).toContain("certificate");
  });

  test("what isn't TLS gets nothing on the TLS port, and an honest pair never notices", async () => {
    await using relay = await spawnRelay(variant, ...good.args);
    await using tunnel = await openTunnel(relay.port, { ca });
    const pair = await newPair(tunnel.url);
    for (const bytes of ["GET / HTTP/1.1\r\nHost: relay\r\n\r\n", "\x16\x03\x01\xff\xff", "\0".repeat(20_000), "\n"]) {
      const raw = await RawClient.dial(relay.port);
      raw.write(bytes);
      raw.end();
      expect(await raw.head()).toBe("");
    }
    await expectUndisturbed(pair);
    expect((await relay.get("/health")).status).toBe(200);
  });

  test("200 handshakes that stop halfway hold up nobody, and leave nothing behind", async () => {
    await using relay = await spawnRelay(variant, ...good.args);
    await using tunnel = await openTunnel(relay.port, { ca });
    const hello = await clientHello();
    const halves = await Promise.all(Array.from({ length: 200 }, () => RawClient.dial(relay.port)));
    for (const [i, raw] of halves.entries()) raw.write(i % 2 === 0 ? hello : hello.subarray(0, 100));
    const pair = await newPair(tunnel.url);
    await expectUndisturbed(pair);
    expect(await relay.sessions()).toBe(1);
    for (const [i, raw] of halves.entries()) raw.end(i % 4 < 2);
    await until("half-open handshakes to be cut", () => openFiles(relay.process.pid), atMost(99));
    await expectUndisturbed(pair);
  });

  test.each([
    ["has expired", -2, -1],
    ["is not valid yet", 1, 2],
    ["is good", -1, 15],
  ] as const)(
    "a certificate that %s is served; only a bad one is warned of, and the metric tells the seconds",
    async (state, from, to) => {
      const now = Date.now();
      const dated = await authority.issue({ from: now + from * DAY_MS, until: now + to * DAY_MS });
      await using relay = await spawnRelay(variant, ...dated.args, "--admin=127.0.0.1:0");
      const { failure } = await shakeHands(relay.port, { ca });
      const seen = {
        "has expired": "certificate has expired",
        "is not valid yet": "certificate is not yet valid",
        "is good": null,
      };
      expect(failure).toBe(seen[state]);
      const metrics = await (await relay.admin("/metrics")).text();
      const [, secondsLeft] = /^whisper_tls_certificate_expiry_seconds (-?\d+)$/m.exec(metrics) ?? [];
      expect(Number(secondsLeft)).toBeWithin(to * DAY_SECONDS - 60, to * DAY_SECONDS + 1);
      const { stderr } = await relay.stop();
      const warning = `whisper-signaling: warning: the certificate in --tls-cert ${state}`;
      expect(stderr).toMatch(new RegExp(state === "is good" ? /^$/ : `^${warning}: [^\n]+\n$`));
    },
  );
});

describe.each(RELEASED)("files that are no certificate and its key (%s)", (variant) => {
  /** Expects a start that ends at once with one line: this, which names the file. */
  async function expectRefusal({ args }: Files, line: string, runner: string[] = []): Promise<void> {
    const outcome = await run([...runner, ...command(variant, "--host=127.0.0.1", "--port=0", ...args)]);
    expect(outcome).toEqual({ exitCode: 2, stdout: "", stderr: `whisper-signaling: ${line}\n` });
  }

  test("one without the other", async () => {
    const line = "--tls-cert and --tls-key are given together or not at all";
    await expectRefusal({ ...good, args: good.args.slice(0, 2) }, line);
    await expectRefusal({ ...good, args: good.args.slice(2) }, line);
  });

  test("a file that isn't there, a folder, and one that may not be read", async () => {
    const { certFile, keyFile } = good;
    const missing = authority.folder.file("missing");
    const { path } = authority.folder;
    const secret = await authority.folder.write("secret.key", await Bun.file(keyFile).text());
    await chmod(secret, 0);
    await expectRefusal(files(missing, keyFile), `--tls-cert "${missing}" can't be read: there is no such file`);
    await expectRefusal(files(certFile, missing), `--tls-key "${missing}" can't be read: there is no such file`);
    await expectRefusal(files(path, keyFile), `--tls-cert "${path}" can't be read: it is a folder`);
    await expectRefusal(files(certFile, secret), `--tls-key "${secret}" can't be read: not permitted`, UNPRIVILEGED);
  });

  test("a key that is another certificate's, of the same kind and of another", async () => {
    const { certFile } = good;
    const other = await authority.issue();
    const rsa = authority.folder.file("rsa.key");
    await authority.openssl(`genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out ${rsa}`);
    for (const key of [other.keyFile, rsa])
      await expectRefusal(
        files(certFile, key),
        `--tls-key "${key}" is not the key of the first certificate in --tls-cert "${certFile}"`,
      );
  });

  test("a chain in the wrong order, for its first certificate is not the key's", async () => {
    const { certFile, keyFile } = await authority.issue({ isChained: true });
    const [leaf = "", intermediate = ""] = (await Bun.file(certFile).text()).split(/(?<=-----END CERTIFICATE-----\n)/);
    const turned = await authority.folder.write("turned.pem", intermediate + leaf);
    const line = `--tls-key "${keyFile}" is not the key of the first certificate in --tls-cert "${turned}"`;
    await expectRefusal(files(turned, keyFile), line);
  });

  test("a key with a passphrase, new style and old", async () => {
    const { certFile, keyFile } = good;
    for (const style of ["-aes256", "-aes256 -traditional"]) {
      const encrypted = authority.folder.file("encrypted.key");
      await authority.openssl(`pkey -in ${keyFile} ${style} -passout pass:secret -out ${encrypted}`);
      const line = `--tls-key "${encrypted}" is encrypted, and nobody is asked for a passphrase`;
      await expectRefusal(files(certFile, encrypted), line);
    }
  });

  test("garbage, of which nothing is repeated", async () => {
    const { certFile, keyFile } = good;
    const [cert, key] = await Promise.all([Bun.file(certFile).text(), Bun.file(keyFile).text()]);
    for (const garbage of ["", "hello\n", "\0\x01\x02", key, cert.slice(0, 300), cert.replace("MII", "AAA")]) {
      const file = await authority.folder.write("garbage.pem", garbage);
      await expectRefusal(files(file, keyFile), `--tls-cert "${file}" is not a PEM certificate`);
    }
    for (const garbage of ["", "hello\n", "\0\x01\x02", cert, key.slice(0, 100), key.replace("MIGH", "AAAA")]) {
      const file = await authority.folder.write("garbage.key", garbage);
      await expectRefusal(files(certFile, file), `--tls-key "${file}" is not a PEM private key`);
    }
  });

  test("a chain of which only the first certificate is good", async () => {
    const cert = await Bun.file(good.certFile).text();
    for (const second of [cert.slice(0, 300), cert.replace("MII", "AAA")]) {
      const file = await authority.folder.write("broken-chain.pem", cert + second);
      const line = `--tls-cert "${file}" is not a PEM chain: certificate 2 in it can't be read`;
      await expectRefusal(files(file, good.keyFile), line);
    }
  });
});

describe("a certificate with few days left", () => {
  const [cert, key, name] = ["", "", "WHISPER_TLS_CERT"];
  const at = 1_800_000_000_000;
  const watched = (daysLeft: number) => {
    const lines: string[] = [];
    const expiresAt = at + daysLeft * DAY_MS;
    const watch = new CertificateWatch({ cert, key, name, startsAt: 0, expiresAt }, (line) => lines.push(line));
    return { lines, turn: (days: number) => watch.turn(at + days * DAY_MS) };
  };

  test("is a line a day, from the same day on as the first alarm, until it is renewed by a restart", () => {
    const { lines, turn } = watched(15.5);
    for (let hour = 0; hour < 24 * 20; hour++) turn(hour / 24);
    const said = lines.map((line) => /expires in [\w ]+|has expired/.exec(line)?.[0]);
    const days = Array.from({ length: 12 }, (_, i) => `expires in ${13 - i} days`);
    expect(said).toEqual([...days, "expires in 1 day", "expires in less than a day", ...Array(5).fill("has expired")]);
    for (const line of lines) expect(line).toContain("the certificate in WHISPER_TLS_CERT ");
    const alerts = readFileSync(resolve(ROOT, "deploy/alerts.yml"), "utf8");
    expect(alerts).toContain(`whisper_tls_certificate_expiry_seconds < ${SOON_DAYS} * 86400`);
  });

  test("is told of at the start, and not before its time", () => {
    const [soon, late] = [watched(3), watched(60)];
    for (const { turn } of [soon, late]) turn(0);
    expect([soon.lines.length, late.lines.length]).toEqual([1, 0]);
  });

  test("is told of again where the clock was set back by more than a day, and not each second", () => {
    const { lines, turn } = watched(5);
    for (const day of [0, -2, -2, -2]) turn(day);
    expect(lines.length).toBe(2);
  });

  test("is told of by the binary", async () => {
    const now = Date.now();
    const soon = await authority.issue({ from: now - DAY_MS, until: now + 3.5 * DAY_MS });
    await using relay = await spawnRelay("binary", ...soon.args);
    expect((await relay.stop()).stderr).toMatch(
      /^whisper-signaling: warning: the certificate in --tls-cert expires in 3 days; [^\n]+\n$/,
    );
  });
});

/** The first certificate of a chain. */
function firstBlock(pem: string): string {
  return pem.slice(0, pem.indexOf("-----END CERTIFICATE-----") + 26);
}

async function openFiles(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}
