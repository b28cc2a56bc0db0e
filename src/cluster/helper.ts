/**
 * The helper: a process of its own that speaks to one engine for a relay, which is locked and can't. It is started before
 * the relay's lock, has the pipe between them, and a lock of its own that leaves it connections to the engine's port and
 * nothing else. It hands on sealed bytes and names that say nothing, and ends when the relay does. Owns its loop.
 */
import { Engine } from "./engine.ts";
import { agreeOn, type EngineConfig, line, linesOf, type Obstacles, type Order, type Report } from "./pipe.ts";

/**
 * @param lock locks this process, but for sockets of one kind; it says what kept it from that, and why it is not confined
 *   to one port, or null. `exit` ends it
 */
export async function help(lock: (caller: "tcp" | "local") => Obstacles, exit: () => never): Promise<never> {
  const writer = Bun.stdout.writer();
  const tell = (report: Report) => {
    try {
      writer.write(line(report));
      writer.flush();
    } catch {} // the relay is gone; that its pipe has ended is noticed below
  };
  const lines = linesOf(Bun.stdin.stream());
  const first = await lines.next();
  if (first.done) exit();
  const config = JSON.parse(first.value) as EngineConfig;
  agreeOn(config.atMs);
  const engine = new Engine(config, tell);
  if (config.isLocked) tell(["locked", ...lock(config.isSocket ? "local" : "tcp")]);
  void engine.run();
  for await (const text of lines) engine.obey(JSON.parse(text) as Order);
  await engine.bye();
  exit();
}
