/**
 * Which variables of the environment are options. Owns the names; a value is read elsewhere. What others set by
 * accident is passed over, what was meant for this program and is mistyped is refused: an allow-list that is off because
 * of one letter would be noticed too late. Pure.
 */

/** The environment, or as much of it as is given. */
export type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = "WHISPER_";

/**
 * Kubernetes sets these in every container for each service, and so for one called whisper or whisper-something: with
 * WHISPER_PORT=tcp://10.0.0.1:8000 among them.
 */
const SERVICE_LINK = /^WHISPER_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;
const SERVICE_PORT = /^WHISPER_(\w+_)?PORT$/;
const SERVICE_URL = /^(tcp|udp|sctp):\/\//;

/** The variable that sets the option of `flag`: WHISPER_SESSION_TTL for --session-ttl. */
export function environmentName(flag: string): string {
  return `${PREFIX}${flag.slice(2).toUpperCase().replaceAll("-", "_")}`;
}

/** What of the environment concerns a program that has these flags. */
export interface Sorted {
  /** What is set, by variable. One that is set to nothing is not set. */
  readonly set: ReadonlyMap<string, string>;
  /** Variables of options that Kubernetes has set for a service. */
  readonly passedOver: readonly string[];
  /** Variables that look like this program's and are not; each with the nearest that is. */
  readonly unknown: readonly (readonly [name: string, nearest: string])[];
}

export function sortEnvironment(flags: readonly string[], env: Environment): Sorted {
  const names = flags.map(environmentName);
  const set = new Map<string, string>();
  const passedOver: string[] = [];
  const unknown: [string, string][] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || value === undefined || value === "") continue;
    const isOption = names.includes(name);
    if (SERVICE_PORT.test(name) && SERVICE_URL.test(value)) {
      if (isOption) passedOver.push(name);
    } else if (isOption) set.set(name, value);
    else if (!SERVICE_LINK.test(name)) unknown.push([name, nearest(name, names).name]);
  }
  return { set, passedOver, unknown };
}

/** Of `names` the one that is most like `written`, and how many characters are between them. */
export function nearest(written: string, names: readonly string[]): { name: string; distance: number } {
  const [first = { name: "", distance: 0 }] = names
    .map((name) => ({ name, distance: distance(written, name) }))
    .sort((a, b) => a.distance - b.distance);
  return first;
}

/**
 * A word that is none of `names`, told in one line. The nearest is named where it is near: at least half of it is as it
 * was written.
 * @param kind what such a word is, as "unknown option"
 */
export function unknownWord(kind: string, text: string, names: readonly string[]): string {
  const [written = ""] = text.split("=");
  const { name, distance } = nearest(written, names);
  const isNear = distance * 2 <= name.replace(/^--/, "").length;
  return `${kind} ${JSON.stringify(text.slice(0, 80))}; ${isNear ? `the nearest is ${name}, and ` : ""}--help lists them`;
}

/** How many characters have to be put in, left out or changed to make the one of the other (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (const [i, character] of [...from].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...to].entries()) {
      const [above = 0, diagonal = 0, left = 0] = [row[j + 1], row[j], next[j]];
      next.push(Math.min(above + 1, left + 1, diagonal + Number(character !== other)));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
