/**
 * Which node has which session. A session has its home at the node that its first peer came to, and there its seats are
 * held, by the one reducer of the core: so all rules of the wire hold across nodes, since only one node decides. A peer
 * that comes to another node is a guest of that home, by a link between the two. The engine knows of each session only
 * who has it, and hands packets on. A reducer: an event and the time give the effects, in order. It speaks to nobody:
 * the driver carries calls and packets, and tells the core.
 *
 * What belongs together has a file: lease.ts (may this node go on with what it has), joins.ts (where does a join belong),
 * traffic.ts (what nodes say to each other). This one brings them into order.
 */
import { ask, giveBack, refused, refuseLate, seekAgain, withdraw } from "./joins.ts";
import { down, holdsLease, lose, renew, up } from "./lease.ts";
import type { Effect, Event, Node, Turn } from "./node.ts";
import { RENEW_MS } from "./times.ts";
import { callRoll, compare, cut, cutAll, part, receive, resume, send, tidy } from "./traffic.ts";

/**
 * @param now ms of a clock that goes on while this process stands still
 * @returns what is to be done, in this order; the state is up to date before any of it
 */
export function step(node: Node, event: Event, now: number): Effect[] {
  const turn: Turn = { node, now, effects: [] };
  keepSafe(turn);
  const before = node.phase;
  handle(turn, event);
  keepSafe(turn);
  for (const effect of turn.effects)
    if (effect.do === "lose")
      for (const link of node.links.values()) if (link.isHome && link.code === effect.code) cut(turn, link);
  const isOkAgain = before !== "ok" && node.phase === "ok";
  if (isOkAgain) resume(turn);
  seekAgain(turn, isOkAgain);
  return turn.effects;
}

function handle(turn: Turn, event: Event): void {
  const { node } = turn;
  switch (event.type) {
    case "up":
      up(turn);
      break;
    case "down":
      down(turn, event.refusedAt);
      break;
    case "ask":
      ask(turn, event.ask);
      break;
    case "withdraw":
      withdraw(turn, event.ask);
      break;
    case "give back":
      giveBack(turn, event.code);
      break;
    case "packet":
      receive(turn, event.from, event.packet, event.code);
      break;
    case "roll":
      compare(turn, event.from, event.roll);
      break;
    case "bye":
      part(turn, event.from);
      break;
    case "nope":
      refused(turn, event.link);
      break;
    case "send":
      if (node.links.get(event.link.id) === event.link) send(turn, event.link, event.kind, event.text);
      break;
    case "tick":
      tick(turn);
      break;
    case "reply": {
      const then = node.calls.get(event.id);
      node.calls.delete(event.id);
      then?.(turn, event.reply);
    }
  }
}

function tick(turn: Turn): void {
  const { node, now } = turn;
  const isTime = node.isUp && node.helloAt === null && now - node.lastHelloAt >= RENEW_MS;
  renew(turn);
  if (isTime) callRoll(turn);
  refuseLate(turn);
  tidy(turn);
}

/** Whether nobody else can have what this node holds. */
export function isSafe(node: Node, now: number): boolean {
  return (node.homes.size === 0 && node.links.size === 0) || holdsLease(node, now);
}

/** Without a proof in time every session is given up, and every link. */
function keepSafe(turn: Turn): void {
  const { node, now } = turn;
  if (isSafe(node, now)) return;
  cutAll(turn);
  for (const code of [...node.homes.keys()]) lose(turn, code);
  node.phase = "gone";
  node.again = null;
  node.isBehind = false;
  node.lastHelloAt = Number.NEGATIVE_INFINITY;
  node.helloAt = null;
}
