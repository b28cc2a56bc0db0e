/**
 * Which limits refuse somebody now, in lines for the operator: one when a limit begins to, one a minute while it does, one
 * when it has ended. Counts, never who. Owns which refusals are of a limit, and the option that sets it.
 */
import type { Events } from "../core/events.ts";
import type { ErrorName } from "../core/protocol.ts";

type UpgradeResult = Parameters<Events["upgraded"]>[0];

/** By the names that the metrics have: of whisper_upgrades_total, and of whisper_errors_total. */
const UPGRADES: Partial<Record<UpgradeResult, string>> = {
  "at-capacity": "--max-peers",
  memory: "--max-memory",
  address: "--max-per-address, --connect-rate and --connect-burst",
  origin: "--origin",
};
const ERRORS: Partial<Record<ErrorName, string>> = {
  "at-capacity": "--max-waiting",
  "rate-limited": "--message-rate, --failed-join-rate and --max-waiting-per-address",
  quota: "--quota-messages and --quota-bytes",
  slow: "--max-buffered",
  "too-large": "--max-message",
  "join-timeout": "--join-timeout",
};

const MINUTE_MS = 60_000;

/** One stretch of time in which a limit refuses. */
interface Spell {
  /** What of the metrics counts it. */
  readonly name: string;
  readonly beganAt: number;
  /** When it is next told of. */
  dueAt: number;
  total: number;
  /** Since it was last told of. */
  since: number;
}

export interface Fact {
  readonly limit: string;
  readonly refused: number;
  readonly "refused-in-all": number;
  readonly seconds: number;
}

export class Refusals implements Pick<Events, "upgraded" | "refused"> {
  readonly #now: () => number;
  readonly #say: (line: string, fact: Fact) => void;
  readonly #isClustered: boolean;
  readonly #spells = new Map<string, Spell>();

  /**
   * @param now a monotonic clock in ms
   * @param say takes a line, and the same for machines
   * @param isClustered whether there is an engine for lack of which joins are refused, too
   */
  constructor(now: () => number, say: (line: string, fact: Fact) => void, isClustered = false) {
    this.#now = now;
    this.#say = say;
    this.#isClustered = isClustered;
  }

  upgraded(result: UpgradeResult): void {
    this.#refuse(UPGRADES[result], `upgrades ${result}`);
  }

  refused(name: ErrorName): void {
    const isEngine = this.#isClustered && name === "at-capacity";
    this.#refuse(isEngine ? "--max-waiting, or an engine of --cluster" : ERRORS[name], `errors ${name}`);
  }

  /** Says what is due. To be called about once a second. */
  turn(): void {
    const now = this.#now();
    for (const [limit, spell] of this.#spells) {
      if (now < spell.dueAt) continue;
      if (spell.since > 0) this.#tell(limit, spell, `still refuses: ${spell.since} in the last minute`);
      else {
        this.#spells.delete(limit);
        this.#tell(limit, spell, `refuses no more: it refused ${spell.total} in all`);
      }
      spell.dueAt = now + MINUTE_MS;
      spell.since = 0;
    }
  }

  #refuse(limit: string | undefined, name: string): void {
    if (limit === undefined) return;
    const now = this.#now();
    const spell = this.#spells.get(limit);
    if (spell) {
      spell.total++;
      spell.since++;
      return;
    }
    const first = { name, beganAt: now, dueAt: now + MINUTE_MS, total: 1, since: 1 };
    this.#spells.set(limit, first);
    this.#tell(limit, first, "begins to refuse");
    first.since = 0;
  }

  #tell(limit: string, { name, beganAt, total, since }: Spell, what: string): void {
    const seconds = Math.round((this.#now() - beganAt) / 1_000);
    const fact = { limit: name, refused: since, "refused-in-all": total, seconds };
    this.#say(`limit (${limit}) ${what}; counted as ${name}`, fact);
  }
}
