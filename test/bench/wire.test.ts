/** The wire of PeerJS's server, as the load tester speaks it when the two are compared. */
import { describe, expect, test } from "bun:test";
import { peerjs } from "../../bench/peerjs-wire.ts";

/** What each text is to the load tester, when it lies somewhere in the bytes that came. */
function kindOf(text: string) {
  const bytes = Buffer.from(`..${text}..`);
  return peerjs.kindOf(bytes, 2, bytes.length - 2);
}

describe("PeerJS's wire", () => {
  test("what the server says is told apart", () => {
    expect(kindOf('{"type":"OPEN"}')).toBe("ready");
    expect(kindOf('{"type":"OFFER","src":"a","dst":"b","payload":{}}')).toBe("offer");
    expect(kindOf('{"type":"ANSWER","src":"a","dst":"b","payload":{}}')).toBe("answer");
    expect(kindOf('{"type":"CANDIDATE","src":"a","dst":"b","payload":{}}')).toBe("candidate");
    expect(kindOf('{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}')).toBe("error");
    expect(kindOf('{"type":"ERROR","payload":{"msg":"Invalid key provided"}}')).toBe("error");
    expect(kindOf('{"type":"EXPIRE","src":"a","dst":"b"}')).toBe("other");
  });

  test("an error is counted by what the server says", () => {
    expect(peerjs.errorIn('{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}')).toBe("ID is taken");
  });

  test("a message goes to the other peer, in the size that was asked for", () => {
    for (const kind of ["offer", "answer", "candidate"] as const) {
      const text = peerjs.message(kind, "joiner", 400);
      const { type, dst } = JSON.parse(text);
      expect(text.length).toBe(400);
      expect(type).toBe(kind.toUpperCase());
      expect(peerjs.path("initiator")).toContain(`id=${dst}&`);
    }
  });
});
