/** The library in real browsers, when the page, the network or the relay behave as they do outside of tests. */
import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { newCode } from "../../src/client/client.ts";
import { Authority } from "../support/machines/certificates.ts";
import {
  type BrowserPeer,
  CHROMIUM,
  hasChromium,
  launchChromium,
  PATIENCE_MS,
  renderersOf,
} from "../support/machines/chromium.ts";
import { openDtlsTap } from "../support/machines/dtls-tap.ts";
import { freePort } from "../support/machines/free-port.ts";
import { X25519MLKEM768 } from "../support/machines/tap.ts";
import { equals, until } from "../support/machines/until.ts";
import { spawnRelay } from "../support/relays/relay.ts";
import { begin, openPage, twoPages, untilTalking } from "./pages.ts";
import { startScriptedRelay, type Wire } from "./scripted-relay.ts";

setDefaultTimeout(3 * PATIENCE_MS);

if (!hasChromium()) console.warn(`client/hardships: the library is not tried, there is no ${CHROMIUM}`);

describe.skipIf(!hasChromium() && !process.env["CI"])("pages", () => {
  // Playwright switches the back/forward cache off, and people's browsers have it.
  const two = twoPages(["--ignore-certificate-errors"], ["--disable-back-forward-cache"]);
  let { browser, site, relay, alice, bob, options } = two;
  beforeEach(() => {
    ({ browser, site, relay, alice, bob, options } = two);
  });
  const meet = (alices: object = {}, bobs: object = alices) =>
    two.meet({ ...options, ...alices }, { ...options, ...bobs });

  const waiting = (page: BrowserPeer) => page.until("page.session.state === 'waiting'");

  describe("a page", () => {
    test("that waits, goes into the back/forward cache and comes back, gave its seat up and waits again", async () => {
      await begin(alice, options);
      await waiting(alice);
      await alice.run("page.isKept = true");
      await alice.goto(`${site.url.href}?elsewhere`);
      await until("0 sessions", () => relay.sessions(), equals(0));
      await alice.goBack();
      await alice.until("globalThis.page?.isKept"); // the same page, not one loaded anew
      await waiting(alice);
      await begin(bob, options);
      await untilTalking(alice, bob);
    });

    test("that is left for another is gone, and the other peer is told", async () => {
      await meet();
      await alice.goto(`${site.url.href}?elsewhere`);
      await alice.until("globalThis.page");
      await bob.until("page.count('peer-left') === 1 && page.session.state === 'waiting'");
    });

    test("whose process stood still while the relay went away finds on going on that its socket is dead", async () => {
      const port = freePort();
      options = { ...options, url: `ws://127.0.0.1:${port}` };
      const other = await launchChromium();
      try {
        await using carol = await openPage(other, site);
        const renderers = await renderersOf(other);
        const first = await spawnRelay("binary", "--port", `${port}`);
        await begin(carol, options);
        await waiting(carol);
        for (const pid of renderers) process.kill(pid, "SIGSTOP");
        await first.stop("SIGKILL");
        await using second = await spawnRelay("binary", "--port", `${port}`);
        await begin(bob, options);
        await waiting(bob);
        for (const pid of renderers) process.kill(pid, "SIGCONT");
        await untilTalking(carol, bob);
        expect(second.process.exitCode).toBe(null);
      } finally {
        await other.close();
      }
    });

    test("that is offline while the relay restarts dials as soon as it is online", async () => {
      const port = freePort();
      options = { ...options, url: `ws://127.0.0.1:${port}` };
      const network = (offline: boolean) =>
        alice.tell("Network.emulateNetworkConditions", {
          offline,
          latency: 0,
          downloadThroughput: -1,
          uploadThroughput: -1,
        });
      {
        await using first = await spawnRelay("binary", "--port", `${port}`);
        await begin(alice, options);
        await waiting(alice);
        await alice.tell("Network.enable");
        await network(true);
        await first.stop("SIGKILL");
      }
      await using second = await spawnRelay("binary", "--port", `${port}`);
      // Long enough for the pauses to have grown: what comes next is no chance.
      await alice.until("page.count('retrying') >= 3");
      await alice.run(
        "addEventListener('online', () => { page.onlineAt = page.sockets.length; }, { once: true, capture: true })",
      );
      await network(false);
      await alice.until("page.onlineAt !== undefined && page.session.state === 'waiting'");
      await begin(bob, options);
      await untilTalking(alice, bob);
      expect(second.process.exitCode).toBe(null);
    });

    test("that waits when the relay is killed and started again is met", async () => {
      const port = freePort();
      options = { ...options, url: `ws://127.0.0.1:${port}` };
      {
        await using first = await spawnRelay("binary", "--port", `${port}`);
        await begin(alice, options);
        await waiting(alice);
        await first.stop("SIGKILL");
      }
      await alice.until("page.count('retrying') > 0");
      await using second = await spawnRelay("binary", "--port", `${port}`);
      await begin(bob, options);
      await untilTalking(alice, bob);
      expect(second.process.exitCode).toBe(null);
    });

    test("that claims the role of another is refused in plain words, and the other waits on", async () => {
      await begin(alice, { ...options, role: "initiator" });
      await waiting(alice);
      await begin(bob, { ...options, role: "initiator" });
      await bob.until("page.last.failed");
      expect(await bob.run("page.last.failed")).toMatchObject({ reason: "role-taken", retry: false });
      expect(await alice.run("page.session.state")).toBe("waiting");
    });
  });

  test("a page from the relay itself, over TLS, has the library and a secure context, and meets another", async () => {
    await using authority = await Authority.create();
    const { args } = await authority.issue();
    await using secure = await spawnRelay("binary", ...args);
    const context = async () => {
      const opened = await browser.newContext({ permissions: ["microphone"] });
      const page = await opened.newPage();
      await page.goto(`https://127.0.0.1:${secure.port}/health`);
      return page;
    };
    const pages = await Promise.all([context(), context()]);
    const code = newCode();
    const heard = await Promise.all(
      pages.map((page, i) =>
        page.evaluate(
          `(async () => {
            const { connect } = await import("/client.js");
            const session = connect({ url: location.origin.replace("http", "ws"), code: "${code}" });
            const { channel } = await session.connected;
            const heard = new Promise((resolve) => { channel.onmessage = ({ data }) => resolve(data); });
            channel.send("from ${i}");
            return [isSecureContext, session.isInitiator, await heard];
          })()`,
        ),
      ),
    );
    const [first, second] = heard as [boolean, boolean, string][];
    expect([first?.[0], first?.[2], second?.[2]]).toEqual([true, "from 1", "from 0"]);
    expect(first?.[1]).toBe(!second?.[1]);
    for (const page of pages) await page.context().close();
  });

  test("the peers' own handshake exchanges keys so that a quantum computer won't find them", async () => {
    await using tap = openDtlsTap();
    const port = /^(candidate:\S+ \d+ udp \d+ \S+) (\d+) /;
    const stood = async (line: string) => {
      const [head = "", start = "", real = ""] = port.exec(line) ?? [];
      return head
        ? `${start.replace(/\S+$/, "127.0.0.1")} ${await tap.standFor(Number(real))} ${line.slice(head.length)}`
        : line;
    };
    // The scripted relay is told what each candidate is to be before it passes it on: all go through the tap.
    await using liar = startScriptedRelay({
      async change(message) {
        const candidate = message["candidate"] as { candidate?: string } | null | undefined;
        if (!candidate?.candidate) return message;
        return { ...message, candidate: { ...candidate, candidate: await stood(candidate.candidate) } };
      },
    });
    options = { ...options, url: liar.url };
    await meet({ sealed: false });
    await until("a key share", () => tap.groups.length > 0);
    expect(tap.groups[0]).toBe(X25519MLKEM768);
    expect(await alice.run("page.tls()")).toBe("FEFC"); // DTLS 1.3
  });

  describe("candidates", () => {
    test("of null, of none, of another description and before any are no harm", async () => {
      const early: Wire[] = [];
      await using odd = startScriptedRelay({
        pass(message) {
          const { candidate, ...rest } = message;
          if (message.type === "offer")
            return [{ ...rest, type: "ice-candidate", candidate: null }, ...early.splice(0), message];
          if (!candidate) return [message];
          const foreign = {
            candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host",
            sdpMid: "0",
            usernameFragment: "none",
          };
          return [
            { ...rest, candidate: { candidate: "", sdpMid: "0" } },
            { ...rest, candidate: foreign },
            message,
            { ...rest, candidate: null },
          ];
        },
      });
      options = { ...options, url: odd.url };
      await meet({ sealed: false });
      expect(await alice.run("page.connections.length")).toBe(1);
    });
  });

  describe("a relay that lies to a sealed pair", () => {
    /** Whether what each page is connected to is the other page, by their certificates. */
    async function areTheirOwn(): Promise<boolean> {
      const print = (which: string) => `/fingerprint:(.*)/.exec(page.session.connection.${which}Description.sdp)[1]`;
      const [a, b] = await Promise.all([alice, bob].map((page) => page.run(`[${print("local")}, ${print("remote")}]`)));
      const [alices, bobs] = [a as string[], b as string[]];
      return alices[0] === bobs[1] && alices[1] === bobs[0];
    }

    /** Names are said in the clear: with wrong ones nobody is met at all. */
    const isName = (message: Wire) => JSON.stringify(message).includes("hello");

    test("by dropping, doubling and reordering only delays it", async () => {
      let count = 0;
      let held: Wire | undefined;
      await using liar = startScriptedRelay({
        pass(message) {
          if (isName(message) || ++count > 6) return [message];
          if (count === 1) return []; // the first offer
          const before = held;
          held = count % 2 ? undefined : message;
          return before ? [message, before, message] : [];
        },
      });
      options = { ...options, url: liar.url };
      await meet();
      expect(await areTheirOwn()).toBe(true);
      expect(count).toBeGreaterThan(6);
    });

    test("by replaying what an earlier session said does not get it into the next", async () => {
      const earlier: Wire[] = [];
      let replaying = false;
      await using liar = startScriptedRelay({
        pass(message) {
          if (!replaying && !isName(message)) earlier.push(message);
          return replaying && !isName(message) ? [...earlier, message, ...earlier] : [message];
        },
      });
      options = { ...options, url: liar.url };
      await meet();
      await Promise.all([alice, bob].map((page) => page.run("page.reset()")));
      replaying = true;
      await meet();
      expect(await areTheirOwn()).toBe(true);
      expect(earlier.length).toBeGreaterThan(2);
    });

    test("by answering in the other's place is not believed, whatever it says", async () => {
      let forged = 0;
      await using liar = startScriptedRelay({
        pass(message) {
          if (message.type !== "offer" && message.type !== "answer") return [message];
          forged++;
          const sdp = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 00\r\n";
          const plain = { type: message.type, sdp };
          const iv = "1000000000000000";
          return [
            { ...message, [message.type]: plain },
            { ...message, [message.type]: { iv, sealed: btoa(JSON.stringify({ description: plain })) } },
            { ...message, [message.type]: { ...plain, iv, sealed: "" } },
          ];
        },
      });
      for (const page of [alice, bob]) await begin(page, { ...options, url: liar.url, connectMs: 2_000 });
      await Promise.all([alice, bob].map((page) => page.until("page.last.failed")));
      expect(forged).toBeGreaterThan(0);
      for (const page of [alice, bob]) expect(await page.run("page.count('connected')")).toBe(0);
    });
  });

  test("a peer that stands still is waited for 5 s, then told of a new path, and its chat goes on", async () => {
    const other = await launchChromium();
    try {
      await using carol = await openPage(other, site);
      await begin(alice, options);
      await begin(carol, options);
      await untilTalking(alice, carol);
      await alice.run(`
        page.session.connection.addEventListener("connectionstatechange", ({ target }) => {
          if (target.connectionState === "disconnected") page.lostAt = performance.now();
        });
        page.session.addEventListener("interrupted", () => { page.interruptedAt = performance.now(); });
      `);
      const renderers = await renderersOf(other);
      for (const pid of renderers) process.kill(pid, "SIGSTOP");
      try {
        await alice.until("page.interruptedAt");
      } finally {
        for (const pid of renderers) process.kill(pid, "SIGCONT");
      }
      const passed = Number(await alice.run("page.interruptedAt - page.lostAt"));
      expect(passed).toBeGreaterThan(4_900);
      expect(passed).toBeLessThan(7_000);
      await untilTalking(alice, carol);
    } finally {
      await other.close();
    }
  });
});
