/**
 * `check --turn` against coturn, and against servers that refuse. Where coturn is missing its part is skipped, but never
 * under CI.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { newCredential } from "../../src/program/turn.ts";
import { tryServers } from "../../src/program/turn-check.ts";
import { Authority } from "../support/machines/certificates.ts";
import { COTURN, type Coturn, hasCoturn, startCoturn } from "../support/machines/coturn.ts";
import { newFolder } from "../support/machines/folder.ts";
import { freePort } from "../support/machines/free-port.ts";
import { equals, until } from "../support/machines/until.ts";
import { command, run, spawnRelay } from "../support/relays/relay.ts";

const SECRETS = ["a-secret-that-coturn-knows", "another-that-it-knows-too"] as const;
const HOUR_MS = 3_600_000;

if (!hasCoturn()) console.warn(`turn-check.test.ts: nothing is tried with coturn, there is no ${COTURN}`);

test.skipIf(!process.env["CI"])("CI has coturn to test with", () => {
  expect(hasCoturn()).toBe(true);
});

/** Tries one server with one credential. Returns what is said of it. */
async function tried(url: string, secret: string = SECRETS[0], ttlMs = HOUR_MS, now = Date.now()): Promise<string[]> {
  const ready = { type: "ready", iceServers: [{ urls: [url], ...newCredential(secret, ttlMs, now) }] };
  const lines: string[] = [];
  const say = (line: string) => lines.push(line);
  expect(await tryServers(JSON.stringify(ready), say, say)).toBe(1);
  return lines;
}

describe.skipIf(!hasCoturn() && !process.env["CI"])("with coturn", () => {
  let authority: Authority;
  let coturn: Coturn;
  beforeAll(async () => {
    authority = await Authority.create();
    coturn = await startCoturn(SECRETS, await authority.issue());
  });
  afterAll(async () => {
    await coturn?.[Symbol.asyncDispose]();
    await authority?.[Symbol.asyncDispose]();
  });

  test.each(SECRETS)(
    "check --turn gets an address over UDP, TCP and TLS by what the relay tells its peers: %s",
    async (secret) => {
      await using folder = await newFolder();
      const urls = Object.values(coturn.urls);
      const args = [`--turn-url=${urls}`, `--stun-url=${coturn.stunUrl}`];
      args.push(`--turn-secret-file=${await folder.write("secrets", `${secret}\n${"unknown to coturn"}\n`)}`);
      await using relay = await spawnRelay("binary", ...args);
      const check = command("binary", "check", relay.url, "--turn");
      const { exitCode, stdout } = await run(check, { NODE_EXTRA_CA_CERTS: authority.rootFile });
      expect(stdout.match(/^ok .*(?:gives an address|answers)/gm)).toEqual([
        `ok    ${coturn.stunUrl} answers`,
        ...urls.map((url) => `ok    ${url} gives an address`),
      ]);
      expect(exitCode).toBe(0);
      const givenBack = () => coturn.log().match(/refreshed, .* lifetime=0\b/g)?.length ?? 0;
      await until(
        "all that was taken to be given back",
        givenBack,
        equals((SECRETS.indexOf(secret) + 1) * urls.length),
      );
    },
  );

  test("what can't be used is told with the reason, the rest is tried all the same, and check fails", async () => {
    await using folder = await newFolder();
    const { udp, tcp, tls } = coturn.urls;
    const file = await folder.write("secret", "a-secret-of-another-server");
    await using relay = await spawnRelay("binary", `--turn-url=${tls},${udp},${tcp}`, `--turn-secret-file=${file}`);
    const { exitCode, stdout } = await run(command("binary", "check", "--turn", `--port=${relay.port}`));
    expect(exitCode).toBe(1);
    const lines = stdout.split("\n").filter((line) => line.startsWith("FAIL"));
    expect(lines[0]).toBe(
      `FAIL  ${tls}: has a certificate that is of an authority that is not trusted here, or lacks its chain`,
    );
    const secret =
      /: 401, refuses the credential, which lasts 4\d{4} s more by the clock here: it has another secret, or/;
    expect(lines.slice(1)).toEqual([expect.stringMatching(secret), expect.stringMatching(secret)]);
  });

  test("an expired credential is refused", async () => {
    const now = Date.now();
    expect(await tried(coturn.urls.udp, SECRETS[1], HOUR_MS, now)).toEqual([`${coturn.urls.udp} gives an address`]);
    const [line = ""] = await tried(coturn.urls.udp, SECRETS[1], HOUR_MS, now - HOUR_MS - 60_000);
    expect(line).toMatch(/: 401, refuses the credential, which expired \d\d s ago by the clock here/);
  });

  test("a server that asks for no credential is not one to be told of", async () => {
    await using open = await startCoturn([], await authority.issue());
    const why = "gives addresses to anybody, without a credential: see use-auth-secret";
    expect(await tried(open.urls.tcp)).toEqual([`${open.urls.tcp}: ${why}`]);
  });
});

test("without a server in ready, check --turn fails", async () => {
  await using relay = await spawnRelay("binary");
  const { exitCode, stdout } = await run(command("binary", "check", "--turn", relay.url));
  expect(exitCode).toBe(1);
  expect(stdout).toEndWith("\nFAIL  peers are told of no server: see --turn-url\n");
});

describe("a server is told by", () => {
  test("that nothing listens there", async () => {
    for (const transport of ["udp", "tcp"]) {
      const url = `turn:127.0.0.1:${freePort()}?transport=${transport}`;
      expect(await tried(url)).toEqual([`${url}: nothing listens there`]);
    }
  });

  /** What a server over UDP, over TCP and over TLS is said to be that answers each piece with `answer`, or with nothing. */
  async function triedAll(answer: () => Uint8Array | null): Promise<string[]> {
    const udp = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: {
        data(socket, _data, port, address) {
          const bytes = answer();
          if (bytes) socket.send(bytes, port, address);
        },
      },
    });
    const tcp = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket) {
          const bytes = answer();
          if (bytes) socket.write(bytes);
        },
      },
    });
    const urls = [
      `turn:127.0.0.1:${udp.port}?transport=udp`,
      `turn:127.0.0.1:${tcp.port}?transport=tcp`,
      `turns:127.0.0.1:${tcp.port}?transport=tcp`,
    ];
    const lines = await Promise.all(urls.map((url) => tried(url)));
    udp.close();
    tcp.stop(true);
    return lines.flat().map((line, i) => line.replace(`${urls[i]}: `, ""));
  }

  test("that it is silent", async () => {
    const silent = "gives no answer within 5 s: a firewall may be in between";
    expect(await triedAll(() => null)).toEqual([silent, silent, silent.replace("gives no answer", "is not reached")]);
  }, 15_000);

  test("that it is something else, which answers anything or an answer to somebody else", async () => {
    const odd = "answers, but not as such a server does: something else may listen there";
    const bytes = [crypto.getRandomValues(new Uint8Array(100)), refusal(Buffer.alloc(20, 1), 401), new Uint8Array(19)];
    const said = await Promise.all(bytes.map((one) => triedAll(() => one)));
    expect(said).toEqual(bytes.map(() => [odd, odd, "speaks no TLS there"]));
  }, 15_000);

  test("that it speaks no TLS", async () => {
    using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("") });
    const url = `turns:127.0.0.1:${server.port}?transport=tcp`;
    expect(await tried(url)).toEqual([`${url}: speaks no TLS there`]);
  });

  test.each([
    [300, "sends its clients to another server"],
    [403, "403, forbids it: this address may be denied there"],
    [486, "486, gives no more addresses to one user: see user-quota"],
    [508, "508, has no room: see total-quota, min-port and max-port"],
    [599, "answers with error 599"],
  ])("the error %d", async (error, why) => {
    const server = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: { data: (socket, data, port, address) => void socket.send(refusal(data, error), port, address) },
    });
    const url = `turn:127.0.0.1:${server.port}`;
    expect(await tried(url)).toEqual([`${url}: ${why}`]);
    server.close();
  });
});

/** The answer of RFC 8489, section 14.8, to a request. */
function refusal(request: Buffer, error: number): Buffer {
  const answer = Buffer.alloc(28);
  request.copy(answer, 0, 0, 20);
  answer.writeUInt16BE(request.readUInt16BE(0) | 0x110, 0);
  answer.writeUInt16BE(8, 2);
  answer.writeUInt16BE(0x0009, 20);
  answer.writeUInt16BE(4, 22);
  answer.writeUInt8(Math.floor(error / 100), 26);
  answer.writeUInt8(error % 100, 27);
  return answer;
}
