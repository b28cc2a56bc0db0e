/**
 * That the relay keeps to itself what peers tell it. Whole lives of the binary are played in which all that anybody
 * can choose is marked; then everything it has said, to anyone, is searched for the marks. The search is tried too.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { ERRORS } from "../../src/core/protocol.ts";
import { Authority } from "../support/machines/certificates.ts";
import type { Samples } from "../support/machines/metrics.ts";
import { equals, until } from "../support/machines/until.ts";
import { requests } from "../support/marks/marked-malice.ts";
import {
  type Act,
  aCrowd,
  aGhost,
  answersTo,
  aSilentPeer,
  expiries,
  LIMITS,
  QUICK,
} from "../support/marks/marked-run.ts";
import { Markers } from "../support/marks/markers.ts";
import { knock, markedMessage, markedPair, passOn } from "../support/peers/marked-peer.ts";
import type { Recorder } from "../support/relays/recorder.ts";
import { command, type Outcome, ROOT, run, spawnProgram, spawnRelay } from "../support/relays/relay.ts";
import { type OpenStage, openStage, type Said } from "../support/relays/stage.ts";

const ORIGIN = "https://chat.example";
/** It takes a machine short of memory to be counted: program/memory has one. */
const SHORT_OF_MEMORY = 'whisper_upgrades_total{result="memory"}';
const WARNING = "an exempt address sends X-Forwarded-For, ";

interface Life {
  readonly name: string;
  readonly args: readonly string[];
  readonly origin: string | null;
  readonly isTls: boolean;
  /** What takes its time, all at once, beside everything else. */
  readonly patience: readonly Act[];
  /** Whether it ends by a second signal, while a pair is up. */
  readonly isCutShort: boolean;
}

const LIVES: readonly Life[] = [
  {
    name: "plain, with a log for people, drained to the end",
    args: [`--origin=${ORIGIN}`, "--ping-interval=3s"],
    origin: ORIGIN,
    isTls: false,
    patience: [aGhost, aSilentPeer],
    isCutShort: false,
  },
  {
    name: "over TLS, with a log for machines, cut short by a second signal",
    args: ["--log=json", "--session-ttl=5s", "--join-timeout=3s"],
    origin: null,
    isTls: true,
    patience: [expiries],
    isCutShort: true,
  },
];

/** What has come of a life. */
interface Past {
  readonly outcome: Outcome;
  readonly leaks: string[];
  /** What was in /metrics at first, and while it drained. */
  readonly first: Samples;
  readonly last: Samples;
}

async function live({ args, origin, isTls, patience, isCutShort }: Life): Promise<Past> {
  await using resources = new AsyncDisposableStack();
  const tls = isTls ? (await resources.use(await Authority.create()).issue()).args : [];
  const relay = resources.use(await spawnRelay("binary", ...LIMITS, ...args, ...tls));
  const stage = resources.use(await openStage(relay, origin, isTls));
  const first = await stage.scrape();
  await Promise.all([...patience, oneAfterAnother].map((act) => act(stage)));
  const printed = await programsBeside(stage, relay.port);
  if (isTls)
    for (const answer of await answersTo(requests(stage), relay.port))
      printed.push(["without TLS", answer.toString("latin1")]);

  const { code, alice, bob } = await markedPair(stage);
  await aCrowd(stage);
  await passOn(stage, bob.peer, alice.peer, markedMessage(stage, "answer", code));
  const ended = relay.stop();
  await until("503 for its health", async () => (await ask(stage.exempt, "/health")).status, equals(503));
  expect((await knock(stage, stage.exempt)).status).toBe(503);
  for (const path of ["/", "/nowhere"]) await ask(stage.exempt, path);
  for (const path of ["/livez", "/readyz"]) await ask(stage.operator, path);
  await passOn(stage, alice.peer, bob.peer, markedMessage(stage, "offer", code));
  const last = await stage.scrape();
  if (isCutShort) relay.process.kill("SIGINT");
  else alice.peer.say({ type: "leave" });
  const outcome = await ended;
  printed.push(["stdout", outcome.stdout], ["stderr", outcome.stderr]);
  await Promise.all([stage.exempt, stage.counted, stage.operator].map((recorder) => recorder.quiet()));
  return { outcome, leaks: stage.leaks(printed), first, last };
}

async function oneAfterAnother(stage: OpenStage): Promise<void> {
  for (const act of QUICK) await act(stage);
}

function ask({ port }: Recorder, path: string): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${path}`, { headers: { Connection: "close" } });
}

/** What the program prints when it checks this relay, and when it can't start. */
function programsBeside({ unmarked }: OpenStage, port: number): Promise<Said[]> {
  const lines = [
    command("binary", "check", unmarked.url, `--origin=${ORIGIN}`),
    command("binary", "--host=127.0.0.1", `--port=${port}`), // in use
    command("binary", "--port=none"),
  ];
  return Promise.all(
    lines.map(async (line): Promise<Said> => {
      const { stdout, stderr } = await run(line);
      return [line.join(" "), stdout + stderr];
    }),
  );
}

describe("in two lives of the binary", () => {
  let pasts: Past[] = [];
  beforeAll(async () => {
    const lives = LIVES.map(live);
    await Promise.allSettled(lives); // where one fails, the other still has something to clear away
    pasts = await Promise.all(lives);
  }, 60_000);

  test.each(LIVES.map(({ name }, i) => [name, i] as const))("nothing is found in what it says: %s", (_, i) => {
    expect(pasts[i]?.leaks).toEqual([]);
  });

  test("every error has been told, and there has been every refusal, close and outcome that is counted", () => {
    const families = /^whisper_(errors|upgrades|closes|messages_relayed|session_outcomes)_total\{/;
    const rows = [...(pasts[0]?.last.keys() ?? [])].filter((row) => families.test(row) && row !== SHORT_OF_MEMORY);
    expect(rows.filter((row) => pasts.every(({ last }) => last.get(row) === 0))).toEqual([]);
    for (const name of Object.keys(ERRORS)) expect(rows).toContain(`whisper_errors_total{error="${name}"}`);
  });

  test("the rows of its metrics are those that it had before anybody came", () => {
    for (const { first, last } of pasts) expect([...last.keys()]).toEqual([...first.keys()]);
  });

  test("its log has been written, in both forms, with a warning, to the end that was asked for", () => {
    const events = pasts.map(({ outcome: { exitCode, stdout, stderr } }) => [exitCode, stdout, stderr]);
    expect(events).toEqual([
      [0, expect.stringMatching(/^whisper-signaling: version .*: stopped\n$/s), expect.stringContaining(WARNING)],
      [
        1,
        expect.stringMatching(/^\{.*"stopped at once","exit-code":1\}\n$/s),
        expect.stringContaining(`"message":"${WARNING}`),
      ],
    ]);
  });
});

describe("the search", () => {
  const ANSWER = 'HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 23:23:23 GMT\r\n\r\n{"status":"ok","sessions":';
  const hex = (text: string) => Buffer.from(text).toHex();
  const eachByte = (text: string, write: (digits: string) => string) => hex(text).replace(/../g, write);
  const WRITTEN: readonly [how: string, write: (secret: string) => string][] = [
    ["as it is", (secret) => secret],
    ["in lower case", (secret) => secret.toLowerCase()],
    ["in part", (secret) => `${secret.slice(5, 17)}…`],
    ["in hexadecimal", hex],
    ["in hexadecimal, in capitals", (secret) => hex(secret).toUpperCase()],
    ["in hexadecimal, behind a digit", (secret) => `a${hex(secret)}`],
    ["in hexadecimal, with spaces", (secret) => eachByte(secret, (digits) => ` ${digits}`)],
    ["as a Buffer is shown", (secret) => Bun.inspect(Buffer.from(secret))],
    ["as an array is shown", (secret) => Bun.inspect(new Uint8Array(Buffer.from(secret)))],
    ["as a Buffer in JSON", (secret) => JSON.stringify(Buffer.from(secret))],
    ["as a string in JSON", (secret) => JSON.stringify(`"${secret}"`)],
    ["with the escapes of JSON", (secret) => eachByte(secret, (digits) => `\\u00${digits}`)],
    ["with the escapes of a URL", (secret) => eachByte(secret, (digits) => `%${digits}`)],
    ["as a URL's parameter", encodeURIComponent],
    ["in base64", btoa],
    ["in base64, one byte later", (secret) => btoa(`"${secret}"`)],
    ["in base64, two bytes later", (secret) => btoa(`: ${secret}`)],
    ["in base64 for URLs", (secret) => Buffer.from(`??${secret}`).toString("base64url")],
    ["as its SHA-256", (secret) => new Bun.CryptoHasher("sha256").update(secret).digest("hex")],
    ["as its SHA-1 in base64", (secret) => new Bun.CryptoHasher("sha1").update(secret).digest("base64")],
    ["as the start of its MD5", (secret) => new Bun.CryptoHasher("md5").update(secret).digest("hex").slice(0, 24)],
  ];

  test.each(WRITTEN)("finds what is planted %s", (_, write) => {
    const markers = new Markers();
    const secrets = {
      code: markers.make("code"),
      v6: markers.makeAddress("v6", 6),
      v4: "198.18.123.234",
      short: "A3F7B9E2C1D4",
    };
    markers.add("v4", secrets.v4);
    markers.add("short", secrets.short);
    expect(markers.find(`${ANSWER}1}\n`)).toEqual([]);
    for (const [what, secret] of Object.entries(secrets)) {
      if (write(secret).length < 12) continue;
      const found = markers.find(`${ANSWER}"${write(secret)}"}\n`);
      expect(found.some((finding) => finding.includes(what))).toBeTrue();
    }
  });

  test("finds a port, but not in the value of a metric", () => {
    const markers = new Markers();
    markers.addPort("port", 43_210);
    for (const text of ["127.0.0.1:43210", "port=43210\n", '{"port":43210}', "from 43210", 'whisper_x{port="43210"} 1'])
      expect(markers.find(text)).toEqual(["port"]);
    for (const text of ["whisper_bytes 43210\n", 'whisper_bytes{type="offer"} 43210', "243210", "0.43210"])
      expect(markers.find(text)).toEqual([]);
  });

  test("finds what leaks from a relay that was made to talk, wherever it leaks", async () => {
    const leaky = resolve(ROOT, "test/support/relays/leaky-main.ts");
    await using relay = await spawnProgram([process.execPath, leaky, ...LIMITS, `--origin=${ORIGIN}`]);
    await using stage = await openStage(relay, ORIGIN, false);
    await oneAfterAnother(stage);
    await stage.scrape();
    const { stdout, stderr } = await relay.stop();
    await stage.exempt.quiet();
    const leaks = stage.leaks([
      ["stdout", stdout],
      ["stderr", stderr],
    ]);
    const planted = [
      "stdout: a session code, as it is",
      "stdout: a binary frame, in hexadecimal",
      "stderr: a token, in base64",
      "stderr: the address of a socket, as it is",
      "stderr: the port of a socket",
      "to a peer: the browser of a request, as it is",
      "to a peer: a path, as it is",
      "to a peer: a bad message, as it is",
      "to a peer: the reason of a leave, as it is",
      'to a peer, more often than owed: {"type":"answer"',
      "to the operator: sha256 of a session code, in hexadecimal",
    ];
    expect(planted.filter((leak) => !leaks.some((found) => found.startsWith(leak)))).toEqual([]);
  });
});
