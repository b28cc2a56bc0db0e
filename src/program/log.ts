/**
 * Lifecycle lines for the operator: start, ready, warnings once, drain, stop. For people, or as JSON for machines.
 * Never a session code, a peer's address or any part of a message, at any level: nothing that comes from a socket may
 * be passed to it. It never waits: a line that can't be written at once is dropped, counted, and told of by the next.
 */

/** What this program is called, in its log, its help and its errors. */
export const NAME = "whisper-signaling";

/** What a line may be about. */
export type Event = "start" | "ready" | "warning" | "drain" | "stop" | "failure";
type Facts = Readonly<Record<string, string | number>>;

/** Where lines go; see Outlet. */
export interface Sink {
  /** Returns whether all of the line was taken. */
  write(line: string): boolean;
}

export class Log {
  readonly #isJson: boolean;
  readonly #out: Sink;
  readonly #err: Sink;
  /** Lines dropped, ever and by sink since it last took one. */
  #dropped = 0;
  readonly #untold = new Map<Sink, number>();
  readonly #warned = new Set<string>();

  /** @param err takes what is wrong, `out` the rest */
  constructor(format: "text" | "json", out: Sink, err: Sink) {
    this.#isJson = format === "json";
    this.#out = out;
    this.#err = err;
  }

  /** How many lines could not be written. */
  get dropped(): number {
    return this.#dropped;
  }

  /** One line: on standard output, or on standard error where something is wrong. */
  say(event: Event, message: string, facts: Facts = {}): void {
    const sink = event === "warning" || event === "failure" ? this.#err : this.#out;
    const untold = this.#untold.get(sink) ?? 0;
    const line = this.#line(event, message, untold > 0 ? { ...facts, "lines-dropped-before": untold } : facts);
    const isTaken = sink.write(line);
    this.#untold.set(sink, isTaken ? 0 : untold + 1);
    if (!isTaken) this.#dropped++;
  }

  /** One warning, the first time that there is reason for it. */
  warn(message: string): void {
    if (!this.#warned.has(message)) this.say("warning", message);
    this.#warned.add(message);
  }

  #line(event: Event, message: string, facts: Facts): string {
    if (this.#isJson) return JSON.stringify({ time: new Date().toISOString(), event, message, ...facts });
    const pairs = Object.entries(facts).map(([name, value]) => ` ${name}=${value}`);
    return `${NAME}: ${event === "warning" ? "warning: " : ""}${message}${pairs.join("")}`;
  }
}
