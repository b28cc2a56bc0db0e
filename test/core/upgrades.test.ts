/** Who may have a WebSocket, by origin and by address. */
import { describe, expect, test } from "bun:test";
import { newState } from "../../src/core/admission.ts";
import type { Warning } from "../../src/core/events.ts";
import { Account, type AddressTable, newAddressTable } from "../../src/core/limits.ts";
import { upgrade } from "../../src/core/upgrades.ts";
import { readConfig } from "../../src/program/config.ts";
import { WARNINGS } from "../../src/program/warnings.ts";

/** 32 bits that are random in a relay. */
const SEED = 7;

describe("the upgrade policy", () => {
  type Policy = (request: Request, remote: string) => ReturnType<typeof upgrade>;
  /** What an upgrade from `remote` with these headers comes to: exempt, counted, or why it is refused. */
  function ask(policy: Policy, remote: string, headers: Record<string, string> = {}): string {
    const entry = policy(new Request("http://relay/", { headers }), remote);
    if (!(entry instanceof Account)) return entry.refusal;
    return Number.isFinite(entry.limits.maxPerAddress) ? "counted" : "exempt";
  }
  function newPolicy(...args: string[]): { policy: Policy; table: AddressTable; warnings: string[] } {
    const warnings: string[] = [];
    const limits = readConfig(args, {});
    const table = newAddressTable(limits, SEED);
    const state = newState(limits);
    const warn = (warning: Warning) => void warnings.push(WARNINGS[warning]);
    const policy: Policy = (request, remote) => upgrade(request, remote, state, table, { warn }, 0, false, true);
    return { policy, table, warnings };
  }
  const forwarded = (value: string) => ({ "X-Forwarded-For": value });

  test("exempts nobody, unless it is told whom", () => {
    expect(["127.0.0.1", "::1", "192.0.2.1"].map((from) => ask(newPolicy().policy, from))).toEqual(
      Array(3).fill("counted"),
    );
    const { policy, warnings } = newPolicy("--exempt=127.0.0.0/8,::1");
    const seen = ["127.0.0.1", "::1", "::ffff:127.0.0.9", "192.0.2.1", "2001:db8::1", ""].map((from) =>
      ask(policy, from),
    );
    expect(seen).toEqual(["exempt", "exempt", "exempt", "counted", "counted", "counted"]);
    expect(warnings).toEqual([]);
  });

  test("does not exempt an address that forwards for others without being trusted, and says so", () => {
    const { policy, warnings } = newPolicy("--exempt=127.0.0.1");
    expect(ask(policy, "127.0.0.1", forwarded("203.0.113.9"))).toBe("counted");
    expect(warnings.length).toBe(1);
    expect(warnings[0]).toContain("--trust-proxy");
    expect(warnings[0]).not.toMatch(/\d/);
  });

  test("does not exempt a trusted proxy that names nobody, nor whom a stranger names", () => {
    const { policy, warnings } = newPolicy("--trust-proxy=127.0.0.1", "--exempt=127.0.0.1");
    expect(ask(policy, "127.0.0.1")).toBe("counted"); // as a check on the same machine does
    expect(ask(policy, "127.0.0.1", forwarded("unknown"))).toBe("counted");
    expect(ask(policy, "127.0.0.1", forwarded("127.0.0.1, 203.0.113.9"))).toBe("counted");
    expect(warnings).toEqual([]);
    expect(ask(policy, "203.0.113.9", forwarded("127.0.0.1"))).toBe("counted");
    expect(warnings).toEqual([expect.stringContaining("an address that is not trusted sends X-Forwarded-For")]);
  });

  test("says that a trusted proxy names nobody, once it has more connections than a check", () => {
    const { policy, warnings } = newPolicy("--trust-proxy=127.0.0.1");
    for (let n = 0; n < 3; n++) ask(policy, "127.0.0.1");
    for (let n = 0; n < 9; n++) ask(policy, "127.0.0.1", forwarded(`203.0.113.${n}`));
    expect(warnings).toEqual([]);
    ask(policy, "127.0.0.1");
    expect(warnings).toEqual([expect.stringContaining("a trusted proxy sends no X-Forwarded-For")]);
  });

  test("says that exempt addresses have more connections than one may, and counts those that ended out", () => {
    const { policy, table, warnings } = newPolicy("--exempt=127.0.0.1", "--max-per-address=5");
    for (let n = 0; n < 20; n++) {
      for (let m = 0; m < 5; m++) expect(ask(policy, "127.0.0.1")).toBe("exempt");
      for (let m = 0; m < 5; m++) table.exempt.connections--;
    }
    expect(warnings).toEqual([]);
    for (let n = 0; n < 6; n++) ask(policy, "127.0.0.1");
    expect(warnings).toEqual([expect.stringContaining("addresses in --exempt have more connections than")]);
  });

  test("lets only the pages in that it is told of", () => {
    const { policy } = newPolicy("--origin=https://*.example.org", "--origin=tauri://localhost,null");
    const status = (Origin: string) => ask(policy, "192.0.2.1", { Origin });
    expect(["https://a.example.org", "tauri://localhost", "null"].map(status)).toEqual(Array(3).fill("counted"));
    expect(["https://example.org", "https://a.example.com", "tauri://localhost:1", ""].map(status)).toEqual(
      Array(4).fill("origin"),
    );
  });

  test("counts the clients of a trusted proxy one by one", () => {
    const { policy } = newPolicy("--trust-proxy=127.0.0.1", "--max-per-address=1");
    expect(ask(policy, "127.0.0.1", forwarded("203.0.113.1"))).toBe("counted");
    expect(ask(policy, "127.0.0.1", forwarded("203.0.113.1"))).toBe("address");
    expect(ask(policy, "127.0.0.1", forwarded("6.6.6.6, 203.0.113.1"))).toBe("address");
    expect(ask(policy, "127.0.0.1", forwarded("203.0.113.2"))).toBe("counted");
  });

  test("lets in the origins that it was told, and any where it was told none", () => {
    const origin = (value: string) => ({ Origin: value });
    expect(ask(newPolicy().policy, "192.0.2.1", origin("https://evil.example"))).toBe("counted");
    const { policy } = newPolicy("--origin=https://chat.example", "--origin=http://localhost:3000");
    expect(ask(policy, "192.0.2.1", origin("https://chat.example"))).toBe("counted");
    expect(ask(policy, "192.0.2.1", origin("http://localhost:3000"))).toBe("counted");
    for (const other of ["https://evil.example", "https://chat.example.evil.example", "http://chat.example", "null"])
      expect(ask(policy, "192.0.2.1", origin(other))).toBe("origin");
    expect(ask(policy, "127.0.0.1")).toBe("origin");
  });
});
