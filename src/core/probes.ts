/**
 * Who waits for a held seat while its holder is asked whether it is still there (docs/PROTOCOL.md, "Seats"). One
 * holder is asked once, however many newcomers wait for the answer. Pure: time is passed in.
 */

export interface Probe<Peer, Request> {
  readonly request: Request;
  readonly since: number;
  readonly newcomers: Set<Peer>;
}

/** So long a holder has to answer, in ms. */
export const PROBE_MS = 2_000;

export class Probes<Peer, Request> {
  /** By holder; the longest asked come first. */
  readonly #probes = new Map<Peer, Probe<Peer, Request>>();

  /** Newcomers that wait. */
  get waiting(): number {
    let waiting = 0;
    for (const { newcomers } of this.#probes.values()) waiting += newcomers.size;
    return waiting;
  }

  /** Lets `newcomer` wait for the seat of `holder`. Returns whether the holder has yet to be asked. */
  begin(holder: Peer, newcomer: Peer, request: Request, now: number): boolean {
    const probe = this.#probes.get(holder);
    if (!probe) this.#probes.set(holder, { request, since: now, newcomers: new Set([newcomer]) });
    else probe.newcomers.add(newcomer);
    return !probe;
  }

  /** Takes out a newcomer that has gone. */
  withdraw(holder: Peer, newcomer: Peer): void {
    this.#probes.get(holder)?.newcomers.delete(newcomer);
  }

  /** Ends the probe of `holder`, if there is one, and returns it. */
  end(holder: Peer): Probe<Peer, Request> | null {
    const probe = this.#probes.get(holder) ?? null;
    if (probe) this.#probes.delete(holder);
    return probe;
  }

  /** The holders whose time is up at `now`; a probe whose newcomers have all gone just ends. */
  due(now: number): Peer[] {
    const holders: Peer[] = [];
    for (const [holder, { since, newcomers }] of this.#probes) {
      if (now - since < PROBE_MS) break;
      if (newcomers.size === 0) this.#probes.delete(holder);
      else holders.push(holder);
    }
    return holders;
  }
}
