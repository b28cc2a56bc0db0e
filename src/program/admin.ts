/**
 * The listener for the operator, apart from the public port: whether the relay lives, whether it should get traffic,
 * and its metrics. Off unless switched on, and meant for an address that strangers can't reach. It takes nothing from
 * a request but its method and path.
 */
import type { Status } from "../web/page.ts";

/** What /readyz says; only the first is a yes. */
const READINESS = ["ok", "crowded", "cut-off", "degraded", "draining"] as const;
export type Readiness = (typeof READINESS)[number];

export interface AdminSources {
  status(): Status;
  /** Whether the relay has more peers than it should be sent. */
  isCrowded(): boolean;
  /** Whether an engine of --cluster can't be used, without which nobody new is taken. */
  isCutOff(): boolean;
  /** Prometheus text. */
  metrics(): string;
}

export interface Admin {
  readonly address: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** No connection stays open, as on the public port: each would be a file. */
const HEADERS = { "Cache-Control": "no-store", Connection: "close" };

/** Starts the listener. Throws where the address can't be listened on, as Bun.serve does. */
export function startAdmin(hostname: string, port: number, sources: AdminSources): Admin {
  const plain = (text: string, status = 200) => new Response(`${text}\n`, { status, headers: HEADERS });
  const server = Bun.serve({
    hostname,
    port,
    development: false,
    reusePort: false, // always said, because `development: false` alone turns it on
    maxRequestBodySize: 1_024,
    error: () => plain("Internal error", 500),
    routes: {
      "/livez": { GET: () => plain("ok") },
      "/readyz": {
        GET() {
          const readiness = readinessOf(sources);
          return plain(readiness, readiness === "ok" ? 200 : 503);
        },
      },
      "/metrics": {
        GET: () =>
          new Response(sources.metrics() + writeReadiness(readinessOf(sources)), {
            headers: { ...HEADERS, "Content-Type": "text/plain; version=0.0.4; charset=utf-8" },
          }),
      },
    },
    fetch: () => plain("Not found", 404),
  });
  return { address: server.url.origin, port: server.port ?? port, stop: () => server.stop(true) };
}

function readinessOf(sources: AdminSources): Readiness {
  const status = sources.status();
  if (status !== "ok") return status;
  if (sources.isCutOff()) return "cut-off";
  return sources.isCrowded() ? "crowded" : "ok";
}

/** The same as a metric: 1 for what is so, 0 for the rest. */
function writeReadiness(readiness: Readiness): string {
  const rows = READINESS.map((state) => `whisper_readiness{state="${state}"} ${Number(state === readiness)}\n`);
  return `# HELP whisper_readiness What /readyz says.\n# TYPE whisper_readiness gauge\n${rows.join("")}`;
}
