/** The reducer alone, row by row of its table. What it does in every order is in interleavings.test.ts. */
import { describe, expect, test } from "bun:test";
import { type Answer, HEARD_MS, opposite, outcomeOf, PENDING_MS, PROBE_MS } from "../../src/core/admission.ts";
import { Account } from "../../src/core/limits.ts";
import type { Session } from "../../src/core/peer.ts";
import { readConfig } from "../../src/program/config.ts";
import { CODE, Named, Story } from "../support/core/story.ts";

const { sessionTtlMs, joinTimeoutMs } = readConfig([], {});

describe("a join", () => {
  test("takes a free seat, in either order, and the second makes both ready", () => {
    for (const first of [true, false]) {
      const story = new Story();
      const alice = story.comes("alice");
      const bob = story.comes("bob");
      expect(story.joins(alice, first)).toEqual(["seat alice"]);
      expect(opposite(alice)).toBeNull();
      expect(story.joins(bob, !first)).toEqual(["seat bob", "ready"]);
      expect([opposite(alice), opposite(bob)]).toEqual([bob, alice]);
      expect([story.state.sessions.size, story.state.seats]).toEqual([1, 2]);
    }
  });

  test("of a seat whose holder was heard lately is refused, and leaves no trace", () => {
    const story = new Story();
    story.sits("alice", true);
    const before = { ...story.state.sessions.get(CODE) };
    const mallory = story.comes("mallory");
    expect(story.joins(mallory, true)).toEqual(["refuse mallory role-taken"]);
    expect({ ...story.state.sessions.get(CODE) }).toEqual(before as Session);
    story.sits("bob", false);
    for (const role of [true, false])
      expect(story.joins(story.comes("mallory"), role)).toEqual(["refuse mallory session-full"]);
    expect([story.state.sessions.size, story.state.seats]).toEqual([1, 2]);
  });

  test("of a seat that fell free is taken, and with the last peer the session is gone", () => {
    const story = new Story();
    const alice = story.sits("alice", true);
    const bob = story.sits("bob", false);
    expect(story.do({ type: "gone", peer: alice })).toEqual(["unseat alice", "left bob"]);
    const carol = story.comes("carol");
    expect(story.joins(carol, true)).toEqual(["seat carol", "ready"]);
    expect(story.do({ type: "leave", peer: carol })).toEqual(["unseat carol", "left bob"]);
    expect(story.do({ type: "gone", peer: bob })).toEqual(["unseat bob", "ended lost"]);
    expect([story.state.sessions.size, story.state.seats]).toEqual([0, 0]);
  });

  test("is one for each socket", () => {
    const story = new Story();
    const alice = story.sits("alice", true);
    expect(story.joins(alice, false)).toEqual(["refuse alice already-joined"]);
    story.do({ type: "leave", peer: alice });
    expect(story.joins(alice, true)).toEqual(["refuse alice already-joined"]);
  });

  test("is refused where all that may wait do, and not where it completes a session", () => {
    const story = new Story(["--max-waiting=2"]);
    story.sits("alice", true, "AAAAAAAA");
    story.sits("alice", true, "BBBBBBBB");
    expect(story.joins(story.comes("carol"), true, "CCCCCCCC")).toEqual(["refuse carol at-capacity"]);
    story.sits("bob", false, "AAAAAAAA");
    expect(story.joins(story.comes("carol"), true, "CCCCCCCC")).toEqual(["seat carol"]);
    expect(story.joins(story.comes("dave"), true, "DDDDDDDD")).toEqual(["refuse dave at-capacity"]);
  });
});

describe("an address", () => {
  test("may have so many waiting, and again when one has met somebody, left, or moved to another address", () => {
    const story = new Story(["--max-waiting-per-address=2"]);
    const waiter = (code: string) => story.joins(story.comes("w", 1), true, code);
    expect([waiter("AAAAAAAA"), waiter("BBBBBBBB")]).toEqual([["seat w"], ["seat w"]]);
    expect(waiter("CCCCCCCC")).toEqual(["refuse w rate-limited"]);
    const bob = story.sits("bob", false, "AAAAAAAA", 2);
    expect(waiter("CCCCCCCC")).toEqual(["seat w"]);
    expect(waiter("DDDDDDDD")).toEqual(["refuse w rate-limited"]);
    const back = story.comes("back", 3);
    expect(story.joins(back, true, "BBBBBBBB", "token of w").slice(0, 2)).toEqual(["unseat w", "seat back"]);
    expect(waiter("DDDDDDDD")).toEqual(["seat w"]);
    story.do({ type: "gone", peer: bob }); // its partner stays, and whoever was left so is no burden of its own making
    expect(waiter("EEEEEEEE")).toEqual(["refuse w rate-limited"]);
    expect(story.joins(story.comes("bob", 2), false, "AAAAAAAA")).toEqual(["seat bob", "ready"]);
  });

  test("that is exempt may have any number waiting, and fail as often as it likes", () => {
    const story = new Story(["--max-waiting-per-address=1", "--failed-join-burst=1"]);
    for (const code of ["AAAAAAAA", "BBBBBBBB", "CCCCCCCC"]) {
      expect(story.joins(story.comes("w", story.addresses.exempt), true, code)).toEqual(["seat w"]);
      expect(story.joins(story.comes("again", story.addresses.exempt), true, code)).toEqual([
        "refuse again role-taken",
      ]);
    }
  });

  test("pays for joins that are refused and for those that find nobody, and then has none left", () => {
    const story = new Story(["--failed-join-burst=3", "--failed-join-rate=1"]);
    const alice = story.sits("alice", true, CODE, 2);
    expect(story.joins(story.comes("guess", 1), true)).toEqual(["refuse guess role-taken"]);
    for (const code of ["AAAAAAAA", "BBBBBBBB"]) story.do({ type: "gone", peer: story.sits("lonely", true, code, 1) });
    expect(story.joins(story.comes("guess", 1), false)).toEqual(["refuse guess rate-limited after 1000 ms"]); // though it is free
    expect(story.joins(story.comes("bob", 3), false)).toEqual(["seat bob", "ready"]);
    story.now += 1_000;
    expect(story.joins(story.comes("w", 1), true, "CCCCCCCC")).toEqual(["seat w"]);
    story.do({ type: "gone", peer: alice });
    expect(story.joins(story.comes("alice", 2), true)).toEqual(["seat alice", "ready"]); // somebody was there: it is free
  });

  test("that pairs with itself has guessed all the same", () => {
    const story = new Story(["--failed-join-burst=3", "--failed-join-rate=1"]);
    for (const code of ["AAAAAAAA", "BBBBBBBB", "CCCCCCCC"]) {
      const pair = [story.sits("a", true, code, 1), story.sits("b", false, code, 1)];
      for (const peer of pair) story.do({ type: "gone", peer });
    }
    expect(story.joins(story.comes("a", 1), true, "DDDDDDDD")).toEqual(["refuse a rate-limited after 1000 ms"]);
  });

  test("that has none left takes its own seat back by its token", () => {
    const story = new Story(["--failed-join-burst=1", "--failed-join-rate=1"]);
    story.sits("alice", true);
    story.joins(story.comes("mallory"), true);
    expect(story.joins(story.comes("mallory"), true)).toEqual(["refuse mallory rate-limited after 1000 ms"]);
    expect(story.joins(story.comes("alice2"), true, CODE, "token of alice")).toContain("seat alice2");
  });

  test("pays for a newcomer that gives up during a probe, and not for the ghost that was evicted", () => {
    const story = new Story(["--failed-join-burst=1", "--failed-join-rate=1"]);
    story.sits("ghost", true, CODE, 2);
    story.now += HEARD_MS;
    const fickle = story.comes("fickle", 1);
    expect(story.joins(fickle, true)).toEqual(["probe ghost"]);
    story.do({ type: "gone", peer: fickle });
    expect(story.joins(story.comes("fickle", 1), true)).toEqual(["refuse fickle rate-limited after 1000 ms"]);
    story.joins(story.comes("eager", 3), true);
    expect(story.after(PROBE_MS)).toContain("refuse ghost replaced after 0 ms");
    expect(story.joins(story.comes("ghost", 2), true, "BBBBBBBB")).toEqual(["seat ghost"]);
  });

  test("pays for one that gives up while a directory is asked", () => {
    const story = new Story(["--failed-join-burst=1", "--failed-join-rate=1"], true);
    const fickle = story.sits("fickle", true);
    expect(story.do({ type: "gone", peer: fickle })).toEqual(["withdraw fickle"]);
    expect(story.joins(story.comes("fickle"), true)).toEqual(["refuse fickle rate-limited after 1000 ms"]);
  });
});

test("who was left alone fills no room that others wait in, however many are left so", () => {
  const story = new Story(["--max-waiting=1"]);
  for (const code of ["AAAAAAAA", "BBBBBBBB", "CCCCCCCC"]) {
    const first = story.sits("first", true, code, 1);
    story.sits("second", false, code, 2);
    story.do({ type: "gone", peer: first });
  }
  expect(story.joins(story.comes("stranger", 3), true, "DDDDDDDD")).toEqual(["seat stranger"]);
  expect(story.joins(story.comes("another", 4), true, "EEEEEEEE")).toEqual(["refuse another at-capacity"]);
});

describe("a held seat", () => {
  test("passes to its token: first the old socket is out, then the new one in, both ready, and last the close", () => {
    const story = new Story();
    const alice = story.sits("alice", true);
    story.sits("bob", false);
    const again = story.comes("again");
    const effects = ["unseat alice", "seat again", "ready", "refuse alice replaced"];
    expect(story.joins(again, true, CODE, "token of alice")).toEqual(effects);
    expect(story.do({ type: "gone", peer: alice })).toEqual([]);
    expect(story.joins(story.comes("late"), true, CODE, "token of alice")).toEqual(["refuse late session-full"]);
  });

  test("is asked for once, however many wait, and lost to the first of them after 5 s", () => {
    const story = new Story();
    story.sits("ghost", true);
    const bob = story.sits("bob", false);
    story.now += HEARD_MS;
    expect(story.joins(story.comes("one"), true)).toEqual(["probe ghost"]);
    expect(story.joins(story.comes("two"), true)).toEqual([]);
    expect(story.after(PROBE_MS - 1)).toEqual([]);
    expect(story.after(1)).toEqual([
      ...[
        "unseat ghost",
        "left bob",
        "seat one",
        "ready",
        "refuse two session-full",
        "refuse ghost replaced after 0 ms",
      ],
    ]);
    expect(opposite(bob)?.token).toBe("token of one");
  });

  test("stays with a holder that is heard, and who waited is refused", () => {
    const story = new Story();
    const alice = story.sits("alice", true);
    story.now += HEARD_MS;
    story.joins(story.comes("mallory"), true);
    story.now += PROBE_MS - 1;
    alice.heardAt = story.now;
    expect(story.do({ type: "heard", peer: alice })).toEqual(["refuse mallory role-taken"]);
    expect(story.after(1)).toEqual([]);
  });

  test("stays with a silent holder where nobody waits for it any more", () => {
    const story = new Story();
    story.sits("ghost", true);
    story.now += HEARD_MS;
    const fickle = story.comes("fickle");
    story.joins(fickle, true);
    story.do({ type: "gone", peer: fickle });
    expect(story.after(PROBE_MS)).toEqual([]);
    expect(story.state.seats).toBe(1);
  });
});

describe("time", () => {
  test("ends an idle session at its time and not a millisecond before: out of its topic, over, and last the close", () => {
    const story = new Story();
    const alice = story.sits("alice", true);
    story.sits("bob", false);
    expect(story.after(sessionTtlMs - 1)).toEqual([]);
    expect(story.after(1)).toEqual([
      ...["unseat alice", "unseat bob", "ended expired", "refuse alice session-expired", "refuse bob session-expired"],
    ]);
    expect(story.do({ type: "gone", peer: alice })).toEqual([]);
  });

  test.each([1, 999, 1_000, 5_000])("counts from the last use, %d ms later", (later) => {
    const story = new Story();
    const { session } = story.sits("alice", true);
    if (session) session.activeAt = later;
    expect(story.after(later + sessionTtlMs - 1)).toEqual([]);
    expect(story.after(1)).toContain("ended expired");
  });

  test("lets who waits for the seat of an expired session have the code", () => {
    const story = new Story();
    story.sits("ghost", true);
    story.now = sessionTtlMs - 1;
    expect(story.joins(story.comes("alice"), true)).toEqual(["probe ghost"]);
    expect(story.after(1)).toEqual(["unseat ghost", "ended expired", "seat alice", "refuse ghost session-expired"]);
  });

  test("closes who has not joined", () => {
    const story = new Story();
    story.comes("early");
    story.now = 1;
    story.comes("late");
    expect(story.after(joinTimeoutMs - 1)).toEqual(["refuse early join-timeout"]);
  });
});

test("gathering sends those who sit alone to come back, and leaves pairs, who has not joined and who waits for a seat", () => {
  const story = new Story();
  story.sits("alice", true);
  story.sits("bob", false);
  story.sits("lonely", true, "BBBBBBBB");
  story.comes("new");
  story.now += HEARD_MS;
  story.joins(story.comes("waiting"), true);
  expect(story.do({ type: "gather" })).toEqual(["refuse lonely restarting"]);
  expect(story.joins(story.comes("more"), true, "CCCCCCCC")).toEqual(["seat more"]);
});

test("a drain lets pairs be, sends everyone else away, and who is left alone later too", () => {
  const story = new Story();
  const alice = story.sits("alice", true);
  story.sits("bob", false);
  story.sits("lonely", true, "BBBBBBBB");
  story.comes("new");
  story.now += HEARD_MS;
  story.joins(story.comes("waiting"), true);
  const sent = ["refuse lonely restarting", "refuse new restarting", "refuse waiting restarting"];
  expect(story.do({ type: "drain" })).toEqual(sent);
  expect(story.joins(story.comes("more"), false, "BBBBBBBB")).toEqual(["refuse more restarting"]);
  expect(story.joins(story.comes("alice2"), true, CODE, "token of alice")).toContain("seat alice2");
  expect(story.do({ type: "gone", peer: alice })).toEqual([]);
});

describe("with a directory", () => {
  /** Alice has asked for a seat. */
  function asking() {
    const story = new Story([], true);
    const alice = story.comes("alice");
    expect(story.joins(alice, true)).toEqual(["ask alice"]);
    const join = story.asked[0]?.join ?? expect.unreachable();
    const answer = (answer: Answer) => story.do({ type: "answer", peer: alice, join, answer });
    return { story, alice, answer };
  }

  test("a join is pending until the answer: a yes seats, a no refuses", () => {
    const yes = asking();
    expect(yes.story.after(PENDING_MS - 1)).toEqual([]);
    expect(yes.answer(null)).toEqual(["seat alice"]);
    expect(asking().answer("session-full")).toEqual(["refuse alice session-full"]);
  });

  test("no answer in time is a no, and the question is withdrawn; a late yes is given back", () => {
    const { story, answer } = asking();
    expect(story.after(PENDING_MS)).toEqual(["withdraw alice", "refuse alice at-capacity"]);
    expect(answer(null)).toEqual(["give back"]);
    expect(answer("session-full")).toEqual([]);
  });

  test.each(["leave", "gone"] as const)(
    "who goes (%s) while it is asked withdraws, and a late yes is given back",
    (type) => {
      const { story, alice, answer } = asking();
      expect(story.do({ type, peer: alice })).toEqual(["withdraw alice"]);
      expect(answer(null)).toEqual(["give back"]);
      expect(story.state.seats).toBe(0);
    },
  );

  test("a session of another node: who asked is away until that node says no, or it goes, and that node hears of both", () => {
    const { story, alice, answer } = asking();
    const node = new Named("node", alice.account);
    expect(answer(node)).toEqual([]);
    expect(story.after(10 * PENDING_MS)).toEqual([]);
    expect(story.joins(alice, true)).toEqual(["refuse alice already-joined"]);
    expect(story.do({ type: "heard", peer: alice })).toEqual([]);
    expect(story.do({ type: "probe", peer: alice })).toEqual(["probe alice"]);
    expect(story.do({ type: "probe", peer: alice })).toEqual([]);
    expect(story.after(PROBE_MS)).toEqual([]); // that node decides
    expect(story.do({ type: "leave", peer: alice })).toEqual(["left node"]);
    expect(story.do({ type: "gone", peer: alice })).toEqual([]);
    const other = asking();
    other.answer(node);
    expect(other.answer("session-full")).toEqual(["refuse alice session-full"]);
    expect(other.answer(node)).toEqual(["left node"]); // too late
    expect(other.story.do({ type: "gone", peer: other.alice })).toEqual([]);
  });

  test("who is away stays in a drain while somebody sits opposite there", () => {
    const { story, alice, answer } = asking();
    answer(new Named("node", alice.account));
    story.do({ type: "met", peer: alice, isMet: true });
    expect(story.do({ type: "drain" })).toEqual([]);
    expect(story.do({ type: "met", peer: alice, isMet: false })).toEqual(["refuse alice restarting"]);
  });

  test("a session that this node may no longer have ends for all who are in it", () => {
    const { story, answer } = asking();
    answer(null);
    expect(story.do({ type: "lost", sessionCode: CODE })).toEqual([
      ...["unseat alice", "give back", "ended lonely", "refuse alice restarting"],
    ]);
    expect(story.do({ type: "lost", sessionCode: CODE })).toEqual([]);
  });

  test("a seat that is held here is decided here, and one that falls free is asked for", () => {
    const { story, alice, answer } = asking();
    answer(null);
    expect(story.joins(story.comes("mallory"), true)).toEqual(["refuse mallory role-taken"]);
    story.now += HEARD_MS;
    expect(story.joins(story.comes("bob"), true)).toEqual(["probe alice"]);
    expect(story.do({ type: "gone", peer: alice })).toEqual(["unseat alice", "give back", "ended lonely", "ask bob"]);
  });
});

test.each<[string, Partial<Session>, boolean]>([
  ["lonely", {}, false],
  ["lost", { readyAt: 1 }, false],
  ["crowded", { readyAt: 1, isCrowded: true }, false],
  ["expired", {}, true],
  ["expired", { readyAt: 1 }, true],
  ["expired", { readyAt: 1, isCrowded: true }, true],
  ["paired", { readyAt: 1, isAnswered: true }, false],
  ["paired", { readyAt: 1, isAnswered: true, isCrowded: true }, false],
  ["paired", { readyAt: 1, isAnswered: true }, true],
])("a session ends %s after %j, expired: %j", (outcome, told, isExpired) => {
  const session = new Story().sits("alice", true).session ?? expect.unreachable();
  expect(outcomeOf({ ...session, ...told }, isExpired)).toBe(outcome as ReturnType<typeof outcomeOf>);
});

test("a session was crowded also where one seat fell free, and a newcomer asked for the other", () => {
  const story = new Story();
  const [alice, bob] = [story.sits("alice", true), story.sits("bob", false)];
  expect(story.joins(story.comes("mallory"), true)).toEqual(["refuse mallory session-full"]);
  story.do({ type: "gone", peer: bob });
  expect(story.joins(story.comes("carol"), true)).toEqual(["refuse carol role-taken"]);
  expect(story.do({ type: "gone", peer: alice })).toEqual(["unseat alice", "ended crowded"]);
});

test("a peer is at one place only, and keeps nothing of what it asked for once it sits", () => {
  const peer = new Named("alice", new Account(readConfig([], {})));
  const story = new Story();
  story.do({ type: "connect", peer });
  story.joins(peer, true);
  expect([peer.phase, peer.asked, peer.newcomers]).toEqual(["seated", null, null]);
});
