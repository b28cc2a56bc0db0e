/** The real HAProxy with deploy/cluster/haproxy.cfg, in front of relays on the loopback, without TLS. */
import { resolve } from "node:path";
import { newFolder } from "../machines/folder.ts";
import { freePort } from "../machines/free-port.ts";
import { pathOf } from "../machines/fronts.ts";
import { until } from "../machines/until.ts";
import { ROOT } from "../relays/relay.ts";

export const HAPROXY = pathOf("haproxy");

/** @param nodes three, by the port for peers and that for the operator */
export async function startBalancer(nodes: readonly { readonly port: number; readonly admin: number }[]) {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await newFolder());
  const port = freePort();
  let config = (await Bun.file(resolve(ROOT, "deploy/cluster/haproxy.cfg")).text())
    .replace(/maxconn \d+/, "maxconn 1000") // for which there are open files here
    .replace(/bind :443 .*/, `bind 127.0.0.1:${port}`);
  for (const [n, node] of nodes.entries())
    config = config.replace(`10.0.0.${n + 1}:8000 port 9000`, `127.0.0.1:${node.port} port ${node.admin}`);
  const haproxy = Bun.spawn([HAPROXY ?? "", "-db", "-f", await folder.write("haproxy.cfg", config)], {
    stdio: ["ignore", "ignore", "ignore"], // it says which relay is down
  });
  stack.defer(async () => {
    haproxy.kill("SIGKILL");
    await haproxy.exited;
  });
  await until("HAProxy to reach a relay", () =>
    fetch(`http://127.0.0.1:${port}/health`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  const kept = stack.move();
  return { url: `ws://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}
