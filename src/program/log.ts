/**
 * Lifecycle lines for the operator: start, ready, warnings once, drain, stop. For people, or as JSON for machines.
 * Never a session code, a peer's address or any part of a message, at any level: nothing that comes from a socket may
 * be passed to it. It never waits: a line that can't be written at once is dropped, counted, and told of by the next.
 */

import { type Config, OPTIONS } from "./config.ts";
import { type Environment, environmentName } from "./environment.ts";
import { type Field, readOptions, splitFlags } from "./options.ts";

/** What this program is called, in its log, its help and its errors. */
export const NAME = "whisper-signaling";

/** What a line may be about, and how much it matters. */
export const LEVELS = {
  start: "info",
  notice: "info",
  ready: "info",
  gather: "info",
  drain: "info",
  stop: "info",
  limit: "warning",
  warning: "warning",
  failure: "error",
} as const;
export type Event = keyof typeof LEVELS;
type Facts = Readonly<Record<string, Field>>;

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

  /**
   * One line: on standard output, or on standard error where something is wrong.
   * @param facts stand behind the message, or in an object of their own names and types
   * @param said what the message says already, once more for machines
   */
  say(event: Event, message: string, facts: Facts = {}, said: Facts = {}): void {
    const sink = LEVELS[event] === "info" ? this.#out : this.#err;
    const untold = this.#untold.get(sink) ?? 0;
    const all = untold > 0 ? { ...facts, "lines-dropped-before": untold } : facts;
    const line = this.#isJson ? asJson(event, message, { ...said, ...all }) : asText(event, message, all);
    const isTaken = sink.write(line);
    this.#untold.set(sink, isTaken ? 0 : untold + 1);
    if (!isTaken) this.#dropped++;
  }

  /** One warning, the first time that there is reason for it. */
  warn(message: string): void {
    if (!this.#warned.has(message)) this.say("warning", message);
    this.#warned.add(message);
  }
}

function asJson(event: Event, message: string, facts: Facts): string {
  return JSON.stringify({ time: new Date().toISOString(), level: LEVELS[event], event, message, ...facts });
}

function asText(event: Event, message: string, facts: Facts): string {
  const pairs = Object.entries(facts).map(([name, value]) => ` ${name}=${value}`);
  return `${NAME}: ${LEVELS[event] === "warning" ? "warning: " : ""}${message}${pairs.join("")}`;
}

/** @returns how to say what is wrong with options: as --log asks, where that much can be read */
export function logFormat(args: readonly string[], env: Environment): Config["log"] {
  const table = { log: OPTIONS.log };
  const variable = environmentName(OPTIONS.log.flag);
  try {
    return readOptions(table, splitFlags(table, args).own, { [variable]: env[variable] }).log;
  } catch {
    return OPTIONS.log.default;
  }
}
