/** The tables of docs/BENCHMARKS.md: medians, spreads, ratios, and what the relay is not ahead in. */
import { describe, expect, test } from "bun:test";
import { figureTable, inShort, notAhead, type Row, ratioTable, withBlock } from "../../bench/tables.ts";

const COLUMNS = { relay: "the relay", ws: "ws", peerjs: "PeerJS" };

function row(better: Row["better"], relay: Row["values"][string], ws: Row["values"][string]): Row {
  return { label: "CPU", better, write: (value) => `${value} µs`, values: { relay, ws } };
}

describe("what was measured", () => {
  test("a figure is the median of its rounds, with the least and the most", () => {
    expect(figureTable(COLUMNS, [row("less", [30, 10, 20], [7, 7, 7])])).toBe(
      [
        "|  | the relay | ws | PeerJS |",
        "| --- | --- | --- | --- |",
        "| CPU | 20 µs (10 µs to 30 µs) | 7 µs | – |",
      ].join("\n"),
    );
  });

  test("of an even number of rounds the median lies between the two in the middle", () => {
    expect(figureTable(COLUMNS, [row("less", [1, 40, 2, 4], [])])).toContain("| 3 µs (1 µs to 40 µs) |");
  });

  test("a round without a figure is left out", () => {
    expect(figureTable(COLUMNS, [row("less", [null, 5, null], [null])])).toContain("| CPU | 5 µs | – | – |");
  });
});

describe("ratios", () => {
  test("a ratio above 1 is in the first column's favour, whether more is better or less", () => {
    expect(ratioTable(COLUMNS, [row("less", [10], [25])])).toContain("| CPU | 2.5 | – |");
    expect(ratioTable(COLUMNS, [row("more", [10], [25])])).toContain("| CPU | 0.4 | – |");
  });

  test("a ratio is made round by round, so that what slows a whole round down is not in it", () => {
    expect(ratioTable(COLUMNS, [row("less", [10, 100, 1_000], [20, 200, 2_000])])).toContain("| CPU | 2 | – |");
  });

  test("a round in which one of the two is missing makes no ratio", () => {
    expect(ratioTable(COLUMNS, [row("less", [10, 10], [null, 40])])).toContain("| CPU | 4 | – |");
  });

  test("nothing is no baseline: what grew by 0 bytes makes no ratio", () => {
    expect(ratioTable(COLUMNS, [row("less", [10], [0])])).toContain("| CPU | – | – |");
    expect(notAhead(COLUMNS, [row("less", [10], [0])])).toContain("None");
  });

  test("the first column is not among those that it is compared with", () => {
    expect(ratioTable(COLUMNS, []).split("\n")[0]).toBe("|  | than ws | than PeerJS |");
  });
});

describe("where it is not ahead", () => {
  test("worse in every round is said to be worse", () => {
    expect(notAhead(COLUMNS, [row("less", [20, 30], [10, 10])])).toBe("- CPU: worse than ws, 0.417 (0.333 to 0.5)");
  });

  test("better in one round and worse in another is not told apart", () => {
    expect(notAhead(COLUMNS, [row("less", [20, 5], [10, 10])])).toBe("- CPU: not told apart from ws, 1.25 (0.5 to 2)");
  });

  test("a row has one line, whomever it is not ahead of", () => {
    const both = { ...row("less", [20], [10]), values: { relay: [20], ws: [10], peerjs: [5] } };
    expect(notAhead(COLUMNS, [both])).toBe("- CPU: worse than ws, 0.5; worse than PeerJS, 0.25");
  });

  test("nothing is listed that is ahead in every round", () => {
    expect(notAhead(COLUMNS, [row("less", [1, 2], [10, 10])])).toBe("None: it was ahead in every row and round.");
  });
});

test("in short, each rival has its own line, the first one first, and what is not ahead is not hidden", () => {
  const rows = [
    { ...row("less", [10, 10], [20, 30]), label: "CPU", values: { relay: [10, 10], ws: [20, 30], peerjs: [10, 30] } },
    { ...row("more", [1], [2]), label: "rate" },
  ];
  expect(inShort(COLUMNS, rows)).toBe(
    "- **ws**: ahead in CPU (2.5); not ahead in rate (0.5).\n- **PeerJS**: ahead in nothing; not ahead in CPU (2).",
  );
});

describe("the page", () => {
  const page = "above\n<!-- ratios: made -->\nold\n<!-- /ratios -->\nbelow\n<!-- other: made -->\n<!-- /other -->\n";

  test("what stands between its comments is replaced, and nothing else", () => {
    expect(withBlock(page, "ratios", "costs $1 & $&")).toBe(page.replace("old", () => "costs $1 & $&"));
  });

  test("an empty block is filled", () => {
    expect(withBlock(page, "other", "new")).toContain("<!-- other: made -->\nnew\n<!-- /other -->");
  });

  test("a table that has no place is an error", () => {
    expect(() => withBlock(page, "growth", "")).toThrow("there is no place for growth");
  });
});
