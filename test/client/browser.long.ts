/** The library in real browsers, through the relay: what each of the field's open issues comes down to. */
import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { resolve } from "node:path";
import { BrowserPeer, CHROMIUM, hasChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { freePort } from "../support/machines/free-port.ts";
import { equals, until } from "../support/machines/until.ts";
import { ROOT, spawnRelay } from "../support/relays/relay.ts";
import { begin, openPage, twoPages, untilTalking } from "./pages.ts";
import { startScriptedRelay, type Wire } from "./scripted-relay.ts";

setDefaultTimeout(3 * PATIENCE_MS);

if (!hasChromium()) console.warn(`client/browser.test.ts: the library is not tried, there is no ${CHROMIUM}`);

describe.skipIf(!hasChromium() && !process.env["CI"])("pages", () => {
  const two = twoPages();
  let { browser, site, relay, alice, bob, options } = two;
  beforeEach(() => {
    ({ browser, site, relay, alice, bob, options } = two);
  });
  const meet = (alices: object = {}, bobs: object = alices) =>
    two.meet({ ...options, ...alices }, { ...options, ...bobs });

  describe("meet", () => {
    test.each([
      ["without roles", {}, {}],
      ["the joiner first", { role: "joiner" }, { role: "initiator" }],
      ["on the plain wire", { sealed: false }, { sealed: false }],
      ["without a hint, while the keys are being derived", { hint: false }, { hint: false }],
    ])("%s", async (_, alices, bobs) => {
      await meet(alices, bobs);
      expect(await alice.run("page.session.connected.then(({ channel }) => channel.readyState)")).toBe("open");
      // Who comes second need not wait, and a seat that was held is no trouble worth a word here.
      const log = await alice.run("page.log.filter((type) => type !== 'retrying' && type !== 'waiting')");
      expect(log).toEqual(["ready", "connected"]);
    });

    test.each([true, false])("a page that speaks only the plain wire; the library initiates: %p", async (initiates) => {
      const old = Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        fetch: () => new Response(Bun.file(resolve(ROOT, "test/support/machines/page.html"))),
      });
      await using page = await BrowserPeer.open(browser, old.url.href);
      const role = initiates ? "initiator" : "joiner";
      await begin(alice, { ...options, sealed: false, role });
      await page.join(relay.url, options.code, !initiates);
      await Promise.all([alice.until("page.isConnected()"), page.until("peer.isOpen")]);
      await page.run('peer.say("from an old page")');
      await alice.until('page.heard.includes("from an old page")');
      // It loads anew and meets the same session again.
      await page.reload();
      await page.join(relay.url, options.code, !initiates);
      await page.until("peer.isOpen");
      await alice.until("page.count('connected') === 2");
      await old.stop(true);
    });

    test("a third is refused in plain words, and the pair goes on", async () => {
      await meet();
      await using mallory = await openPage(browser, site);
      await begin(mallory, options);
      await mallory.until("page.last.failed");
      expect(await mallory.run("page.last.failed")).toEqual({
        reason: "session-full",
        retry: false,
        message: "Both seats of this session are held.",
      });
      await untilTalking(alice, bob);
      expect(await alice.run("page.connections.length")).toBe(1);
    });

    test.each(["alice", "bob"])("again after %s reloads", async (who) => {
      await meet();
      const [leaving, staying] = who === "alice" ? [alice, bob] : [bob, alice];
      await leaving.reload();
      await leaving.until("globalThis.page");
      await begin(leaving, options);
      await untilTalking(alice, bob);
      expect(await staying.run("page.count('connected')")).toBe(2);
    });
  });

  describe("stay connected", () => {
    test("while the relay is gone, and find it again", async () => {
      const port = freePort();
      await using first = await spawnRelay("binary", "--port", `${port}`);
      options = { ...options, url: first.url };
      await meet();
      await first.stop("SIGKILL");
      await alice.until("page.count('retrying') > 0 && page.session.state === 'connected'");
      await untilTalking(alice, bob);
      await using second = await spawnRelay("binary", "--port", `${port}`);
      await until("1 sessions", () => second.sessions(), equals(1));
      await untilTalking(alice, bob);
      expect(await alice.run("[page.connections.length, page.count('interrupted')]")).toEqual([1, 0]);
    });

    test("over a relay that is restarted in the middle of the handshake", async () => {
      const port = freePort();
      options = { ...options, url: `ws://127.0.0.1:${port}` };
      {
        await using first = await spawnRelay("binary", "--port", `${port}`);
        await begin(alice, options);
        await alice.until("page.log.includes('waiting')");
        await begin(bob, options);
        await alice.until("page.log.includes('ready')");
        await first.stop("SIGKILL");
      }
      await using second = await spawnRelay("binary", "--port", `${port}`);
      await untilTalking(alice, bob);
      expect(second.process.exitCode).toBe(null);
    });

    test("and a restart of ICE finds another path in the same connection", async () => {
      await meet();
      const ufrag = "/ice-ufrag:(.*)/.exec(page.session.connection.localDescription.sdp)[1]";
      const before = await alice.run(ufrag);
      await bob.run("page.session.restart()");
      await alice.until(
        `${ufrag} !== ${JSON.stringify(before)} && page.session.connection.signalingState === 'stable'`,
      );
      await untilTalking(alice, bob);
      expect(await alice.run("page.connections.length")).toBe(1);
    });

    test("when both add tracks at the same moment", async () => {
      await meet();
      const add = "void page.session.connection.addTransceiver('audio')";
      await Promise.all([alice.run(add), bob.run(add)]);
      const both =
        "page.session.connection.signalingState === 'stable' && page.session.connection.getTransceivers().filter(({ mid }) => mid).length === 2";
      await Promise.all([alice.until(both), bob.until(both)]);
      await untilTalking(alice, bob);
    });

    test("and a failure in the middle of a negotiation does not block the next", async () => {
      let swallowing = false;
      await using scripted = startScriptedRelay({ pass: (message) => (swallowing ? [] : [message]) });
      options = { ...options, url: scripted.url };
      await meet();
      swallowing = true;
      await alice.run("page.session.restart()");
      await alice.until("page.session.connection.signalingState === 'have-local-offer'");
      swallowing = false;
      await alice.run("page.session.restart()");
      await alice.until("page.session.connection.signalingState === 'stable'");
      await untilTalking(alice, bob);
    });

    test("and join again for a restart of ICE after the session had expired", async () => {
      await using short = await spawnRelay("binary", "--session-ttl", "1s");
      options = { ...options, url: short.url };
      await meet();
      await until("0 sessions", () => short.sessions(), equals(0));
      await alice.until("page.sockets.every(({ readyState }) => readyState === 3)");
      const answered = "page.session.connection.remoteDescription.sdp";
      const before = await alice.run(answered);
      await Promise.all([alice.run("page.session.restart()"), bob.run("page.session.restart()")]);
      await alice.until(`${answered} !== ${JSON.stringify(before)}`);
      await untilTalking(alice, bob);
    });
  });

  describe("the page", () => {
    test("hidden for the back/forward cache gives its seat up and keeps its session; shown, it waits again", async () => {
      await begin(alice, options);
      await alice.until("page.session.state === 'waiting'");
      await alice.run("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))");
      await until("0 sessions", () => relay.sessions(), equals(0));
      await alice.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))");
      await until("1 sessions", () => relay.sessions(), equals(1));
      await begin(bob, options);
      await untilTalking(alice, bob);
    });

    test("that goes for good leaves, and hangs up", async () => {
      await meet();
      await alice.run("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: false }))");
      await bob.until("page.last['peer-left'] === null && page.session.state === 'waiting'");
      expect(await alice.run("page.session.state")).toBe("closed");
    });

    test.each(["online", "visibilitychange", "pageshow", "resume"])("hearing %s dials at once", async (type) => {
      await begin(alice, { ...options, url: `ws://127.0.0.1:${freePort()}` });
      const isTurned = `document.dispatchEvent(new Event("${type}", { bubbles: true }))`;
      // All in one turn: nothing else can dial in between, and the next try may be seconds away.
      await alice.until(`(() => {
        const { length } = page.sockets;
        if (page.count("retrying") < 3 || page.sockets[length - 1].readyState !== 3) return false;
        return ${isTurned} && page.sockets.length === length + 1;
      })()`);
    });

    test("finds on waking that a socket which looks open is dead, and one that answers it keeps", async () => {
      await using scripted = startScriptedRelay({ pong: false });
      await using alive = startScriptedRelay();
      await begin(alice, { ...options, url: scripted.url });
      await begin(bob, { ...options, url: alive.url });
      await Promise.all([alice.until("page.count('waiting') === 1"), bob.until("page.count('waiting') === 1")]);
      for (const page of [alice, bob]) await page.run("dispatchEvent(new Event('pageshow'))");
      await alice.until("page.count('waiting') === 2");
      expect(scripted.received.at(-1)).toMatchObject({ type: "join", token: "t" });
      expect(await bob.run("page.sockets.length")).toBe(1);
    });

    test("that begins, aborts and begins again, as React does in development, has one session and no error", async () => {
      await alice.run(`
        const leaving = new AbortController();
        page.begin({ ...${JSON.stringify(options)}, signal: leaving.signal });
        leaving.abort();
        page.begin(${JSON.stringify(options)});
      `);
      await begin(bob, options);
      await untilTalking(alice, bob);
      expect(await alice.run("page.sessions.map(({ state }) => state)")).toEqual(["closed", "connected"]);
    });
  });

  describe("a failure", () => {
    test("is no-answer where the other side is there and silent", async () => {
      await begin(bob, { ...options, connection: false });
      await begin(alice, { ...options, connectMs: 500 });
      await alice.until("page.last.failed");
      expect(await alice.run("page.last.failed")).toMatchObject({ reason: "no-answer", retry: true });
    });

    test("is no-path where no candidates meet, and says that there was no TURN", async () => {
      const hard = { ...options, connectMs: 1_500, rtc: { iceTransportPolicy: "relay" } };
      await begin(alice, hard);
      await begin(bob, hard);
      await alice.until("page.last.failed");
      expect(await alice.run("page.last.failed")).toMatchObject({ reason: "no-path", retry: false });
    });

    test("with TURN tried says so", async () => {
      const iceServers = [{ urls: "turn:127.0.0.1:9", username: "u", credential: "c" }];
      await using scripted = startScriptedRelay({ ready: { iceServers } });
      const hard = { ...options, url: scripted.url, connectMs: 1_500, rtc: { iceTransportPolicy: "relay" } };
      await begin(alice, hard);
      await begin(bob, hard);
      await alice.until("page.last.failed");
      const used = "page.connections[0].getConfiguration().iceServers.flatMap(({ urls }) => urls)";
      expect(await alice.run(used)).toEqual(["turn:127.0.0.1:9"]);
      expect(await alice.run("page.last.failed.message")).toBe("no-path, TURN tried");
    });
  });

  describe("a relay that lies", () => {
    test("by swapping the descriptions does not get a sealed pair to connect to it", async () => {
      const plain = { type: "offer", sdp: "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" };
      await using liar = startScriptedRelay({
        pass: (message) => (message.type === "offer" ? [{ ...message, offer: plain }] : [message]),
      });
      for (const page of [alice, bob]) await begin(page, { ...options, url: liar.url, connectMs: 1_000 });
      await alice.until("page.last.failed");
      expect(await alice.run("page.last.failed.reason")).toBe("no-answer");
      expect(await bob.run("page.connections.length + page.count('connected')")).toBeLessThan(2);
    });

    test("by telling everything twice, and candidates before their description, changes nothing", async () => {
      const early: Wire[] = [];
      await using liar = startScriptedRelay({
        pass(message) {
          if (message["candidate"] && JSON.stringify(message).includes("hello")) return [message];
          if (message.type !== "offer") return [message, message];
          early.push(message);
          return [message, message];
        },
      });
      options = { ...options, url: liar.url };
      await meet();
      expect(early.length).toBe(1);
    });
  });

  test("an own connection is negotiated over `signal`, sealed", async () => {
    for (const page of [alice, bob]) {
      await page.run(`
        page.begin({ ...${JSON.stringify(options)}, connection: false });
        const mine = new RTCPeerConnection();
        page.own = mine;
        mine.onicecandidate = ({ candidate }) => page.session.signal({ candidate });
        page.session.addEventListener("ready", async ({ detail: { isInitiator } }) => {
          if (!isInitiator) return;
          mine.createDataChannel("own");
          await mine.setLocalDescription();
          page.session.signal({ description: mine.localDescription });
        });
        page.session.addEventListener("signal", async ({ detail: { description, candidate } }) => {
          if (candidate) await mine.addIceCandidate(candidate);
          if (!description) return;
          await mine.setRemoteDescription(description);
          if (description.type !== "offer") return;
          await mine.setLocalDescription();
          page.session.signal({ description: mine.localDescription });
        });
      `);
    }
    await Promise.all([alice, bob].map((page) => page.until("page.own.connectionState === 'connected'")));
    await Promise.all([alice, bob].map((page) => page.run("page.reset(), page.own.close()")));
  });

  test("the path is told, large sends wait for room, and what is too large is refused", async () => {
    await meet();
    const told = await alice.run("page.channel.path(page.session.connection)");
    expect(told).toMatchObject({ relayed: false, protocol: "udp", local: "host" });
    await alice.run(`(async () => {
      const block = new Uint8Array(65536);
      page.most = 0;
      for (let i = 0; i < 100; i++) {
        await page.channel.send(page.session, block);
        page.most = Math.max(page.most, page.session.channel.bufferedAmount);
      }
    })()`);
    await bob.until("page.heard.length >= 101");
    expect(await alice.run("page.most")).toBeLessThanOrEqual(2 ** 20 + 65_536);
    expect(
      await alice.run(
        "page.channel.send(page.session, new Uint8Array(1e8)).catch(({ name, message }) => name + message)",
      ),
    ).toMatch(/^RangeErrorover \d+ bytes$/);
  });
});
