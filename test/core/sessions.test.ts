import { describe, expect, test } from "bun:test";
import { opposite, outcomeOf, type Session, Sessions } from "../../src/core/sessions.ts";

const TTL_MS = 600_000;
const CODE = "A3F7B9E2C1D4";

function seated(result: Session<string> | string): Session<string> {
  if (typeof result === "string") throw new Error(`refused: ${result}`);
  return result;
}

describe("admission", () => {
  test("the two seats are taken in either order", () => {
    for (const first of [true, false]) {
      const sessions = new Sessions<string>(TTL_MS, 10_000);
      const session = seated(sessions.join(CODE, first, "alice", 0));
      expect(opposite(session, "alice")).toBeNull();
      expect(sessions.join(CODE, !first, "bob", 0)).toBe(session);
      expect([opposite(session, "alice"), opposite(session, "bob")]).toEqual(["bob", "alice"]);
      expect([sessions.size, sessions.seatsHeld]).toEqual([1, 2]);
    }
  });

  test("a held seat is refused while the other is free, and both held refuse either role", () => {
    const sessions = new Sessions<string>(TTL_MS, 10_000);
    sessions.join(CODE, true, "alice", 0);
    expect(sessions.join(CODE, true, "mallory", 0)).toBe("role-taken");
    sessions.join(CODE, false, "bob", 0);
    expect(sessions.join(CODE, true, "mallory", 0)).toBe("session-full");
    expect(sessions.join(CODE, false, "mallory", 0)).toBe("session-full");
  });

  test("a refusal leaves no trace: not in the counts, the seats or the time of expiry", () => {
    const sessions = new Sessions<string>(TTL_MS, 10_000);
    const session = seated(sessions.join(CODE, true, "alice", 0));
    const before = { ...session };
    sessions.join(CODE, true, "mallory", 5_000);
    expect(session).toEqual(before);
    expect([sessions.size, sessions.seatsHeld]).toEqual([1, 1]);
  });

  test("a seat that fell free may be taken by anyone with the code", () => {
    const sessions = new Sessions<string>(TTL_MS, 10_000);
    const session = seated(sessions.join(CODE, true, "alice", 0));
    sessions.join(CODE, false, "bob", 0);
    expect(sessions.leave(session, "alice")).toBe("bob");
    expect(sessions.join(CODE, true, "carol", 0)).toBe(session);
    expect(opposite(session, "bob")).toBe("carol");
  });

  test("with the last peer the session is gone, and the same code begins a new one", () => {
    const sessions = new Sessions<string>(TTL_MS, 10_000);
    const session = seated(sessions.join(CODE, true, "alice", 0));
    expect(sessions.leave(session, "alice")).toBeNull();
    expect([sessions.size, sessions.seatsHeld]).toEqual([0, 0]);
    expect(sessions.join(CODE, false, "bob", 0)).not.toBe(session);
  });
});

test("only so many sessions may wait for their second peer; those that are complete don't count", () => {
  const sessions = new Sessions<string>(TTL_MS, 2);
  sessions.join("AAAAAAAA", true, "alice", 0);
  sessions.join("BBBBBBBB", true, "alice", 0);
  expect(sessions.join("CCCCCCCC", true, "alice", 0)).toBe("at-capacity");
  sessions.join("AAAAAAAA", false, "bob", 0);
  seated(sessions.join("CCCCCCCC", true, "alice", 0));
  expect(sessions.join("DDDDDDDD", true, "alice", 0)).toBe("at-capacity");
  seated(sessions.join("BBBBBBBB", false, "bob", 0));
});

test("a seat passes to a later socket of the same peer, which counts as use", () => {
  const sessions = new Sessions<string>(TTL_MS, 10_000);
  const session = seated(sessions.join(CODE, true, "alice", 0));
  sessions.join(CODE, false, "bob", 0);
  sessions.replace(session, "alice", "alice again", 5_000);
  sessions.replace(session, "bob", "bob again", 5_000);
  expect([sessions.holder(CODE, true), sessions.holder(CODE, false)]).toEqual(["alice again", "bob again"]);
  expect(sessions.expire(TTL_MS + 4_999)).toEqual([]);
  expect(sessions.seatsHeld).toBe(2);
});

test("the check compares seats with subscribers, a few sessions at a time, and comes round to all", () => {
  const sessions = new Sessions<string>(TTL_MS, 10_000);
  for (let i = 0; i < 10; i++) sessions.join(`code-000${i}`, true, "alice", 0);
  expect(sessions.check(100, () => 1)).toBe(0);
  const looked: string[] = [];
  const look = (code: string) => (looked.push(code) > 0 && code === "code-0007" ? 2 : 1);
  const found = Array.from({ length: 5 }, () => sessions.check(3, look));
  expect(found.reduce((sum, n) => sum + n)).toBe(1);
  expect(new Set(looked).size).toBe(10);
});

describe("expiry", () => {
  test("a session expires at its time and not a millisecond before", () => {
    const sessions = new Sessions<string>(TTL_MS, 10_000);
    const session = seated(sessions.join(CODE, true, "alice", 7));
    expect(sessions.expire(7 + TTL_MS - 1)).toEqual([]);
    expect(sessions.expire(7 + TTL_MS)).toEqual([session]);
    expect([sessions.size, sessions.seatsHeld]).toEqual([0, 0]);
  });

  test.each([1, 999, 1_000, 5_000])("use after %d ms puts the end off by as much", (later) => {
    const sessions = new Sessions<string>(TTL_MS, 10_000);
    const session = seated(sessions.join(CODE, true, "alice", 0));
    sessions.touch(session, later);
    expect(sessions.expire(later + TTL_MS - 1)).toEqual([]);
    expect(sessions.expire(later + TTL_MS)).toEqual([session]);
  });

  test("a join counts as use", () => {
    const sessions = new Sessions<string>(TTL_MS, 10_000);
    const session = seated(sessions.join(CODE, true, "alice", 0));
    sessions.join(CODE, false, "bob", 300_000);
    expect(sessions.expire(TTL_MS)).toEqual([]);
    expect(sessions.expire(300_000 + TTL_MS)).toEqual([session]);
  });

  test("sessions are due in the order of their last use, whatever the order of their joins", () => {
    const sessions = new Sessions<string>(TTL_MS, 10_000);
    const [first, second, third] = ["AAAAAAAA", "BBBBBBBB", "CCCCCCCC"].map((code, i) =>
      seated(sessions.join(code, true, code, i)),
    );
    if (first) sessions.touch(first, 60_000);
    expect(sessions.expire(TTL_MS + 2) as unknown[]).toEqual([second, third]);
    expect(sessions.expire(TTL_MS + 60_000) as unknown[]).toEqual([first]);
  });

  test("a sweep looks at what is due and at no more, however many sessions there are", () => {
    let looks = 0;
    const sessions = new Sessions<string>(TTL_MS, 10_000);
    for (let i = 0; i < 10_000; i++) {
      const session = seated(sessions.join(`code-${i}`, true, "alice", i));
      const { queuedAt } = session;
      Object.defineProperty(session, "queuedAt", {
        get() {
          looks++;
          return queuedAt;
        },
      });
    }
    expect(sessions.expire(TTL_MS + 4).length).toBe(5);
    expect(looks).toBe(6);
  });
});

test.each<[string, Partial<Session<string>>, boolean]>([
  ["lonely", {}, false],
  ["lost", { readyAt: 1 }, false],
  ["crowded", { readyAt: 1, isCrowded: true }, false],
  ["expired", {}, true],
  ["expired", { readyAt: 1 }, true],
  ["expired", { readyAt: 1, isCrowded: true }, true],
  ["paired", { readyAt: 1, isAnswered: true }, false],
  ["paired", { readyAt: 1, isAnswered: true, isCrowded: true }, false],
  ["paired", { readyAt: 1, isAnswered: true }, true],
])("a session ends %s after %j, expired: %j", (outcome, story, isExpired) => {
  const session = seated(new Sessions<string>(TTL_MS, 1).join(CODE, true, "alice", 0));
  expect(outcomeOf({ ...session, ...story }, isExpired)).toBe(outcome as ReturnType<typeof outcomeOf>);
});
