/**
 * A process that locks itself but for what its first argument names, or wholly, and then tries one thing of each kind: it
 * prints, by name, "done" or "refused". The others: a port of TCP and the path of a socket at which somebody listens.
 */
import { readFileSync } from "node:fs";
import { lockDown } from "../../../src/lockdown/sandbox.ts";

const [caller, port, unix = ""] = process.argv.slice(2);
const attempts: Record<string, () => unknown> = {
  tcp: () => Bun.connect({ hostname: "127.0.0.1", port: Number(port), socket: { data() {} } }),
  local: () => Bun.connect({ unix, socket: { data() {} } }),
  udp: () => Bun.udpSocket({}),
  listening: () => Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }),
  files: () => readFileSync("/proc/self/environ"),
  programs: () => Bun.spawnSync(["/bin/true"]),
};

const lock = lockDown(process.pid, caller === "tcp" || caller === "local" ? caller : null);
if (lock !== null) throw new Error(lock);
const done: string[] = [];
for (const [what, attempt] of Object.entries(attempts)) {
  try {
    await attempt();
    done.push(what);
  } catch {}
}
console.log(JSON.stringify(done));
process.exit();
