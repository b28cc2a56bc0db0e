/**
 * A node's lease, and what keeps it. The rule on which all rests: a node holds its sessions until SAFE_MS after its last
 * proof that nobody else could have claimed them. A proof is the moment at which it asked for a lease that was then
 * granted; or at which it tried to reach the engine and was told that none is there, since one that comes back after
 * that lets nobody claim for LEASE_MS. Silence proves nothing. Without a proof in time the node gives up every session,
 * before it does anything else. Pure.
 *
 *   event                        what comes of it
 *   up, and every RENEW_MS       hello
 *   down, refused                a proof, where there is one to follow on
 *   hello: ok                    a proof
 *   hello: ok, another epoch     first every session is claimed again, and only then it is a proof
 *   hello: lapsed                no proof any more
 *   hello: odd                   hello again, and sure that the engine's clock was not set; or for an epoch of a higher number
 *   every KEEP_MS                keep: of what another node has, the session is lost
 */
import { call, type Node, type Turn } from "./node.ts";
import type { Claim } from "./script.ts";
import { FRESH_MS, KEEP_MS, RENEW_MS, SAFE_MS } from "./times.ts";

/** So many claims are renewed in one call; the engine does nothing else meanwhile, for some ms. */
const BATCH = 200;
/** An answer that took longer tells too little of the engine's clock. */
const EXACT_MS = FRESH_MS / 4;
/** So much two clocks may part between two hellos, being slewed. */
const SLEWED_MS = 200;

/** Whether a proof still holds. */
export function holdsLease(node: Node, now: number): boolean {
  return now < node.provenAt + SAFE_MS;
}

export function up(turn: Turn): void {
  turn.node.isUp = true;
  hello(turn);
}

export function down(turn: Turn, refusedAt: number | null): void {
  const { node, now } = turn;
  if (node.isUp) node.downAt = now;
  node.isUp = false;
  node.helloAt = null;
  node.again = null;
  node.phase = "gone";
  if (refusedAt !== null && holdsLease(node, now)) node.provenAt = Math.max(node.provenAt, refusedAt);
  const unanswered = [...node.calls.values()];
  node.calls.clear();
  for (const then of unanswered) then(turn, null);
}

/** Renews the lease when it is time to. */
export function renew(turn: Turn): void {
  const { node, now } = turn;
  if (node.isUp && node.helloAt === null && now - node.lastHelloAt >= RENEW_MS) hello(turn);
  if (node.phase !== "ok") return;
  const due: string[] = [];
  for (const [code, { keptAt }] of node.homes) {
    if (now - keptAt < KEEP_MS) break; // those behind it were kept later
    due.push(code);
  }
  for (const batch of batches(due)) keep(turn, batch);
}

function hello(turn: Turn) {
  const { node, now } = turn;
  const isFirst = !holdsLease(node, now);
  if (isFirst) {
    node.incarnation++;
    node.phase = "waiting";
  }
  const { incarnation } = node;
  node.helloAt = node.lastHelloAt = now;
  call(turn, { op: "hello", epoch: node.epoch, isFirst, sureMs: node.sureMs }, (later, reply) => {
    if (node.incarnation !== incarnation) return;
    node.helloAt = null;
    greeted(later, now, reply ?? []);
  });
}

function greeted(turn: Turn, askedAt: number, [what, engineNow, epoch = ""]: readonly (string | number)[]) {
  const { node, now } = turn;
  node.isDenied = what === "error";
  if (what === "lapsed") {
    node.provenAt = node.lastHelloAt = Number.NEGATIVE_INFINITY;
    node.phase = "waiting";
  }
  if (what === "layout") node.phase = "misfit";
  if (what !== "ok" && what !== "odd") return;
  const wasSet = learnTime(turn, askedAt, Number(engineNow));
  node.sureMs = what === "odd" && !wasSet ? Number(engineNow) : 0;
  if (what === "odd") return helloAnew(node, wasSet ? `${epoch}` : null);
  node.rttMs = now - askedAt;
  if (`${epoch}` !== node.epoch) {
    node.again = null; // what is under way counts for the epoch before
    node.isBehind = node.homes.size > 0;
    node.epoch = `${epoch}`;
  }
  if (!node.isBehind) proven(node, askedAt);
  else if (node.again === null) claimAgain(turn);
}

/** Takes the engine's time. @returns whether its clock was set since it last said it */
function learnTime({ node, now }: Turn, askedAt: number, engineNow: number): boolean {
  const inexactMs = (now - askedAt) / 2;
  const offsetMs = engineNow - now + inexactMs;
  const known = node.offsetMs;
  const wasSet = known !== null && Math.abs(offsetMs - known) > inexactMs + node.inexactMs + SLEWED_MS;
  if (wasSet || known === null || 2 * inexactMs < EXACT_MS) [node.offsetMs, node.inexactMs] = [offsetMs, inexactMs];
  return wasSet;
}

/** @param ended the epoch after which one has to begin: any of a higher number began after the engine's clock was set */
function helloAnew(node: Node, ended: string | null): void {
  node.lastHelloAt = Number.NEGATIVE_INFINITY;
  if (ended === null) return;
  node.epoch = `${Number.parseInt(ended, 10) + 1}`;
  node.phase = "waiting";
  node.again = null;
}

function proven(node: Node, at: number) {
  node.provenAt = Math.max(node.provenAt, at);
  node.isBehind = false;
  node.again = null;
  node.phase = "ok";
}

function claimAgain(turn: Turn) {
  const { node, now } = turn;
  node.phase = "waiting";
  const all = batches([...node.homes.keys()]);
  const again = { left: all.length, at: now };
  node.again = again;
  if (all.length === 0) return proven(node, now);
  for (const batch of all)
    keep(turn, batch, () => {
      if (node.again === again && --again.left === 0) proven(node, again.at);
    });
}

function batches(codes: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(codes.length / BATCH) }, (_, i) => codes.slice(i * BATCH, (i + 1) * BATCH));
}

function keep(turn: Turn, codes: readonly string[], then: () => void = () => {}) {
  const { node, now } = turn;
  const claims: Claim[] = [];
  for (const code of codes) {
    const home = node.homes.get(code);
    if (!home) continue;
    home.keptAt = now;
    node.homes.delete(code);
    node.homes.set(code, home);
    claims.push({ code, fence: home.fence });
  }
  call(turn, { op: "keep", epoch: node.epoch, claims }, (later, reply) => {
    if (reply?.[0] !== "kept") {
      node.again = null;
      node.isBehind = true; // it may not know all that is here: with the next hello everything is claimed again
      return;
    }
    for (const index of reply.slice(1)) {
      const lost = claims[Number(index)];
      if (lost && node.homes.get(lost.code)?.fence === lost.fence) lose(later, lost.code);
    }
    then();
  });
}

/** Another node may have the session. */
export function lose({ node, effects }: Turn, code: string): void {
  node.homes.delete(code);
  node.counts.lost++;
  effects.push({ do: "lose", code });
}
