/**
 * What a run shows while it lasts: a few lines redrawn in place in a terminal, one plain line a second in a pipe. It
 * writes where it is told to and never reads a clock: each line is made from the progress it is given.
 */
import { amount, cut, duration, NOTHING, percent, printable, rate, size } from "./figures.ts";
import { FAULTS } from "./outcome.ts";
import type { CountName, Percentiles, Second, TimeName } from "./result.ts";

/** What is known of a run that goes on. */
export interface Progress {
  readonly scenario: string;
  /** How much of the run is over, 0 to 1; null where it has no set end. */
  readonly fraction: number | null;
  /** Since the run began, in s. */
  readonly elapsed: number;
  /** The last whole interval; null before the first. Each is to be shown, as its length is told by the one before. */
  readonly latest: Second | null;
  /** Of the run so far. */
  readonly counts: Readonly<Record<CountName, number>>;
  readonly main: TimeName;
  /** Of the main time, of the run so far; null where nothing was timed yet. */
  readonly percentiles: Percentiles | null;
  /** By kind, of the run so far. */
  readonly errors: Readonly<Record<string, number>>;
}

/** Of the busiest worker; above it, what a relay sends may wait for the generator and count as the relay's delay. */
export const BUSY_LOAD = 0.85;

/** More kinds of errors than these would push the rest out of sight. */
const SHOWN_ERRORS = 4;
/** The longest first word of a line. */
const NAME_WIDTH = "generator".length;
const BAR_WIDTH = 40;
/** Narrower than this nothing can be read, and a terminal that doesn't know its size says 0. */
const MIN_COLUMNS = 20;
const USUAL_COLUMNS = 80;

const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const CLEAR_LINE = "\r\x1b[2K";
const CLEAR_BELOW = "\x1b[J";
const STYLES = { plain: "", bold: "\x1b[1m", dim: "\x1b[2m", red: "\x1b[31m", yellow: "\x1b[33m" } as const;
const END_STYLE = "\x1b[0m";

/** One line has one style, so that it can be cut to the terminal's width. */
interface Line {
  readonly text: string;
  readonly style: keyof typeof STYLES;
}

export class Display {
  readonly #write: (text: string) => void;
  readonly #isTerminal: boolean;
  readonly #columns: number;
  /** How many lines stand in the terminal, to be written over. */
  #height = 0;
  #shownAt = 0;
  #interval = 1;

  /**
   * @param write where the text goes
   * @param isTerminal whether that understands ANSI sequences
   * @param columns how wide it is; no line is longer
   */
  constructor(write: (text: string) => void, isTerminal: boolean, columns: number) {
    this.#write = write;
    this.#isTerminal = isTerminal;
    this.#columns = columns < MIN_COLUMNS ? USUAL_COLUMNS : columns;
  }

  /** Shows how far the run is; in a pipe only where a further interval is over, so it may be called as often as liked. */
  show(progress: Progress): void {
    const at = progress.latest?.at ?? 0;
    const isNew = at > this.#shownAt;
    if (isNew) this.#interval = at - this.#shownAt;
    this.#shownAt = at;
    if (this.#isTerminal) this.#redraw(linesOf(progress, this.#interval));
    else if (isNew && progress.latest) this.#write(plainLine(progress, progress.latest, this.#interval));
  }

  /** Leaves what is shown where it is and gives the cursor back. */
  end(): void {
    if (this.#height > 0) this.#write(SHOW_CURSOR);
    this.#height = 0;
  }

  #redraw(lines: readonly Line[]): void {
    const start = this.#height === 0 ? HIDE_CURSOR : `\x1b[${this.#height}A`;
    const drawn = lines.map(({ text, style }) => {
      const fitting = cut(text, this.#columns);
      return `${CLEAR_LINE}${style === "plain" ? fitting : `${STYLES[style]}${fitting}${END_STYLE}`}\n`;
    });
    this.#height = lines.length;
    this.#write(`${start}${drawn.join("")}${CLEAR_BELOW}`);
  }
}

/** Words with = between them and no spaces within, so that grep and awk find them: the same words in every line. */
function plainLine({ main, counts, errors }: Progress, latest: Second, interval: number): string {
  const words = {
    at: `${Math.round(latest.at)}s`,
    offered: `${perSecond(latest.counts.offered, interval)}/s`,
    achieved: `${perSecond(latest.counts.done, interval)}/s`,
    messages: `${perSecond(latest.counts.received, interval)}/s`,
    peers: latest.peers,
    failed: counts.failed,
    errors: sum(errors),
    [`${main}.p50`]: milliseconds(latest.p50),
    [`${main}.p99`]: milliseconds(latest.p99),
    [`${main}.max`]: milliseconds(latest.max),
    queue: milliseconds(latest.generatorQueue),
    faults: FAULTS.reduce((sum, fault) => sum + counts[fault], 0),
    generator: `${Math.round(latest.generatorLoad * 100)}%`,
  };
  const pairs = Object.entries(words).map(([name, value]) => `${name}=${value}`);
  return `${pairs.join(" ")}\n`;
}

/** One decimal at most, no separators: for programs. */
function perSecond(count: number, interval: number): number {
  return Math.round((count / interval) * 10) / 10;
}

/** Always in the same unit, so that a column of them can be sorted and plotted. */
function milliseconds(micros: number | null): string {
  return micros === null ? "-" : `${micros / 1_000}ms`;
}

function linesOf(progress: Progress, interval: number): Line[] {
  const { scenario, fraction, elapsed, latest, counts, main, percentiles, errors } = progress;
  const bar = fraction === null ? "" : `  ${barOf(fraction)} ${Math.floor(fraction * 100)} %`;
  const offered = latest && rate(latest.counts.offered / interval);
  const achieved = latest && rate(latest.counts.done / interval);
  const received = latest && rate(latest.counts.received / interval);
  const line = (name: string, text: string, style: Line["style"] = "plain"): Line => ({
    text: `${name.padEnd(NAME_WIDTH)} ${text}`,
    style,
  });
  return [
    line(printable(scenario), `${clock(elapsed)}${bar}`, "bold"),
    line("sessions", `offered ${offered ?? NOTHING}  achieved ${achieved ?? NOTHING}  done ${amount(counts.done)}`),
    line("failed", amount(counts.failed), counts.failed > 0 ? "red" : "plain"),
    line("messages", `${received ?? NOTHING}  in all ${amount(counts.received)}  ${size(counts.bytes)}`),
    line("faults", faultsOf(counts), FAULTS.some((fault) => counts[fault] > 0) ? "red" : "plain"),
    line("peers", amount(latest?.peers)),
    line(main, timesOf(percentiles)),
    line(
      "last",
      latest ? `p50 ${duration(latest.p50)}  p99 ${duration(latest.p99)}  max ${duration(latest.max)}` : NOTHING,
      "dim",
    ),
    line("errors", shownErrors(errors), sum(errors) > 0 ? "red" : "plain"),
    line("generator", ...loadOf(latest)),
  ];
}

function timesOf(percentiles: Percentiles | null): string {
  if (!percentiles) return NOTHING;
  const { p50, p99, p999, max } = percentiles;
  return `p50 ${duration(p50)}  p99 ${duration(p99)}  p99.9 ${duration(p999)}  max ${duration(max)}`;
}

function faultsOf(counts: Progress["counts"]): string {
  const some = FAULTS.filter((fault) => counts[fault] > 0).map((fault) => `${fault} ${amount(counts[fault])}`);
  return some.join("  ") || "0";
}

function shownErrors(errors: Progress["errors"]): string {
  const sorted = Object.entries(errors).sort(([, a], [, b]) => b - a);
  const kinds = sorted.slice(0, SHOWN_ERRORS).map(([kind, count]) => `${printable(kind)} ${amount(count)}`);
  const rest = sorted.length > SHOWN_ERRORS ? [`${sorted.length - SHOWN_ERRORS} more kinds`] : [];
  return [amount(sum(errors)), ...kinds, ...rest].join("  ");
}

function loadOf(latest: Second | null): [text: string, style: Line["style"]] {
  if (!latest) return [NOTHING, "plain"];
  const load = `${percent(latest.generatorLoad)} of a core  own queue p99 ${duration(latest.generatorQueue)}`;
  return latest.generatorLoad < BUSY_LOAD ? [load, "plain"] : [`${load}: too busy, times may be its own`, "yellow"];
}

function barOf(fraction: number): string {
  const done = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_WIDTH);
  return "█".repeat(done) + "░".repeat(BAR_WIDTH - done);
}

/** Minutes and seconds: 1:05. */
function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function sum(errors: Progress["errors"]): number {
  return Object.values(errors).reduce((total, count) => total + count, 0);
}
