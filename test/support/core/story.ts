/** Admission without a socket or a clock: peers with names, what is done to them, and what comes of it in words. */
import { type Effect, type Event, newState, type State, step } from "../../../src/core/admission.ts";
import { type Account, type AddressTable, newAddressTable } from "../../../src/core/limits.ts";
import { Peer } from "../../../src/core/peer.ts";
import type { JoinMessage } from "../../../src/core/protocol.ts";
import { readConfig } from "../../../src/program/config.ts";

export const CODE = "A3F7B9E2C1D4";

export class Named extends Peer {
  readonly name: string;

  constructor(name: string, account: Account) {
    super(account);
    this.name = name;
  }

  /** As a node to which a peer is known. */
  heard(): void {}
}

export class Story {
  readonly state: State;
  readonly addresses: AddressTable;
  /** The joins for which a directory was asked. */
  readonly asked: { peer: Peer; join: JoinMessage }[] = [];
  now = 0;

  /** @param args options of the relay, such as `--max-waiting=1`; `asks`: whether there is a directory */
  constructor(args: readonly string[] = [], asks = false) {
    const limits = readConfig(args, {});
    this.addresses = newAddressTable(limits, 7);
    this.state = newState(limits, asks);
  }

  /** What an event leads to, in words such as `refuse alice role-taken`. */
  do(event: Event): string[] {
    const effects = step(this.state, event, this.now);
    for (const effect of effects) if (effect.do === "ask") this.asked.push(effect);
    return effects.map(told);
  }

  /** Somebody connects, from an address by its number, or on an account. */
  comes(name: string, from: number | Account = 1): Named {
    const peer = new Named(name, typeof from === "number" ? this.addresses.accountOf(BigInt(from) << 64n) : from);
    this.do({ type: "connect", peer });
    return peer;
  }

  /** Its token is `token of NAME`, should it get the seat. */
  joins(peer: Named, isInitiator: boolean, code = CODE, token: string | null = null): string[] {
    const join: JoinMessage = { type: "join", sessionCode: code, isInitiator, token, instance: null, answers: false };
    return this.do({ type: "join", peer, join, token: `token of ${peer.name}` });
  }

  /** Connects and joins. */
  sits(name: string, isInitiator: boolean, code = CODE, address = 1): Named {
    const peer = this.comes(name, address);
    this.joins(peer, isInitiator, code);
    return peer;
  }

  after(ms: number): string[] {
    this.now += ms;
    return this.do({ type: "tick" });
  }
}

function told(effect: Effect): string {
  const name = "peer" in effect && effect.peer instanceof Named ? ` ${effect.peer.name}` : "";
  const wait = effect.do === "refuse" && effect.retryMs !== null ? ` after ${effect.retryMs} ms` : "";
  const more = effect.do === "refuse" ? ` ${effect.name}${wait}` : effect.do === "ended" ? ` ${effect.outcome}` : "";
  return `${effect.do}${name}${more}`;
}
