/**
 * What goes over the links: packets out and in, what was lost on the way, and how links end. Each node tells each other
 * one, every RENEW_MS and whenever something is missing, which links there are and how far it has come in each: what
 * lacks is sent again, and a link that the other end doesn't know is no more. Pure.
 */
import { isStale, type Kind, Link, type Packet, type Roll, type Sent } from "./links.ts";
import { engineMs, type Turn } from "./node.ts";
import { DEAD_MS, ENDED_MS, FRESH_MS } from "./times.ts";

/** A node is not asked again for what is missing within so long. */
const ASK_AGAIN_MS = 100;

export function send(turn: Turn, link: Link, kind: Kind, text: string, fence?: string): void {
  if (link.endedAt !== null) return;
  const sent = link.send(kind, text, turn.now, engineMs(turn), fence);
  if (turn.node.phase === "ok") publish(turn, link, sent);
}

function publish({ node, effects }: Turn, link: Link, sent: Sent) {
  const id = node.nextCall++;
  node.counts.packets++;
  node.calls.set(id, (_, reply) => {
    sent.isTaken ||= Number(reply?.[0]) > 0;
  });
  effects.push({ do: "packet", id, link, packet: sent.packet });
}

/** The engine is there again: what could not be handed on is, and others are told what has come. */
export function resume(turn: Turn): void {
  for (const link of turn.node.links.values()) for (const sent of link.untaken(turn.now)) publish(turn, link, sent);
  callRoll(turn);
}

/** @param code of the session that it is about, where that is here */
export function receive(turn: Turn, from: string, packet: Packet, code: string | null): void {
  const { node, now, effects } = turn;
  let link = node.links.get(packet.link);
  if (packet.kind === "open" && !link) {
    if (node.ended.has(packet.link) || node.offsetMs === null || isStale(packet.atMs, engineMs(turn))) return;
    const home = code === null ? undefined : node.homes.get(code);
    if (code === null || home?.fence !== packet.fence) return void effects.push({ do: "nope", to: from, packet });
    link = new Link(packet.link, code, from, true, now);
    node.links.set(link.id, link);
  }
  if (!link || link.other !== from) return;
  const what = link.receive(packet, now, engineMs(turn));
  if (what === "ask") tellRoll(turn, from, ASK_AGAIN_MS);
  else if (what === "deliver") deliver(turn, link, packet);
  else if (what === "cut") {
    node.counts.late++;
    cut(turn, link);
  }
}

function deliver(turn: Turn, link: Link, { kind, text }: Packet) {
  const { node, effects } = turn;
  const isOver = link.endedAt !== null;
  if (kind === "left" || kind === "close" || kind === "cut") drop(turn, link);
  if (isOver) return;
  if (kind === "open") {
    send(turn, link, "taken", "");
    effects.push({ do: "guest", link, kind, text });
  } else if (kind === "taken") {
    const waiting = node.opening.get(link);
    node.opening.delete(link);
    if (waiting) effects.push({ do: "away", ask: waiting.ask, link });
  } else if (kind === "cut") tell(turn, link);
  else effects.push({ do: "deliver", link, kind, text });
}

/** This end gives a link up, and says so to the other. */
export function cut(turn: Turn, link: Link): void {
  const isOver = link.endedAt !== null;
  if (isOver) drop(turn, link);
  else send(turn, link, "cut", "");
  if (!isOver) tell(turn, link);
}

/** The same with every link at once, where nothing can be said any more. */
export function cutAll(turn: Turn): void {
  for (const link of turn.node.links.values()) {
    drop(turn, link);
    if (link.endedAt === null) tell(turn, link);
  }
}

/** The node at the other end has gone. */
export function part(turn: Turn, other: string): void {
  for (const link of turn.node.links.values()) {
    if (link.other !== other) continue;
    drop(turn, link);
    if (link.endedAt === null) tell(turn, link);
  }
}

/** It is forgotten; its id is not, for a while. */
export function drop({ node, now }: Turn, link: Link): void {
  node.links.delete(link.id);
  node.ended.set(link.id, now);
}

/** Nothing comes over this link any more: a join on its way asks anew, and who came or went by it is told. */
function tell({ node, effects }: Turn, link: Link) {
  const waiting = node.opening.get(link);
  node.opening.delete(link);
  node.counts.cut++;
  if (waiting) node.returned.push(waiting);
  else effects.push({ do: "broken", link });
}

export function callRoll(turn: Turn): void {
  for (const other of new Set([...turn.node.links.values()].map(({ other }) => other))) tellRoll(turn, other, 0);
}

function tellRoll(turn: Turn, to: string, atLeastMs: number) {
  const { node, now, effects } = turn;
  if (node.phase !== "ok" || now - (node.toldAt.get(to) ?? Number.NEGATIVE_INFINITY) < atLeastMs) return;
  node.toldAt.set(to, now);
  const links = [...node.links.values()].filter(({ other }) => other === to);
  effects.push({ do: "roll", to, roll: { atMs: engineMs(turn), links: links.map(({ id, got }) => [id, got]) } });
}

/** What another node says of our links. */
export function compare(turn: Turn, from: string, roll: Roll): void {
  const { node, now } = turn;
  if (isStale(roll.atMs, engineMs(turn))) return;
  const ageMs = engineMs(turn) - roll.atMs;
  node.seen.set(from, now);
  const there = new Map(roll.links);
  for (const link of node.links.values()) {
    if (link.other !== from) continue;
    const got = there.get(link.id);
    if (got === undefined) {
      if (link.endedAt === null && now - ageMs - link.at <= 2 * FRESH_MS) continue; // it may be under way
      drop(turn, link);
      if (link.endedAt === null) tell(turn, link);
      continue;
    }
    const missing = link.missing(got, now);
    if (missing === null) cut(turn, link);
    else for (const sent of missing) publish(turn, link, sent);
  }
}

/** Ends the waits whose time is up. */
export function tidy(turn: Turn): void {
  const { node, now } = turn;
  const isGone = !node.isUp && now - node.downAt > FRESH_MS;
  for (const link of node.links.values())
    if (isGone || link.isBroken(now, node.seen.get(link.other) ?? Number.NEGATIVE_INFINITY)) cut(turn, link);
    else if (link.endedAt !== null && now - link.endedAt > 2 * FRESH_MS) drop(turn, link);
  for (const [id, at] of node.ended) if (now - at > ENDED_MS) node.ended.delete(id);
  for (const times of [node.seen, node.toldAt])
    for (const [other, at] of times) if (now - at > 2 * DEAD_MS) times.delete(other);
}
