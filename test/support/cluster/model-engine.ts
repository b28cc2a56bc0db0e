/** The engine in a few lines: what the script does, on a map whose entries expire, with the time in the caller's hand. */
import type { Reply } from "../../../src/cluster/script.ts";
import { EPOCH_MS, LEASE_MS, RECORD_MS, RENEW_MS } from "../../../src/cluster/times.ts";

interface Entry {
  readonly value: string;
  readonly until: number;
}

export class ModelEngine {
  entries = new Map<string, Entry>();
  run = "run-1";
  /** By its own clock. */
  startedAt: number;

  constructor(now: number) {
    this.startedAt = now;
  }

  get(key: string, now: number): string | null {
    const entry = this.entries.get(key);
    return entry && entry.until > now ? entry.value : null;
  }

  keys(prefix: string, now: number): string[] {
    return [...this.entries].filter(([key, { until }]) => key.startsWith(prefix) && until > now).map(([key]) => key);
  }

  #set(key: string, value: string, forMs: number, now: number): void {
    this.entries.set(key, { value, until: now + forMs });
  }

  /** A call of the script, with the arguments that `argumentsOf` makes. */
  call(names: readonly string[], [op, node = "", inc = "", run, ...rest]: readonly string[], now: number): Reply {
    const epoch = this.get("epoch", now);
    const [number = "0", known, since, layout] = epoch?.split("|") ?? [];
    const id = epoch === null ? "" : `${number}|${known}|${since}`;
    const odd = (ms: number) => ms > LEASE_MS - RENEW_MS || ms < -RENEW_MS;
    const isOdd = epoch !== null && odd(now + EPOCH_MS - (this.entries.get("epoch")?.until ?? 0));
    const me = `${node}|${inc}|`;
    const lives = (owner: string, incarnation: string) => this.get(`node:${owner}`, now) === incarnation;
    const ownerOf = (name: string) => this.get(`at:${name}`, now)?.split("|") ?? [];
    const write = (name: string, fence: string) => this.#set(`at:${name}`, `${me}${fence}|${since}`, RECORD_MS, now);

    if (op === "hello") {
      const [knownEpoch = "", isFirst, newLayout = "", upMs, sureMs] = rest;
      const theirs = Number.parseInt(knownEpoch, 10) || 0;
      const ours = Number(number);
      let current = id;
      if (known !== run || theirs > ours || Number(since) > now || (isOdd && theirs === 0)) {
        const begun = epoch !== null || theirs > 0 ? now : now - Number(upMs);
        current = `${Math.max(ours, theirs) + 1}|${run}|${begun}`;
      } else if (layout !== newLayout) return ["layout"];
      else if (isOdd && odd(now - Number(sureMs))) return ["odd", `${now}`, id];
      this.#set("epoch", `${current}|${newLayout}`, EPOCH_MS, now);
      const held = this.get(`node:${node}`, now);
      if (held !== null && Number(held) > Number(inc)) return ["lapsed"];
      if (isFirst === "0" && knownEpoch === current && held !== inc) return ["lapsed"];
      this.#set(`node:${node}`, inc, LEASE_MS, now);
      return ["ok", `${now}`, current];
    }
    if (op === "release") {
      const each = names.length / rest.length;
      names.forEach((name, i) => {
        const [owner, incarnation, fence] = ownerOf(name);
        if (owner === node && incarnation === inc && fence === rest[Math.floor(i / each)])
          this.entries.delete(`at:${name}`);
      });
      return ["released"];
    }
    if (op === "bye") {
      if (lives(node, inc)) this.entries.delete(`node:${node}`);
      return ["bye"];
    }
    if (isOdd || id !== rest[0] || !lives(node, inc)) return ["stale"];
    const isEarly = now < Number(since) + LEASE_MS;
    if (op === "claim") {
      for (const [i, name] of names.entries()) {
        const [owner, incarnation = "", fence = "", of] = ownerOf(name);
        if (owner === node && incarnation === inc) {
          if (Number(fence) > Number(rest[1])) return ["old"];
        } else if (owner !== undefined && lives(owner, incarnation) && (isEarly || of === since))
          return ["owner", owner, fence, i];
      }
      if (isEarly) return ["wait"];
      for (const name of names) write(name, rest[1] ?? "");
      return ["mine"];
    }
    const fences = rest.slice(1);
    const each = names.length / fences.length;
    const lost: number[] = [];
    names.forEach((name, i) => {
      const at = Math.floor(i / each);
      const [owner, incarnation = "", fence, of] = ownerOf(name);
      if (owner !== undefined && owner !== node && lives(owner, incarnation) && of === since) lost.push(at);
      else if (owner !== node || incarnation !== inc || Number(fence) <= Number(fences[at]))
        write(name, fences[at] ?? "");
    });
    return ["kept", ...lost];
  }
}
