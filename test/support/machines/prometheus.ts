/** A real Prometheus and its promtool, where they are installed; everything they write goes with them. */
import { join } from "node:path";
import { launch } from "../relays/relay.ts";
import { newFolder } from "./folder.ts";
import { freePort } from "./free-port.ts";

const PROMETHEUS = Bun.which("prometheus");
const PROMTOOL = Bun.which("promtool");

/** What of it is not on the path. */
export const MISSING_PROMETHEUS = Object.entries({ prometheus: PROMETHEUS, promtool: PROMTOOL }).flatMap(
  ([name, path]) => (path === null ? [name] : []),
);
export const HAS_PROMETHEUS = MISSING_PROMETHEUS.length === 0;

/** Runs promtool. Returns its exit code and all that it printed. */
export async function promtool(args: readonly string[], stdin = ""): Promise<{ exitCode: number; printed: string }> {
  await using folder = await newFolder();
  const input = join(folder.path, "stdin");
  await Bun.write(input, stdin);
  const tool = Bun.spawn([PROMTOOL ?? "promtool", ...args], { stdin: Bun.file(input), stdout: "pipe", stderr: "pipe" });
  const [out, err, exitCode] = await Promise.all([tool.stdout.text(), tool.stderr.text(), tool.exited]);
  return { exitCode, printed: out + err };
}

export interface Sample {
  readonly metric: Record<string, string>;
  readonly value: readonly [number, string];
}
export interface Rule {
  readonly name: string;
  readonly state: string;
  readonly health: string;
  readonly lastError?: string;
}

export class Prometheus implements AsyncDisposable {
  readonly #url: string;
  readonly #kept: AsyncDisposable;

  private constructor(url: string, kept: AsyncDisposable) {
    this.#url = url;
    this.#kept = kept;
  }

  /** Starts one that asks `target`, HOST:PORT, every second, and evaluates the rules in `rules` as often. */
  static async start(target: string, rules: string): Promise<Prometheus> {
    await using started = new AsyncDisposableStack();
    const folder = started.use(await newFolder());
    const config = join(folder.path, "prometheus.json"); // JSON is YAML
    await Bun.write(
      config,
      JSON.stringify({
        global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
        rule_files: [rules],
        scrape_configs: [{ job_name: "whisper-signaling", static_configs: [{ targets: [target] }] }],
      }),
    );
    const address = `127.0.0.1:${freePort()}`;
    const cmd = [
      PROMETHEUS ?? "prometheus",
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder.path, "data")}`,
      `--web.listen-address=${address}`,
    ];
    started.use(await launch(cmd, /Server is ready to receive web requests/, { speaksOn: "stderr" }));
    return new Prometheus(`http://${address}`, started.move());
  }

  async #get(path: string): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.#url}${path}`);
    const body = (await response.json()) as { status: string; error?: string; data: Record<string, unknown> };
    if (body.status !== "success") throw new Error(`${path}: ${body.error}`);
    return body.data;
  }

  /** What an expression is now. Throws where it can't be parsed. */
  async query(expression: string): Promise<Sample[]> {
    const data = await this.#get(`/api/v1/query?${new URLSearchParams({ query: expression })}`);
    return data["result"] as Sample[];
  }

  /** The one value of an expression, or NaN where there is none or more than one. */
  async value(expression: string): Promise<number> {
    const [sample, ...more] = await this.query(expression);
    return sample === undefined || more.length > 0 ? Number.NaN : Number(sample.value[1]);
  }

  async rules(): Promise<Rule[]> {
    const data = await this.#get("/api/v1/rules");
    return (data["groups"] as { rules: Rule[] }[]).flatMap(({ rules }) => rules);
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#kept[Symbol.asyncDispose]();
  }
}
