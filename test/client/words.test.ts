/** Words to compare on the plain wire, in real browsers: the same in both peers, and others when somebody sits between. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser } from "playwright-core";
import { newCode } from "../../src/client/client.ts";
import { WORDS } from "../../src/client/wordlist.ts";
import { type BrowserPeer, hasChromium, launchChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { type RunningRelay, spawnRelay } from "../support/relays/relay.ts";
import { openPage, startSite } from "./pages.ts";

setDefaultTimeout(3 * PATIENCE_MS);

test("there are 256 words, each known by its first four letters", () => {
  expect(WORDS.length).toBe(256);
  expect(new Set(WORDS.map((word) => word.slice(0, 4))).size).toBe(256);
  for (const word of WORDS) expect(word).toMatch(/^[a-z]{3,8}$/);
});

describe.skipIf(!hasChromium() && !process.env["CI"])("two pages that compare words", () => {
  let browser: Browser;
  let site: Bun.Server<undefined>;
  let relay: RunningRelay;
  let alice: BrowserPeer;
  let bob: BrowserPeer;

  beforeAll(async () => {
    site = startSite();
    [browser, relay] = await Promise.all([launchChromium(), spawnRelay("source")]);
    [alice, bob] = await Promise.all([openPage(browser, site), openPage(browser, site)]);
  });

  afterAll(async () => {
    await browser?.close();
    await site?.stop(true);
    await relay?.[Symbol.asyncDispose]();
  });

  /** Begins a plain session with words in the page. */
  const begin = (page: BrowserPeer, code: string, role: string) =>
    page.run(`
      page.reset();
      page.compared = page.words.newWords();
      page.begin({ url: "${relay.url}", code: "${code}", role: "${role}", sealed: false, ...page.compared });
    `);
  const wordsOf = (page: BrowserPeer) =>
    page.run("page.session.connected.then(() => page.compared.words()).catch(({ message }) => message)");

  test("see the same four", async () => {
    const code = newCode();
    await begin(alice, code, "initiator");
    await begin(bob, code, "joiner");
    const [alices, bobs] = [await wordsOf(alice), await wordsOf(bob)];
    expect(alices).toEqual(bobs);
    expect(alices).toHaveLength(4);
  });

  test("see others when a relay in the middle passes all of it on, over connections of its own", async () => {
    await using mallory = await openPage(browser, site);
    const [left, right] = [newCode(), newCode()];
    // It is bob to alice and alice to bob. Commitment, nonce and opening go through it as they are.
    await mallory.run(`
      page.reset();
      const held = () => { const one = {}; one.promise = new Promise((resolve) => { one.resolve = resolve; }); return one; };
      const [commitment, nonce, opening] = [held(), held(), held()];
      const words = (connection, act) => act(connection.createDataChannel("words", { negotiated: true, id: 1000 }));
      page.begin({ url: "${relay.url}", code: "${left}", role: "joiner", sealed: false, 
        setup: (connection) => words(connection, (channel) => { channel.onmessage = ({ data }) => opening.resolve(data); }),
        received: ({ commitment: value }) => commitment.resolve(value),
        sending: async () => ({ nonce: await nonce.promise }),
      });
      page.begin({ url: "${relay.url}", code: "${right}", role: "initiator", sealed: false, 
        setup: (connection) => words(connection, (channel) => {
          channel.onopen = async () => channel.send(await opening.promise);
        }),
        received: ({ nonce: value }) => nonce.resolve(value),
        sending: async () => ({ commitment: await commitment.promise }),
      });
    `);
    await begin(alice, left, "initiator");
    await begin(bob, right, "joiner");
    const [alices, bobs] = [await wordsOf(alice), await wordsOf(bob)];
    for (const words of [alices, bobs]) expect(words).toHaveLength(4);
    expect(alices).not.toEqual(bobs);
  });

  test("get an error when the nonce that is opened is not the one of the commitment", async () => {
    await using mallory = await openPage(browser, site);
    const code = newCode();
    await mallory.run(`
      page.reset();
      page.begin({ url: "${relay.url}", code: "${code}", role: "initiator", sealed: false, 
        setup(connection) {
          const channel = connection.createDataChannel("words", { negotiated: true, id: 1000 });
          channel.onopen = () => channel.send(new Uint8Array(16));
        },
        received() {},
        sending: async () => ({ commitment: "0".repeat(64) }),
      });
    `);
    await begin(bob, code, "joiner");
    expect(await wordsOf(bob)).toBe("The commitment does not hold.");
  });

  test.each([
    ["a text, which would be read as a length", '"4000000000"'],
    ["nothing", "new Uint8Array(0)"],
    ["a number of another length", "new Uint8Array(17)"],
  ])("get an error when what is opened is %s", async (_, opened) => {
    await using mallory = await openPage(browser, site);
    const code = newCode();
    // The commitment is the right one for as many zeros as were asked for, so that nothing but its kind gives it away.
    await mallory.run(`
      page.reset();
      page.begin({ url: "${relay.url}", code: "${code}", role: "initiator", sealed: false,
        setup(connection) {
          const channel = connection.createDataChannel("words", { negotiated: true, id: 1000 });
          channel.onopen = () => channel.send(${opened});
        },
        received() {},
        sending: async () => ({ commitment: "0".repeat(64) }),
      });
    `);
    await begin(bob, code, "joiner");
    expect(await wordsOf(bob)).toBe("The commitment does not hold.");
    expect(await bob.run("page.say('still here') === undefined")).toBe(true);
  });

  test.each([
    ["the initiator", "initiator"],
    ["the joiner", "joiner"],
  ])("get an error when %s is the other and has none", async (_, others) => {
    const code = newCode();
    await alice.run(
      `page.reset(); page.begin({ url: "${relay.url}", code: "${code}", role: "${others}", sealed: false })`,
    );
    await begin(bob, code, others === "joiner" ? "initiator" : "joiner");
    expect(await wordsOf(bob)).toBe("The other side has no words.");
  });

  test("get an error, and not silence, before there is a connection and when the session ends", async () => {
    const code = newCode();
    const words = "page.compared.words().catch(({ message }) => message)";
    await begin(bob, code, "joiner");
    expect(await bob.run(words)).toBe("There is no connection yet.");
    // An initiator that commits itself, and then never opens.
    await alice.run(`
      page.reset();
      page.begin({ url: "${relay.url}", code: "${code}", role: "initiator", sealed: false,
        setup: (connection) => void connection.createDataChannel("words", { negotiated: true, id: 1000 }),
        received() {},
        sending: async () => ({ commitment: "0".repeat(64) }),
      });
    `);
    await bob.until("page.isConnected()");
    await bob.run(`void (page.told = ${words}.then((told) => { page.said = told; }))`);
    await bob.run("page.session.close()");
    await bob.until('page.said === "The connection has ended."');
  });
});
