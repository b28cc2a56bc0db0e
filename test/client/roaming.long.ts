/** A pair of which one changes networks: in Chromium on a machine of its own with two cables. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { newCode } from "../../src/client/client.ts";
import { hasChromium, launchChromium, PATIENCE_MS } from "../support/machines/chromium.ts";
import { Roaming } from "../support/machines/roaming.ts";
import { spawnRelay } from "../support/relays/relay.ts";
import { begin, openPage, startSite, untilTalking } from "./pages.ts";

setDefaultTimeout(4 * PATIENCE_MS);

/** A chat is to go on in so many ms: a browser alone takes 15 s to find that its path is gone. */
const SOON_MS = 6_000;

const canRun = hasChromium() && (await Roaming.isPossible());
if (!canRun) console.warn("client/roaming: nothing is tried: there is no Chromium, or no network can be made here");

test.skipIf(!canRun)(
  "a chat goes on in the same connection, soon after one of the two has changed networks",
  async () => {
    await using roaming = await Roaming.create();
    await using relay = await spawnRelay("binary", "--host", "0.0.0.0");
    const site = startSite("0.0.0.0");
    const own = await launchChromium();
    const origin = `http://${roaming.address}:${site.port}`;
    const far = await roaming.launchChromium(origin);
    try {
      const [alice, bob] = await Promise.all([
        openPage(far, { url: new URL(origin) }),
        openPage(own, { url: new URL(`http://127.0.0.1:${site.port}`) }),
      ]);
      const options = { url: `ws://${roaming.address}:${relay.port}`, code: newCode() };
      await begin(alice, options);
      await begin(bob, options);
      await untilTalking(alice, bob);
      for (let change = 1; change <= 2; change++) {
        const dialled = Number(await alice.run("page.sockets.length"));
        await roaming.change();
        const since = performance.now();
        await alice.until(`page.sockets.length > ${dialled}`); // before that nothing can have been mended
        await untilTalking(alice, bob);
        expect(performance.now() - since).toBeLessThan(SOON_MS);
        expect(await alice.run("page.connections.length")).toBe(1);
      }
    } finally {
      await far.close();
      await own.close();
      await site.stop(true);
    }
  },
);
