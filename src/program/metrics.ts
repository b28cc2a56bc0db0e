/**
 * What an operator may know: counts, never who. Owns every counter and histogram and writes them in the Prometheus
 * text format (version 0.0.4). The sets of labels are closed and all their rows exist from the start; no label, name
 * or value is ever taken from what a peer sent.
 */
import { type Events, OUTCOMES, type Outcome, REFUSALS, type Warning } from "../core/events.ts";
import { ERRORS, type ErrorName, PAYLOADS, type RelayedType } from "../core/protocol.ts";
import type { Gauges } from "./books.ts";

/** What the process uses and may use; null where this system doesn't tell. */
export interface Resources {
  /** What counts towards --max-memory, and that mark. */
  readonly memoryBytes: number | null;
  readonly memoryMarkBytes: number | null;
  readonly residentBytes: number | null;
  readonly cpuSeconds: number | null;
  readonly openFiles: number | null;
  readonly maxFiles: number | null;
  /** In seconds since 1970. */
  readonly startedAt: number | null;
}

/** A counter for each of a closed set of labels. */
class Counters<Label extends string> {
  readonly #counts: Record<string, number>;

  constructor(labels: readonly Label[]) {
    this.#counts = Object.fromEntries(labels.map((label) => [label, 0]));
  }

  add(label: Label, by = 1): void {
    this.#counts[label] = (this.#counts[label] ?? 0) + by;
  }

  rows(): [string, number][] {
    return Object.entries(this.#counts);
  }

  get sum(): number {
    return Object.values(this.#counts).reduce((sum, count) => sum + count, 0);
  }
}

/** Cumulative buckets, as Prometheus counts them. */
class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  /** @param bounds upper bounds in seconds, ascending */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  /** @param ms a time that was measured */
  observe(ms: number): void {
    const seconds = ms / 1_000;
    this.#sum += seconds;
    this.#count++;
    const bucket = this.#bounds.findIndex((bound) => seconds <= bound);
    if (bucket >= 0) this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
  }

  write(name: string, help: string): string {
    let below = 0;
    const rows = this.#bounds.map((bound, i) => {
      below += this.#counts[i] ?? 0;
      return `${name}_bucket{le="${bound}"} ${below}\n`;
    });
    const ends = `${name}_bucket{le="+Inf"} ${this.#count}\n${name}_sum ${this.#sum}\n${name}_count ${this.#count}\n`;
    return `# HELP ${name} ${help}\n# TYPE ${name} histogram\n${rows.join("")}${ends}`;
  }
}

const UPGRADES = ["taken", "malformed", ...REFUSALS] as const;
const RELAYED = Object.keys(PAYLOADS) as RelayedType[];
/** A handshake takes a tenth of a second, a person who types a code minutes. */
const WAITS = [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600];
const LAGS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

export class Metrics implements Events {
  readonly #listeners: readonly Partial<Events>[];
  readonly #upgrades = new Counters(UPGRADES);
  readonly #errors = new Counters(Object.keys(ERRORS) as ErrorName[]);
  readonly #closes = new Counters<ErrorName | "left" | "lost" | "silent">([
    ...(Object.keys(ERRORS) as ErrorName[]).filter((name) => ERRORS[name].close !== null),
    ...(["left", "lost", "silent"] as const),
  ]);
  readonly #messages = new Counters<RelayedType>(RELAYED);
  readonly #bytes = new Counters<RelayedType>(RELAYED);
  readonly #outcomes = new Counters<Outcome>(OUTCOMES);
  readonly #toReady = new Histogram(WAITS);
  readonly #toAnswer = new Histogram(WAITS);
  readonly #lag = new Histogram(LAGS);
  #differences = 0;
  #internalErrors = 0;

  /** @param listeners are told, too, of who is refused, of each sweep and of what the operator has to know */
  constructor(...listeners: readonly Partial<Events>[]) {
    this.#listeners = listeners;
  }

  /** Grows whenever a peer has come, gone or been heard by another. */
  get activity(): number {
    return this.#upgrades.sum + this.#closes.sum + this.#messages.sum;
  }

  upgraded(result: (typeof UPGRADES)[number]): void {
    this.#upgrades.add(result);
    for (const listener of this.#listeners) listener.upgraded?.(result);
  }

  refused(name: ErrorName): void {
    this.#errors.add(name);
    for (const listener of this.#listeners) listener.refused?.(name);
  }

  closed(refusal: ErrorName | "silent" | null, code: number): void {
    this.#closes.add(refusal ?? (code === 1006 ? "lost" : "left"));
  }

  ready(afterMs: number): void {
    this.#toReady.observe(afterMs);
  }

  relayed(type: RelayedType, bytes: number): void {
    this.#messages.add(type);
    this.#bytes.add(type, bytes);
  }

  answered(afterMs: number): void {
    this.#toAnswer.observe(afterMs);
  }

  ended(outcome: Outcome): void {
    this.#outcomes.add(outcome);
  }

  swept(lateMs: number): void {
    this.#lag.observe(lateMs);
    for (const listener of this.#listeners) listener.swept?.(lateMs);
  }

  warn(warning: Warning): void {
    for (const listener of this.#listeners) listener.warn?.(warning);
  }

  /** The relay's look at its own books has found so many differences. */
  differed(differences: number): void {
    this.#differences += differences;
  }

  /** An error came that nobody expected. */
  failed(): void {
    this.#internalErrors++;
  }

  /** All of it, as Prometheus text; `gauges` and `resources` are of this moment. */
  write(
    gauges: Gauges,
    resources: Resources,
    program: { version: string; commit: string; bun: string; isLocked: boolean; droppedLines: number },
    tlsSecondsLeft: number | null,
  ): string {
    const { sockets, notJoined, probing, sessions, seatsHeld } = gauges;
    const paired = seatsHeld - sessions;
    const waiting = sessions - paired;
    const total = (name: string, help: string, label: string, counters: Counters<string>) =>
      family(name, "counter", help, label, counters.rows());
    return [
      family("whisper_peers", "gauge", "Connected peers by state.", "state", [
        ["not-joined", notJoined],
        ["probing", probing],
        ["waiting", waiting],
        ["paired", 2 * paired],
      ]),
      single("whisper_sockets", "gauge", "Open WebSockets; the self-check compares them with the peers.", sockets),
      family("whisper_sessions", "gauge", "Sessions by state.", "state", [
        ["waiting", waiting],
        ["paired", paired],
      ]),
      total("whisper_upgrades_total", "Upgrades by result.", "result", this.#upgrades),
      total("whisper_errors_total", "Errors told to peers, by name.", "error", this.#errors),
      total("whisper_closes_total", "Closed sockets by reason.", "reason", this.#closes),
      total("whisper_messages_relayed_total", "Messages passed on, by type.", "type", this.#messages),
      total("whisper_bytes_relayed_total", "Bytes passed on, by type of message.", "type", this.#bytes),
      total("whisper_session_outcomes_total", "Ended sessions by outcome.", "outcome", this.#outcomes),
      this.#toReady.write("whisper_time_to_ready_seconds", "From the first join of a session to both seats held."),
      this.#toAnswer.write("whisper_time_to_answer_seconds", "From both seats held to the first answer."),
      this.#lag.write("whisper_event_loop_lag_seconds", "How late the sweep of each second came."),
      single(
        "whisper_self_check_differences_total",
        "counter",
        "Differences found by the self-check.",
        this.#differences,
      ),
      single("whisper_internal_errors_total", "counter", "Errors that nobody expected.", this.#internalErrors),
      single(
        "whisper_log_lines_dropped_total",
        "counter",
        "Lines that could not be written at once.",
        program.droppedLines,
      ),
      single(
        "whisper_sandbox_locked",
        "gauge",
        "1 where the kernel refuses this process files, programs and calls out.",
        Number(program.isLocked),
      ),
      single(
        "whisper_tls_certificate_expiry_seconds",
        "gauge",
        "Seconds until the certificate that is served expires.",
        tlsSecondsLeft,
      ),
      single("whisper_memory_bytes", "gauge", "What counts towards --max-memory.", resources.memoryBytes),
      single("whisper_memory_mark_bytes", "gauge", "Above it nobody new is taken.", resources.memoryMarkBytes),
      single("process_resident_memory_bytes", "gauge", "Resident memory.", resources.residentBytes),
      single("process_cpu_seconds_total", "counter", "User and system time.", resources.cpuSeconds),
      single("process_open_fds", "gauge", "Open files.", resources.openFiles),
      single("process_max_fds", "gauge", "Limit of open files.", resources.maxFiles),
      single("process_start_time_seconds", "gauge", "When the process began, since 1970.", resources.startedAt),
      "# HELP whisper_build_info What runs here.\n# TYPE whisper_build_info gauge\n",
      `whisper_build_info{version="${program.version}",commit="${program.commit}",bun="${program.bun}"} 1\n`,
    ].join("");
  }
}

function single(name: string, type: string, help: string, value: number | null): string {
  return value === null ? "" : family(name, type, help, null, [["", value]]);
}

/** A metric with its rows, as Prometheus text; `label` null or empty: one row without. */
export function family(
  name: string,
  type: string,
  help: string,
  label: string | null,
  rows: [string, number][],
): string {
  const lines = rows.map(([value, count]) => `${name}${!label ? "" : `{${label}="${value}"}`} ${count}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}
