/**
 * A process that locks itself but for the rights named by its arguments, and then tries one thing of each of three: it
 * prints, by name, "done" or how it was refused.
 */
import { readFileSync } from "node:fs";
import { REFUSED, type Right } from "../../../src/lockdown/refused.ts";
import { lockDown } from "../../../src/lockdown/sandbox.ts";

const [port = "", ...names] = process.argv.slice(2);
const kept = (Object.keys(REFUSED) as Right[]).filter((right) => names.includes(right));
const attempts: Record<string, () => unknown> = {
  sockets: () => Bun.connect({ hostname: "127.0.0.1", port: Number(port), socket: { data() {} } }),
  files: () => readFileSync("/proc/self/environ"),
  programs: () => Bun.spawnSync(["/bin/true"]),
};

const results: Record<string, string> = { lock: lockDown(process.pid, kept) ?? "done" };
for (const [right, attempt] of Object.entries(attempts)) {
  try {
    await attempt();
    results[right] = "done";
  } catch {
    results[right] = "refused";
  }
}
console.log(JSON.stringify(results));
process.exit();
