/**
 * A relay that speaks no more than the fixed wire: it answers with `ready` and passes messages on, byte for byte, and
 * does the harm that it is told to do. It counts what it saw and did; GET /seen tells.
 *   fake-relay-process.ts BEHAVIOUR
 * BEHAVIOUR is JSON; the port that it took is the first line that it prints.
 */
import type { Server, ServerWebSocket } from "bun";
import type { Behaviour, MessageFault, Seen, SessionFault, UpgradeFault } from "./fake-relay.ts";
import { type Direction, harm, passKept } from "./fake-relay-faults.ts";

type Socket = ServerWebSocket<Place>;

/** Where a socket sits, once it has joined. */
interface Place {
  session: Session | null;
  isInitiator: boolean;
}

interface Session {
  readonly code: string;
  readonly seats: Map<boolean, Socket>;
  fault: SessionFault | null;
  isSlow: boolean;
  /** To each seat. */
  readonly directions: Map<boolean, Direction>;
}

/** Does things a set time later, in order and never early. */
class Delay {
  readonly #ms: number;
  readonly #due: { readonly atMs: number; readonly act: () => void }[] = [];

  constructor(ms: number) {
    this.#ms = ms;
  }

  later(act: () => void): void {
    if (this.#ms === 0) act();
    else if (this.#due.push({ atMs: performance.now() + this.#ms, act }) === 1) this.#wait(this.#ms);
  }

  #wait(ms: number): void {
    setTimeout(() => this.#actDue(), Math.ceil(ms));
  }

  #actDue(): void {
    for (let first = this.#due[0]; first; first = this.#due[0]) {
      const leftMs = first.atMs - performance.now();
      if (leftMs > 0) {
        this.#wait(leftMs);
        return;
      }
      this.#due.shift();
      first.act();
    }
  }
}

/** Does one kind of harm after the other, to every n-th of those that it is asked about. */
class Harm<Fault extends UpgradeFault | SessionFault | MessageFault> {
  readonly #faults: readonly Fault[];
  readonly #every: number;
  #asked = 0;

  constructor(faults: readonly Fault[], every: number) {
    this.#faults = faults;
    this.#every = every;
  }

  /** What is done to the next one. */
  next(): Fault | null {
    const nth = ++this.#asked / this.#every;
    const fault = Number.isInteger(nth) ? this.#faults[(nth - 1) % this.#faults.length] : undefined;
    if (fault === undefined) return null;
    return fault;
  }
}

const behaviour = JSON.parse(Bun.argv[2] ?? "") as Behaviour;
const seen: Seen = { upgrades: 0, open: 0, mostOpen: 0, sessions: 0, messages: 0, joinsMs: [], faults: {} };
const sessions = new Map<string, Session>();
const ready = new Delay(behaviour.readyMs);
const slowReady = new Delay(behaviour.slowReadyMs);
const passing = new Delay(behaviour.messageMs);
const upgradeHarm = new Harm<UpgradeFault>(behaviour.upgradeFaults, behaviour.upgradeFaultEvery);
const sessionHarm = new Harm<SessionFault>(behaviour.sessionFaults, behaviour.sessionFaultEvery);

const messageHarm = new Harm<MessageFault>(behaviour.messageFaults, behaviour.messageFaultEvery);
const slowPassing = new Delay(behaviour.slowMessageMs);

/** The second that goes on. */
const second = { startMs: 0, upgrades: 0 };

function planted(fault: UpgradeFault | SessionFault | MessageFault): void {
  seen.faults[fault] = (seen.faults[fault] ?? 0) + 1;
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: answer,
  websocket: { data: {} as Place, open, message, close },
});
process.stdout.write(`${server.port}\n`);

function answer(request: Request, server: Server<Place>): Response | undefined | Promise<Response> {
  if (new URL(request.url).pathname === "/seen") return Response.json(seen);
  seen.upgrades++;
  const nowMs = performance.now();
  if (nowMs >= second.startMs + 1_000) Object.assign(second, { startMs: nowMs, upgrades: 0 });
  if (++second.upgrades > 2 * behaviour.mostSessionsASecond) return new Response("", { status: 429 });
  const fault = upgradeHarm.next();
  if (fault) planted(fault);
  if (fault === "refuse") return new Response("", { status: 503 });
  if (fault === "hang") return new Promise(() => {});
  server.upgrade(request, { data: { session: null, isInitiator: false } });
  return undefined;
}

function open(): void {
  seen.mostOpen = Math.max(seen.mostOpen, ++seen.open);
}

function message(socket: Socket, text: string | Buffer): void {
  const { type, sessionCode, isInitiator } = JSON.parse(String(text));
  if (type === "join") join(socket, sessionCode, isInitiator);
  else pass(socket, type, String(text));
}

function close(socket: Socket): void {
  seen.open--;
  const { session, isInitiator } = socket.data;
  if (session?.seats.get(isInitiator) !== socket) return;
  session.seats.delete(isInitiator);
  if (session.seats.size === 0) sessions.delete(session.code);
}

/** Whoever comes takes the seat, as a peer that was cut off and returns expects it. */
function join(socket: Socket, code: string, isInitiator: boolean): void {
  const session = sessions.get(code) ?? {
    ...{ code, seats: new Map(), fault: null, isSlow: false },
    directions: new Map<boolean, Direction>(),
  };
  sessions.set(code, session);
  session.seats.set(isInitiator, socket);
  socket.data = { session, isInitiator };
  seen.joinsMs.push(performance.now());
  if (session.seats.size === 2) pair(session);
}

function pair(session: Session): void {
  const isSlow = ++seen.sessions % behaviour.slowReadyEvery === 0;
  session.fault = sessionHarm.next();
  if (session.fault) planted(session.fault);
  session.isSlow = seen.sessions % behaviour.slowMessageEvery === 0;
  const initiator = session.seats.get(true);
  if (session.fault === "close") initiator?.close(4500);
  else if (session.fault === "drop") initiator?.terminate();
  else if (session.fault === "complain") {
    initiator?.send('{"type":"error","code":"role-taken","message":"this seat is held"}');
    initiator?.close(4501);
  } else if (session.fault !== "mute")
    (isSlow ? slowReady : ready).later(() => {
      for (const socket of session.seats.values()) socket.send('{"type":"ready"}');
    });
}

function pass(socket: Socket, type: string, text: string): void {
  const { session, isInitiator } = socket.data;
  seen.messages++;
  if (type === behaviour.echoed) socket.send(text);
  if (!session || session.fault === "silence" || (session.fault === "lose" && type === "answer")) return;
  const direction = session.directions.get(isInitiator) ?? directionOf(session, !isInitiator);
  session.directions.set(isInitiator, direction);
  const fault = messageHarm.next();
  if (fault) harm(fault, text, direction, elsewhere(session, isInitiator), planted);
  else direction.pass(text);
  const hasArrived = fault === null || fault === "duplicate";
  if (hasArrived && passKept(direction)) planted("reorder");
}

/** To the peer of `session` that sits on `seat`. */
function directionOf(session: Session, seat: boolean): Direction {
  const delay = session.isSlow ? slowPassing : passing;
  return { pass: (text) => delay.later(() => session.seats.get(seat)?.send(text)), kept: null };
}

/** To a peer of another session than `session`, of the same seat as the sender's. */
function elsewhere(session: Session, seat: boolean): ((text: string) => void) | null {
  for (const other of sessions.values()) {
    const socket = other.seats.get(seat);
    if (other !== session && other.seats.size === 2 && socket) return (text) => passing.later(() => socket.send(text));
  }
  return null;
}
