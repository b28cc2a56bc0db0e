/**
 * Lifecycle lines for the operator: start, ready, warnings once, drain, stop. For people, or as JSON for machines.
 * Never a session code, a peer's address or any part of a message, at any level: nothing that comes from a socket may
 * be passed to it.
 */

/** What this program is called, in its log, its help and its errors. */
export const NAME = "whisper-signaling";

/** What a line may be about. */
export type Event = "start" | "ready" | "warning" | "drain" | "stop" | "failure";

export class Log {
  readonly #isJson: boolean;
  readonly #warned = new Set<string>();

  constructor(format: "text" | "json") {
    this.#isJson = format === "json";
  }

  /** One line: on standard output, or on standard error where something is wrong. */
  say(event: Event, message: string, facts: Readonly<Record<string, string | number>> = {}): void {
    const isWrong = event === "warning" || event === "failure";
    (isWrong ? console.error : console.log)(
      this.#isJson ? this.#json(event, message, facts) : this.#text(event, message, facts),
    );
  }

  /** One warning, the first time that there is reason for it. */
  warn(message: string): void {
    if (!this.#warned.has(message)) this.say("warning", message);
    this.#warned.add(message);
  }

  #text(event: Event, message: string, facts: Readonly<Record<string, string | number>>): string {
    const pairs = Object.entries(facts).map(([name, value]) => ` ${name}=${value}`);
    return `${NAME}: ${event === "warning" ? "warning: " : ""}${message}${pairs.join("")}`;
  }

  #json(event: Event, message: string, facts: Readonly<Record<string, string | number>>): string {
    return JSON.stringify({ time: new Date().toISOString(), event, message, ...facts });
  }
}
