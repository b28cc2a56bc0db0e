/**
 * What becomes of a join: where its session is, and what that node says to it. Pure.
 *
 *   event                          what comes of it
 *   ask: the session is here       yes
 *   ask: another                   claim. mine: yes; owner: a link to it; else, or after ASK_MS: no
 *   taken                          away
 *   nope, or its link is cut       it asks again, TRIES times
 *   not taken for OPEN_MS          the same; left
 *   withdraw                       left, where a link is there
 *   give back: the last seat       release
 */
import { Link } from "./links.ts";
import { type Ask, call, type Turn, type Waiting } from "./node.ts";
import type { Claim } from "./script.ts";
import { ASK_MS, FRESH_MS, OPEN_MS } from "./times.ts";
import { drop, send } from "./traffic.ts";

/** A session may have ended while a join was on its way to it. */
const TRIES = 5;

export function ask(turn: Turn, ask: Ask): void {
  seek(turn, { ask, until: turn.now + ASK_MS, tries: 0, openMs: 0 });
}

function seek(turn: Turn, waiting: Waiting) {
  const { node, now, effects } = turn;
  const { ask } = waiting;
  const home = node.homes.get(ask.code);
  if (home) {
    home.grants++;
    effects.push({ do: "answer", ask, home });
    return;
  }
  const isGone = node.phase === "misfit" || (!node.isUp && now - node.downAt > FRESH_MS);
  if (isGone || waiting.tries++ >= TRIES) return refuse(turn, waiting);
  const others = node.claims.get(ask.code);
  node.claims.set(ask.code, [...(others ?? []), waiting]);
  if (!others && node.phase === "ok") claim(turn, ask.code);
}

function refuse({ node, effects }: Turn, { ask }: Waiting) {
  node.counts.unclaimed++;
  effects.push({ do: "answer", ask, home: null });
}

/** Whoever waited for the engine, and those whose link is no more. */
export function seekAgain(turn: Turn, isOkAgain: boolean): void {
  const { node } = turn;
  if (isOkAgain) for (const code of node.claims.keys()) claim(turn, code);
  while (node.returned.length > 0) for (const waiting of node.returned.splice(0)) seek(turn, waiting);
}

function claim(turn: Turn, code: string) {
  const { node, now } = turn;
  const { incarnation } = node;
  const fence = `${node.nextCall}`; // higher than of any claim before
  call(turn, { op: "claim", epoch: node.epoch, code, fence }, (later, reply) => {
    if (node.incarnation !== incarnation) return; // it is asked again with the new lease
    if (reply === null) {
      if (later.node.phase === "ok") claim(later, code); // it was dropped, being late; else it is asked with the next hello
      return;
    }
    const [what, other = "", otherFence = "", nameIndex = 0] = reply;
    if (what === "stale") {
      node.phase = "waiting";
      node.lastHelloAt = Number.NEGATIVE_INFINITY;
      return;
    }
    const waiting = node.claims.get(code) ?? [];
    node.claims.delete(code);
    if (what === "mine") settle(later, { code, fence }, waiting);
    else if (what === "owner")
      for (const each of waiting) {
        each.openMs = OPEN_MS + 2 * (later.now - now); // the way to that node and back is twice that to the engine
        open(later, each, `${other}`, `${otherFence}`, Number(nameIndex));
      }
    else for (const each of waiting) refuse(later, each);
  });
}

/** The session is here now. */
function settle(turn: Turn, claim: Claim, waiting: readonly Waiting[]) {
  const { node, now, effects } = turn;
  if (waiting.length === 0) return call(turn, { op: "release", claims: [claim] });
  const home = { fence: claim.fence, grants: waiting.length, keptAt: now };
  node.homes.set(claim.code, home);
  for (const { ask } of waiting) effects.push({ do: "answer", ask, home });
}

function open(turn: Turn, waiting: Waiting, other: string, fence: string, nameIndex: number) {
  const { node, now } = turn;
  const link = new Link(node.newId(), waiting.ask.code, other, false, now, nameIndex);
  node.links.set(link.id, link);
  node.opening.set(link, waiting);
  send(turn, link, "open", waiting.ask.join, fence);
}

/** The node at the other end does not have the session any more. */
export function refused(turn: Turn, id: string): void {
  const link = turn.node.links.get(id);
  const waiting = link && turn.node.opening.get(link);
  if (!link || !waiting) return;
  drop(turn, link);
  turn.node.opening.delete(link);
  turn.node.returned.push(waiting);
}

export function withdraw(turn: Turn, ask: Ask): void {
  const { node } = turn;
  const waiting = node.claims.get(ask.code)?.filter((one) => one.ask !== ask);
  if (waiting) node.claims.set(ask.code, waiting);
  for (const [link, one] of node.opening) if (one.ask === ask) abandon(turn, link);
}

function abandon(turn: Turn, link: Link) {
  turn.node.opening.delete(link);
  send(turn, link, "left", "");
}

export function giveBack(turn: Turn, code: string): void {
  const { node } = turn;
  const home = node.homes.get(code);
  if (!home || --home.grants > 0) return;
  node.homes.delete(code);
  if (node.isUp) call(turn, { op: "release", claims: [{ code, fence: home.fence }] });
}

/** Refuses whoever has waited for too long. */
export function refuseLate(turn: Turn): void {
  const { node, now } = turn;
  for (const [code, waiting] of node.claims) {
    const left = waiting.filter(({ until }) => now < until);
    if (left.length === 0 && node.phase !== "ok") node.claims.delete(code);
    else node.claims.set(code, left);
    for (const each of waiting) if (now >= each.until) refuse(turn, each);
  }
  for (const [link, waiting] of node.opening) {
    const isLate = now >= waiting.until;
    if (!isLate && now - link.at < waiting.openMs) continue;
    abandon(turn, link);
    if (isLate) refuse(turn, waiting);
    else node.returned.push(waiting);
  }
}
