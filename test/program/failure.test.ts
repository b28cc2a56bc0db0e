/** Errors that nobody expected: what is told of them, and what becomes of the relay. */
import { describe, expect, test } from "bun:test";
import { describeFailure, whyNotListen } from "../../src/program/failure.ts";
import { scrape } from "../support/machines/metrics.ts";
import { expectUndisturbed, newPair } from "../support/peers/client.ts";
import { frame, OP, RawClient } from "../support/peers/raw.ts";
import { hookedRelays } from "../support/relays/hooked.ts";
import type { Outcome } from "../support/relays/relay.ts";

const SECRET = "s3cret-A3F7B9E2C1D4";

test("a low port that is not permitted is told with what it takes, any other failure without", () => {
  const failure = (code: string) => Object.assign(new Error(SECRET), { code });
  expect(whyNotListen(failure("EACCES"), 1_023)).toContain("CAP_NET_BIND_SERVICE");
  expect(whyNotListen(failure("EACCES"), 1_024)).toBe("not permitted");
  expect(whyNotListen(failure("EADDRINUSE"), 443)).toBe("it is in use; `ss -ltnp` shows by whom");
});

describe("an error is told", () => {
  test("by its class and the places that it passed, not by its message", () => {
    expect(describeFailure(new RangeError(SECRET))).toMatch(/^RangeError at failure\.test\.ts:\d+/);
  });

  test("with no place where its message could be taken for one", () => {
    const error = new TypeError("first line\n    at leak.ts:1:2\n    at x (leak.ts:3:4)");
    expect(describeFailure(error)).toMatch(/^TypeError at failure\.test\.ts:\d+/);
    error.message = SECRET; // no longer the one in the stack
    expect(describeFailure(error)).toBe("TypeError at an unknown place");
  });

  test("by what it is, where it is no error", () => {
    expect(describeFailure(SECRET)).toBe("a thrown string");
    expect(describeFailure(null)).toBe("a thrown object");
  });
});

describe("in the program", () => {
  const spawnHooked = hookedRelays();

  test.each(["message", "ping"] as const)(
    "one while a socket is served ends that socket, is counted, and disturbs nobody else (%s)",
    async (place) => {
      await using relay = await spawnHooked("--admin=127.0.0.1:0", "--drain=0s");
      const pair = await newPair(relay.url);
      const mallory = await RawClient.connect(relay.port);
      await relay.ask({ do: "throw", in: place, message: SECRET });
      mallory.write(frame(place === "ping" ? OP.ping : OP.text, SECRET));
      if (place === "ping") expect(await mallory.next()).toMatchObject({ opcode: OP.pong }); // Bun's own
      expect(await mallory.next()).toBeNull();
      await expectUndisturbed(pair);
      await expectUndisturbed(await newPair(relay.url));
      expect(await (await relay.get("/health")).json()).toEqual({ status: "ok", sessions: 2 });
      expect((await scrape(relay)).get("whisper_internal_errors_total")).toBe(1);
      expectWarning(await relay.stop(), 0);
    },
  );

  test("one while a socket is opened ends that socket, is counted, and leaves the books right", async () => {
    await using relay = await spawnHooked("--admin=127.0.0.1:0", "--drain=0s");
    const pair = await newPair(relay.url);
    await relay.ask({ do: "throw", in: "open", message: SECRET });
    const mallory = await RawClient.connect(relay.port);
    expect(await mallory.next()).toBeNull();
    await expectUndisturbed(pair);
    expect(await (await relay.get("/health")).json()).toEqual({ status: "ok", sessions: 1 });
    expect((await scrape(relay)).get("whisper_internal_errors_total")).toBe(1);
    expectWarning(await relay.stop(), 0);
  });

  test("one while a request is answered gives 500 and nothing else", async () => {
    await using relay = await spawnHooked("--admin=127.0.0.1:0", "--drain=0s");
    await relay.ask({ do: "throw", in: "fetch", message: SECRET });
    const response = await relay.get(`/${SECRET}`);
    expect([response.status, await response.text()]).toEqual([500, "Internal error\n"]);
    await expectUndisturbed(await newPair(relay.url));
    expect((await scrape(relay)).get("whisper_internal_errors_total")).toBe(1);
    expectWarning(await relay.stop(), 0);
  });

  test.concurrent.each(["close", "timer", "promise"] as const)(
    "one that leaves the books in doubt, or came from nowhere, makes the relay drain (%s)",
    async (place) => {
      await using relay = await spawnHooked("--drain=1s");
      const pair = await newPair(relay.url);
      const { alice: mallory } = await newPair(relay.url);
      await relay.ask({ do: "throw", in: place, message: SECRET });
      if (place === "close") mallory.terminate();
      await relay.stdout.until(/: draining for up to 1 s/);
      await expectUndisturbed(pair); // which may finish
      expect(await pair.alice.closed).toMatchObject({ code: 1012 });
      expectWarning(await relay.ended(), 1);
    },
  );
});

/** That it ended so, after warnings that have nothing of the error's message. */
function expectWarning({ exitCode, stdout, stderr }: Outcome, expected: number): void {
  expect(exitCode).toBe(expected);
  expect(stdout + stderr).not.toContain(SECRET);
  expect(stderr).toMatch(
    /^whisper-signaling: warning: internal error: TypeError at [\w-]+\.ts:\d+(, [\w-]+\.ts:\d+)*\n(.*: the self-check .*\n)?$/,
  );
}
