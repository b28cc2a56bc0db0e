/** Who gets a seat that is held, from outside and in real time; with time in the test's hand it is core/seats. */
import { describe, expect, test } from "bun:test";
import { Client, expectUndisturbed, newCode } from "../../support/peers/client.ts";
import type { Start } from "../../support/relays/relay.ts";

/** @param start starts the relay that is tried */
export function seats(start: Start): void {
  describe("a seat that is held", () => {
    test("is taken at once by who has its token, and a late socket of the same client takes it back never", async () => {
      await using relay = await start();
      const code = newCode();
      const join = { type: "join", sessionCode: code, isInitiator: true };
      const alice = await Client.connect(relay.url);
      alice.send(join);
      const { token } = await alice.expect("joined");
      const bob = await Client.join(relay.url, code, false);
      await Promise.all([alice.expect("ready"), bob.expect("ready")]);
      const again = await Client.connect(relay.url);
      again.send({ ...join, token });
      await again.expect("joined");
      expect([await again.next(), await bob.next()]).toEqual(['{"type":"ready"}', '{"type":"ready"}']);
      await alice.expectError("replaced");
      expect(await alice.closed).toEqual({ code: 4504, reason: "replaced" });
      const late = await Client.connect(relay.url);
      late.send({ ...join, token }); // sent before the client knew its newer token
      await late.expectError("session-full");
      await expectUndisturbed({ code, alice: again, bob });
      expect(await relay.sessions()).toBe(1);
    });

    test("is refused to a stranger whatever token it names, and the pair never notices", async () => {
      await using relay = await start();
      const code = newCode();
      const alice = await Client.join(relay.url, code, true);
      const bob = await Client.join(relay.url, code, false);
      await Promise.all([alice.expect("ready"), bob.expect("ready")]);
      for (const token of ["", "\u00e9".repeat(16), "0".repeat(32)]) {
        const mallory = await Client.connect(relay.url);
        mallory.send({ type: "join", sessionCode: code, isInitiator: true, token });
        await mallory.expectError("session-full");
        expect((await mallory.closed).code).toBe(4500);
      }
      await expectUndisturbed({ code, alice, bob });
    });
  });
}
