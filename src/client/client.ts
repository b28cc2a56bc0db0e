/**
 * The browsers' library: `connect` brings two who share a code together. Owns the session: its links to the relays, its
 * seal, its negotiation, its deadlines. Touches nothing global before it is called.
 */

import { mayRetry, pause } from "./backoff.ts";
import { newCode, normaliseCode } from "./code.ts";
import { failure } from "./error.ts";
import { JOIN_MS, type Link, type Message, PARTED_MS, PONG_MS, REDIAL_MS } from "./link.ts";
import { newNegotiation, type Said } from "./negotiation.ts";
import { rank, SEATS } from "./rank.ts";
import { newSeal, type Seal, type Sealed } from "./seal.ts";
import { newQueue, newTimer } from "./tools.ts";
import type { Connected, ConnectOptions, Mutable, Session, SessionEvents, Signal, State } from "./types.ts";

export type * from "./types.ts";
export { newCode, normaliseCode };

/** What a page hears when it may have slept or changed networks. */
const TURNS = "online visibilitychange pageshow resume pagehide";

type Body = Said & { data?: unknown };

/**
 * Meets the other peer who calls this with the same code. Returns at once; what comes later is an event.
 * Throws a SignalingFailure where it can't begin: bad-code, unsupported.
 */
export function connect(options: ConnectOptions): Session {
  const {
    sealed = true,
    hint = true,
    connection: hasConnection = true,
    // How long to be alone: as long as a relay keeps an idle session, in ms.
    waitMs = 600_000,
    // How long two who have met may take to connect, in ms: two attempts, each with time for a slow TURN server.
    connectMs = 30_000,
    signal: abort,
    role,
    rtc,
    WebSocket = globalThis.WebSocket,
    RTCPeerConnection = globalThis.RTCPeerConnection,
  } = options;
  const code = !options.code ? newCode() : sealed ? normaliseCode(options.code) : options.code;
  if ((sealed && !crypto.subtle) || (hasConnection && !RTCPeerConnection)) throw failure("unsupported");

  const me = newCode();
  const seal = sealed ? newSeal(code, me) : undefined;
  const named = seal ? seal.then(({ _name }) => _name) : code;
  const over = new AbortController();
  const { signal: ended } = over;
  const within = newTimer();
  const inbox = newQueue(ended);
  const outbox = newQueue(ended);
  let links: Link[] = [];
  let peer: string | null | undefined;
  /** Whether two who have met may take as long as they like: it is not their first connection, or none of ours. */
  let isPatient = !hasConnection;
  let nearlyLate: number;
  /** When it will have been alone for long enough. */
  let tiredAt = Date.now() + waitMs;
  let newcomer: (() => void) | undefined;
  let iceServers: RTCIceServer[] = [];
  let expiresInMs: number;
  let settle = [] as unknown as Parameters<ConstructorParameters<typeof Promise<Connected>>[0]>;

  const session = Object.assign(new EventTarget(), {
    code,
    state: "connecting",
    isInitiator: role ? role === "initiator" : !options.code,
    connected: new Promise<Connected>((...both) => {
      settle = both;
    }),
    signal: tell,
    exportKey: async (label, bits = 256) => (await (seal as Promise<Seal>))._export(label, bits),
    close,
    [Symbol.asyncDispose]: close,
  } satisfies Partial<Session>) as EventTarget as Mutable<Session>;

  const negotiation = newNegotiation(session, options, RTCPeerConnection, configuration, inbox, tell, reach, up, down);

  const stop = () => end(abort?.reason);
  session.connected.catch(() => {}); // whoever doesn't ask is not troubled
  abort?.addEventListener("abort", stop, { signal: ended });
  for (const type of TURNS.split(" "))
    globalThis.addEventListener?.(type, turned as EventListener, { capture: true, signal: ended });
  within(waitMs, late);
  if (abort?.aborted) stop();
  start().catch(() => fail("unsupported"));
  return session;

  async function close(): Promise<void> {
    end(failure("closed", true));
  }

  /** Finds the relays, which may need the name, and dials. */
  async function start(): Promise<void> {
    let urls = [...new Set([options.url].flat())]; // twice on one relay, it would take both seats
    if (urls[1]) urls = rank(urls, await named).slice(0, SEATS);
    if (seal && hint) {
      const digits = (await named).slice(0, 3);
      urls = urls.map((url) => url + (/\?/.test(url) ? "&s=" : "?s=") + digits);
    }
    if (ended.aborted) return;
    links = urls.map(openLink);
    reach();
    await named;
  }

  /** One relay: its socket, the seat on it, and how both are come by again. */
  function openLink(url: string): Link {
    let socket: WebSocket | undefined;
    let token: string | undefined;
    let tries = 0;
    let flips = 0;
    let notBefore: number;
    let told: Partial<Message> | undefined;
    const later = newTimer();

    const link: Link = {
      _isInitiator: session.isInitiator,
      _send(message) {
        return socket?.readyState === 1 && !(socket.send(JSON.stringify(message)) as unknown);
      },
      _wake() {
        if (!socket) Date.now() < notBefore ? later(notBefore - Date.now(), dial) : dial();
        if (link._send({ type: "ping" })) later(PONG_MS, dial);
      },
      _close: drop,
    };
    return link;

    /** Nothing that the socket still says is heard. */
    function drop(): void {
      later();
      link._isReady = false;
      socket?.close();
      socket = undefined;
    }

    function dial(): void {
      drop();
      link._isRefused = false;
      const mine = new WebSocket(url);
      socket = mine;
      mine.onopen = () =>
        outbox(async () => {
          await named;
          if (mine === socket)
            link._send({
              type: "join",
              sessionCode: await named,
              isInitiator: link._isInitiator,
              token,
              answers: true,
              instance: me,
            });
        });
      mine.onmessage = ({ data }) => mine === socket && take(data);
      mine.onclose = ({ code, reason }) => mine === socket && finish(code, reason);
      later(JOIN_MS, finish);
    }

    function take(text: string): void {
      try {
        const message: Message = Object(JSON.parse(text));
        redial();
        const { type } = message;
        if (type === "joined") {
          token = message.token;
          flips = 0;
          expiresInMs = message.expiresInMs as number;
          if (isAlone() && !message.opposite) wait(message.opposite);
        } else if (type === "ready") {
          tries = 0;
          link._isReady = true;
          link._pairing = message.pairing;
          iceServers = message.iceServers ?? [];
          if (message.peer || !seal) inbox(() => meet(link, message.peer));
          // A relay that doesn't pass names on is used to: each tells the other its own.
          else post(link, "ice-candidate", "candidate", { hello: me });
        } else if (type === "peer-left") {
          later(PARTED_MS, dial);
          link._isReady = false;
          left();
        } else if (type === "probe") link._send({ type: "pong" });
        // What can't be shown as text would throw later, outside of this.
        else if (type === "error" && `${message.message}${message.retryAfterMs}`) told = message;
        else if (message["sessionCode"]) inbox(() => heard(link, message));
      } catch {} // not a relay's message, and nothing that it holds is repeated
    }

    /** It has said something: it is there, and will be asked again when it has been silent for long. */
    function redial(): void {
      later(tries ? PARTED_MS : REDIAL_MS + Math.random() * (REDIAL_MS / 2), () => {
        tries = 0;
        if (isAlone()) dial();
        else redial();
      });
    }

    function finish(code = 0, reason?: string): void {
      drop();
      const { retry, retryAfterMs, message } = (told?.code === reason && told) || ({} as Partial<Message>);
      // The seat is held. In the other one a ghost of this very client may sit.
      const isHeld = !role && (code === 4501 || (code === 4500 && !flips++));
      if (isHeld) {
        link._isInitiator = !link._isInitiator;
        token = undefined;
      }
      if (isHeld || mayRetry(code, retry)) {
        if (session.state === "connected" && code === 4502) return; // joined again when a restart of ICE needs it
        const inMs = pause(tries++, retryAfterMs as number, isHeld && tries < 2 ? 0 : Math.random());
        notBefore = Date.now() + (retryAfterMs as number); // no number where it said none
        later(inMs, dial);
        if (session.state === "waiting") session.state = "connecting";
        emit("retrying", { inMs, reason });
      } else {
        link._isRefused = true;
        if (isAlone() && links.every(({ _isRefused }) => _isRefused))
          fail(code === 1009 ? "too-large" : reason || `${code}`, false, message);
      }
    }
  }

  /** The links whose other seat is held. */
  function open(): Link[] {
    return links.filter(({ _isReady }) => _isReady);
  }

  /** Whether the other peer can be told anything now. Where a socket only looks so, it will soon be known. */
  function reach(): unknown {
    for (const link of links) link._wake();
    return open()[0];
  }

  /** Whether nobody is there that could be told anything, by whatever way. */
  function isAlone(): boolean {
    return !ended.aborted && session.state !== "connected" && !open()[0];
  }

  function emit<T extends keyof SessionEvents>(type: T, detail?: SessionEvents[T]["detail"]): void {
    session.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Dispatches an event that is a state, too. */
  function enter<T extends keyof SessionEvents & State>(state: T, detail?: SessionEvents[T]["detail"]): void {
    session.state = state;
    emit(state, detail);
  }

  /** Ends it once: leaves, hangs up, lets go of everything. */
  function end(reason: unknown): void {
    over.abort();
    within();
    for (const link of links) link._close();
    negotiation._close();
    session.state = "closed";
    settle[1](reason);
  }

  function fail(...why: Parameters<typeof failure>): void {
    if (ended.aborted) return;
    const reason = failure(...why);
    end(reason);
    enter("failed", reason);
  }

  function up(connected: Connected): void {
    isPatient = true;
    within();
    settle[0](connected);
    enter("connected", connected);
  }

  function down(): void {
    enter("interrupted");
    newcomer?.();
    newcomer = undefined;
    if (isAlone()) lonely();
  }

  /** The other was there, and is not. */
  function lonely(): void {
    if (isPatient) tiredAt = Date.now() + waitMs;
    within(tiredAt - Date.now(), late);
    wait(false);
  }

  function wait(opposite: boolean | undefined): void {
    enter("waiting", { expiresInMs, opposite });
  }

  /** The one deadline has passed. */
  function late(): void {
    const { state, connection } = session;
    const hasTurn = /"turn/.test(JSON.stringify(configuration()));
    if (state === "ready" && connection?.remoteDescription)
      fail("no-path", hasTurn, hasTurn ? "no-path, TURN tried" : undefined);
    else fail(state === "connecting" ? "no-relay" : state === "ready" ? "no-answer" : "no-peer", true);
  }

  function configuration(): RTCConfiguration {
    return { ...rtc, iceServers: [rtc?.iceServers ?? [], iceServers].flat() };
  }

  /** The page may have slept or changed networks; or it goes, and then it may be kept, but must not hold a seat. */
  function turned({ type, persisted }: PageTransitionEvent): void {
    const isOnline = type === "online";
    const isGoing = type === "pagehide";
    // What was open over another network is dead, though nobody says so.
    if (isGoing || isOnline) for (const link of links) link._close();
    if (!isGoing) {
      reach();
      if (session.state === "interrupted" || (isOnline && session.connection)) session.restart();
    } else if (!persisted) close();
  }

  function left(): void {
    emit("peer-left");
    if (!isAlone()) return;
    // The other has given up a moment before this one would have.
    if (session.state === "ready" && !isPatient && Date.now() > nearlyLate) late();
    else lonely();
  }

  async function heard(link: Link, { type, offer, answer, candidate, data }: Message): Promise<void> {
    const description = offer ?? answer;
    let said = (description ? { description } : data === undefined ? { candidate } : { data }) as Body;
    if (seal) {
      const hello = (candidate as { hello?: string } | undefined)?.hello;
      if (hello) return meet(link, hello);
      said = (await (await seal)._open(peer as string, type, (description ?? candidate) as Sealed)) as Body;
    }
    if (ended.aborted) return;
    if (!hasConnection || said.data !== undefined) emit("signal", said as Signal);
    else await negotiation._take(said);
  }

  /** The peer `id` is there; without an id it can't be told whether it is the one from before. */
  function meet(link: Link, id: string | null | undefined): void {
    // A name is text, and one name: else a relay could make up one by which the two directions have the same key.
    id &&= `${id}`;
    const isSame = !!id && id === peer;
    const isNew = session.state !== "ready" || id !== peer;
    if (!link._isReady || id === me || />/.test(id as string)) return;
    if (session.state === "connected") {
      // What works is not torn down on a relay's word. When it no longer works, the newcomer's turn comes.
      if (isSame) negotiation._resume();
      else newcomer = () => meet(link, id);
    } else if (isNew || !open()[1]) {
      if (isPatient) within();
      // Not by the same `ready` said again, nor by any once it is tired: a relay could put it off for ever.
      else if (isNew && Date.now() < tiredAt) {
        within(connectMs, late);
        nearlyLate = Date.now() + connectMs * 0.8;
      }
      peer = id;
      // On the plain wire the seat says it; a sealed pair may sit crosswise on two relays, and goes by its names.
      session.isInitiator = seal && id ? me > id : link._isInitiator;
      enter("ready", { isInitiator: session.isInitiator, samePeer: isSame });
      if (hasConnection && !ended.aborted) (isSame ? negotiation._resume : negotiation._begin)();
    }
  }

  async function post(link: Link, type: string, member: string, payload: unknown): Promise<void> {
    link._send({ type, sessionCode: await named, [member]: payload, pairing: link._pairing });
  }

  function tell(signal: Signal): boolean {
    const [link] = open();
    const to = peer;
    if (!link || (seal && !to)) return false;
    const { description, data } = signal as Body;
    const [type, member = type]: [string, string?] = description
      ? [description.type]
      : seal || data === undefined
        ? ["ice-candidate", "candidate"]
        : ["signal", "data"];
    outbox(async () =>
      post(
        link,
        type,
        member,
        seal ? await (await seal)._seal(to as string, type, signal) : (description ?? signal[member as never]),
      ),
    );
    return true;
  }
}
