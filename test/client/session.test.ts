/** The session without a browser: who sits where, what is told, when it comes back and when it gives up. Real sockets. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { type ConnectOptions, connect, newCode, type Session, type SessionEvents } from "../../src/client/client.ts";
import { freePort } from "../support/machines/free-port.ts";
import { atLeast, equals, until } from "../support/machines/until.ts";
import { spawnRelay } from "../support/relays/relay.ts";
import { type Script, type ScriptedSocket, startScriptedRelay, type Wire } from "./scripted-relay.ts";

setDefaultTimeout(30_000);

/** A session without a peer connection that remembers what happened to it. */
class Peer implements Disposable {
  readonly session: Session;
  readonly log: string[] = [];
  readonly signals: unknown[] = [];

  constructor(options: ConnectOptions) {
    this.session = connect({ connection: false, ...options });
    for (const type of ["waiting", "ready", "peer-left", "retrying", "signal", "failed"] as const)
      this.session.addEventListener(type, () => this.log.push(type));
    this.session.addEventListener("signal", ({ detail }) => this.signals.push(detail));
  }

  /** What comes with the next event of this type. */
  next<T extends keyof SessionEvents>(type: T): Promise<SessionEvents[T]["detail"]> {
    return new Promise((resolve) => {
      this.session.addEventListener(type, ({ detail }) => resolve(detail), { once: true });
    });
  }

  [Symbol.dispose](): void {
    this.session.close();
  }
}

const met = (...peers: Peer[]) => until("all to meet", () => peers.every(({ session }) => session.state === "ready"));

describe("through the relay", () => {
  test("two who share a code and no role meet, and tell each other what only they can read", async () => {
    await using relay = await spawnRelay("source");
    const code = newCode("typed");
    using alice = new Peer({ url: relay.url, code });
    using bob = new Peer({ url: relay.url, code: code.toLowerCase() });
    await met(alice, bob);
    expect(alice.session.isInitiator).toBe(!bob.session.isInitiator);
    const told = [{ description: { type: "offer" as const, sdp: "v=0" } }, { candidate: null }, { data: ["hello"] }];
    for (const signal of told) expect(alice.session.signal(signal)).toBe(true);
    await until("3 signals", () => bob.signals.length, equals(3));
    expect(bob.signals).toEqual(told);
    expect(await alice.session.exportKey("chat")).toEqual(await bob.session.exportKey("chat"));
  });

  test("of two claims to one role the later is refused, and the error says why", async () => {
    await using relay = await spawnRelay("source");
    const options = { url: relay.url, code: newCode(), role: "initiator" } as const;
    using alice = new Peer(options);
    await alice.next("waiting");
    using bob = new Peer(options);
    expect(await bob.next("failed")).toMatchObject({ reason: "role-taken", retry: false });
    expect(alice.log).toEqual(["waiting"]);
  });

  test("a third is refused, and the pair never notices", async () => {
    await using relay = await spawnRelay("source");
    const options = { url: relay.url, code: newCode() };
    using alice = new Peer(options);
    using bob = new Peer(options);
    await met(alice, bob);
    const before = [...alice.log, ...bob.log];
    using mallory = new Peer(options);
    expect(await mallory.next("failed")).toMatchObject({ reason: "session-full", retry: false });
    await expect(mallory.session.connected).rejects.toMatchObject({ reason: "session-full" });
    expect([...alice.log, ...bob.log]).toEqual(before);
  });

  test("who waits, comes back after the relay was restarted, and is then met", async () => {
    const port = await freePort();
    const code = newCode();
    await using first = await spawnRelay("source", "--port", `${port}`);
    using alice = new Peer({ url: first.url, code });
    await alice.next("waiting");
    const lost = alice.next("retrying");
    await first.stop("SIGKILL");
    expect((await lost).inMs).toBeLessThanOrEqual(500);
    await using second = await spawnRelay("source", "--port", `${port}`);
    using bob = new Peer({ url: second.url, code });
    await met(alice, bob);
  });

  test("an abort, and a start right after it, leave one seat and no error", async () => {
    await using relay = await spawnRelay("source");
    const options = { url: relay.url, code: newCode() };
    const leaving = new AbortController();
    const first = connect({ ...options, connection: false, signal: leaving.signal });
    leaving.abort();
    using second = new Peer(options);
    await second.next("waiting");
    await until("1 sessions", () => relay.sessions(), equals(1));
    expect(first.state).toBe("closed");
    await expect(first.connected).rejects.toMatchObject({ name: "AbortError" });
    using bob = new Peer(options);
    await met(second, bob);
  });

  test.each([66_000, 80_000])(
    "who says %d bytes at once is told that it was too large, read by the relay or not",
    async (bytes) => {
      await using relay = await spawnRelay("source");
      const options = { url: relay.url, code: newCode(), sealed: false };
      using alice = new Peer(options);
      using bob = new Peer(options);
      await met(alice, bob);
      alice.session.signal({ data: "x".repeat(bytes) });
      expect(await alice.next("failed")).toMatchObject({ reason: "too-large", retry: false });
      expect(bob.signals).toEqual([]);
    },
  );

  test("`await using` leaves", async () => {
    await using relay = await spawnRelay("source");
    {
      await using session = connect({ url: relay.url, connection: false });
      await until("the wait for a peer", () => session.state, equals("waiting"));
      expect(await relay.sessions()).toBe(1);
    }
    await until("0 sessions", () => relay.sessions(), equals(0));
  });

  test("two with a list meet, lose a relay and go on over the other", async () => {
    await using one = await spawnRelay("source");
    await using two = await spawnRelay("source");
    const code = newCode();
    using alice = new Peer({ url: [one.url, two.url], code });
    using bob = new Peer({ url: [two.url, one.url], code });
    await met(alice, bob);
    await until("2 sessions", async () => (await one.sessions()) + (await two.sessions()), equals(2));
    await one.stop("SIGKILL");
    await until("both to try again", () => alice.log.includes("retrying") && bob.log.includes("retrying"));
    await until("a way over the other", () => alice.session.signal({ data: "still there" }));
    await until("1 signals", () => bob.signals.length, equals(1));
  });

  test("two whose lists differ by one meet on what they share", async () => {
    await using one = await spawnRelay("source");
    await using two = await spawnRelay("source");
    const code = newCode();
    using alice = new Peer({ url: [one.url, `ws://127.0.0.1:${await freePort()}`], code });
    using bob = new Peer({ url: [two.url, one.url], code });
    await met(alice, bob);
  });

  test("nobody comes: no-peer; no relay there: no-relay; both may be tried again", async () => {
    await using relay = await spawnRelay("source");
    using alone = new Peer({ url: relay.url, waitMs: 3_000 }); // long enough to join on a busy machine
    using lost = new Peer({ url: `ws://127.0.0.1:${await freePort()}`, waitMs: 1_000 });
    const failures = await Promise.all([alone.next("failed"), lost.next("failed")]);
    expect(failures).toMatchObject([
      { reason: "no-peer", retry: true },
      { reason: "no-relay", retry: true },
    ]);
  });
});

describe("the wire", () => {
  async function joinedOn(script: Script, options: Partial<ConnectOptions> = {}) {
    const relay = startScriptedRelay(script);
    const peer = new Peer({ url: relay.url, code: newCode(), ...options });
    await until("a seat", () => relay.seated.length, equals(1));
    return { relay, peer };
  }

  test("carries neither the code nor anything that was said, and a hint made of the relay's own name", async () => {
    await using relay = startScriptedRelay();
    const code = newCode();
    using alice = new Peer({ url: relay.url, code });
    using bob = new Peer({ url: relay.url, code });
    await met(alice, bob);
    alice.session.signal({ description: { type: "offer", sdp: "v=0 secret" } });
    await until("1 signals", () => bob.signals.length, equals(1));
    const said = JSON.stringify([relay.received, relay.paths]);
    expect(said).not.toContain(code);
    expect(said).not.toContain("secret");
    expect(relay.received.find(({ type }) => type === "offer")?.["offer"]).toEqual({
      iv: expect.stringMatching(/^\d{16}$/),
      sealed: expect.stringMatching(/^[\w+/]+=*$/),
    });
    expect(new Set(relay.paths).size).toBe(1);
    expect(relay.paths[0]).toMatch(/^\/\?s=[0-9a-f]{3}$/);
  });

  test("of the second round is used where the relay knows it", async () => {
    await using relay = startScriptedRelay({ additions: true, ready: { iceServers: [] } });
    const code = newCode();
    using alice = new Peer({ url: relay.url, code });
    const waiting = await alice.next("waiting");
    expect(waiting).toEqual({ expiresInMs: 600_000, opposite: false });
    using bob = new Peer({ url: relay.url, code });
    await met(alice, bob);
    alice.session.signal({ data: 1 });
    alice.session.signal({ candidate: null });
    await until("2 signals", () => bob.signals.length, equals(2));
    const types = relay.received.map(({ type }) => type);
    expect(types.filter((type) => type !== "join")).toEqual(["ice-candidate", "ice-candidate"]); // and no hello
    expect(relay.received.filter(({ type }) => type !== "join").map((one) => one["pairing"])).toEqual([1, 1]);
    for (const join of relay.received.filter(({ type }) => type === "join"))
      expect(join).toMatchObject({ answers: true, instance: expect.stringMatching(/^[0-9A-Z]{26}$/) });
    relay.tell({ type: "probe" });
    await until("2 pongs", () => relay.received.filter(({ type }) => type === "pong").length, equals(2));
  });

  test("knows whether the page opposite is the one from before", async () => {
    await using relay = startScriptedRelay({ additions: true });
    const code = newCode();
    using alice = new Peer({ url: relay.url, code });
    const bob = new Peer({ url: relay.url, code });
    await met(alice, bob);
    let ready = alice.next("ready");
    relay.seated[1]?.close(1001);
    expect(await ready).toMatchObject({ samePeer: true });
    ready = alice.next("ready");
    bob.session.close();
    using another = new Peer({ url: relay.url, code });
    expect(await ready).toMatchObject({ samePeer: false });
    await met(alice, another);
    expect(another.session.isInitiator).toBe(!alice.session.isInitiator);
  });

  test("messages that a relay changes, replays, reorders, reflects or makes up are never heard", async () => {
    const held: Wire[] = [];
    await using relay = startScriptedRelay({
      pass(message) {
        if (message.type !== "offer") return [message];
        held.push(message);
        const [first] = held;
        if (held.length < 2 || !first) return [];
        const forged = { type: "offer", sdp: "v=0 forged" };
        // The second, then the first; both again; the first under another type; and offers of its own.
        const retyped: Wire = { ...first, type: "answer", answer: first["offer"] };
        return [
          message,
          first,
          message,
          retyped,
          { ...first, offer: forged },
          { ...first, offer: { iv: "", sealed: "" } },
        ];
      },
    });
    const code = newCode();
    using alice = new Peer({ url: relay.url, code });
    using bob = new Peer({ url: relay.url, code });
    await met(alice, bob);
    for (const sdp of ["1", "2"]) alice.session.signal({ description: { type: "offer", sdp } });
    alice.session.signal({ data: "last" });
    await until("the last signal", () => bob.signals.some((signal) => JSON.stringify(signal).includes("last")));
    expect(bob.signals).toEqual([{ description: { type: "offer", sdp: "2" } }, { data: "last" }]);
    relay.tell(held[1] ?? {}); // to alice too, who said it
    bob.session.signal({ data: "mine" });
    await until("a signal", () => alice.signals.length, atLeast(1));
    expect(alice.signals).toEqual([{ data: "mine" }]);
  });

  test.each([
    ["made of two of its own", (me: string) => `${me}>${me}`],
    ["its own, in a list", (me: string) => [me]],
    ["no text", () => ({ toString: 1 })],
  ])("a name of the other that is %s is not believed, and nothing comes back reflected", async (_, forge) => {
    let me = "";
    let page: ScriptedSocket | undefined;
    await using relay = startScriptedRelay({
      join(socket, message) {
        me = String(message["instance"]);
        page = socket;
        for (const told of [
          { type: "joined", token: "t" },
          { type: "ready", pairing: 1, peer: forge(me) },
        ])
          socket.send(JSON.stringify(told));
        return true;
      },
      async change(message) {
        page?.send(JSON.stringify(message));
        return message;
      },
    });
    using alice = new Peer({ url: relay.url });
    alice.session.addEventListener("ready", () => alice.session.signal({ data: "mine" }));
    await until("a join", () => me !== "");
    page?.send(JSON.stringify({ type: "ready", pairing: 2, peer: "bobbobbob" }));
    await until("a signal", () => relay.received.length, equals(2));
    page?.send(JSON.stringify({ type: "ready", pairing: 3, peer: "evebobbob" }));
    await until("a signal", () => relay.received.length, equals(3));
    expect([alice.signals, alice.log.filter((one) => one === "ready").length]).toEqual([[], 2]);
  });

  test("a relay that is named twice is sat on once; a URL that is none ends it, with a reason", async () => {
    await using relay = await spawnRelay("source");
    const code = newCode();
    using alice = new Peer({ url: [relay.url, relay.url], code });
    using bob = new Peer({ url: [relay.url, relay.url], code });
    await met(alice, bob);
    using lost = new Peer({ url: "no such://place" });
    expect(await lost.next("failed")).toMatchObject({ reason: "unsupported", retry: false });
  });

  test("says when to come back, and that is when: not before, and not for good", async () => {
    let joins = 0;
    const begun = performance.now();
    const { relay, peer } = await joinedOn({
      join(socket) {
        if (joins++ > 0) return false;
        socket.send('{"type":"error","code":"restarting","message":"m","retryAfterMs":700,"retry":true}');
        socket.close(1012, "restarting");
        return true;
      },
    });
    await until("the wait for a peer", () => peer.session.state, equals("waiting"));
    expect(joins).toBe(2);
    expect(performance.now() - begun).toBeGreaterThan(700);
    expect(peer.log).toEqual(["retrying", "waiting"]);
    peer.session.close();
    await relay[Symbol.asyncDispose]();
  });

  test("brings a lost seat back by its token, and a socket let go is heard no more", async () => {
    const { relay, peer } = await joinedOn({});
    const [old] = relay.seated;
    old?.close(1001);
    await until("2 messages", () => relay.received.length, equals(2));
    expect(relay.received[1]).toMatchObject({ type: "join", token: "t" });
    peer.session.close();
    await relay[Symbol.asyncDispose]();
  });

  test("that holds nonsense does no harm", async () => {
    const { relay, peer } = await joinedOn({});
    for (const nonsense of [
      "",
      "null",
      "[]",
      "1",
      '{"type":1}',
      '{"type":"offer","offer":null}',
      '{"type":"constructor"}',
    ])
      relay.seated[0]?.send(nonsense);
    using bob = new Peer({ url: relay.url, code: peer.session.code });
    await met(peer, bob);
    peer.session.close();
    await relay[Symbol.asyncDispose]();
  });

  test("a relay that sends away for good ends it, in the relay's words", async () => {
    await using relay = startScriptedRelay({
      join(socket) {
        socket.send('{"type":"error","code":"quota","message":"Too much."}');
        socket.close(4506, "quota");
        return true;
      },
    });
    using alice = new Peer({ url: relay.url });
    expect(await alice.next("failed")).toMatchObject({ reason: "quota", message: "Too much.", retry: false });
  });
});
