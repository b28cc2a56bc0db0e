/**
 * The browsers' library: `connect` brings two who share a code together. Owns the session: its links to the relays, its
 * seal, its negotiation, its deadlines. Touches nothing global before it is called.
 */
import { newCode, normaliseCode } from "./code.ts";
import { failure } from "./error.ts";
import { type Link, type Message, openLink } from "./link.ts";
import { type Description, newNegotiation } from "./negotiation.ts";
import { rank } from "./rank.ts";
import { base64url, newSeal, type Seal, type Sealed } from "./seal.ts";
import { newQueue, newTimer } from "./tools.ts";
import type {
  Connected,
  ConnectOptions,
  Mutable,
  Reason,
  Session,
  SessionEvents,
  Signal,
  SignalingFailure,
  State,
} from "./types.ts";

export type * from "./types.ts";
export { newCode, normaliseCode };

/** How long to be alone: as long as a relay keeps an idle session, in ms. */
const WAIT_MS = 600_000;
/** How long two who have met may take to connect, in ms: two attempts, each with time for a slow TURN server. */
const CONNECT_MS = 30_000;
/** On how many relays of a list a peer sits: one may be gone, and the two still meet. */
const SEATS = 2;
/** What a page hears when it may have slept or changed networks. */
const TURNS = ["online", "visibilitychange", "pageshow", "resume", "pagehide"];

type Body = { description?: Description; candidate?: RTCIceCandidateInit | null; data?: unknown };

/**
 * Meets the other peer who calls this with the same code. Returns at once; what comes later is an event.
 * Throws a SignalingFailure where it can't begin: bad-code, unsupported.
 */
export function connect(options: ConnectOptions): Session {
  const { sealed = true, hint = true, waitMs = WAIT_MS, connectMs = CONNECT_MS, signal: abort, role } = options;
  const code = options.code === undefined ? newCode() : sealed ? normaliseCode(options.code) : options.code;
  const isOwn = options.connection === false;
  if ((sealed && !crypto.subtle) || !(isOwn || options.RTCPeerConnection || globalThis.RTCPeerConnection))
    throw failure("unsupported");

  const me = base64url(crypto.getRandomValues(new Uint8Array(16)));
  const seal = sealed ? newSeal(code, me) : undefined;
  const named = seal ? seal.then(({ sessionCode }) => sessionCode) : Promise.resolve(code);
  const over = new AbortController();
  const { signal: ended } = over;
  const within = newTimer();
  const inbox = newQueue();
  const outbox = newQueue();
  let name = code;
  let links: Link[] = [];
  let peer: string | undefined;
  let wasConnected = false;
  let nearlyLate = 0;
  let newcomer: (() => void) | undefined;
  let iceServers: RTCIceServer[] = [];
  let expiresInMs = 0;
  let settle: [resolve: (connected: Connected) => void, reject: (reason: unknown) => void] | undefined;

  const session = Object.assign(new EventTarget(), {
    code,
    state: "connecting",
    isInitiator: role ? role === "initiator" : options.code === undefined,
    connected: new Promise<Connected>((...both) => {
      settle = both;
    }),
    signal: tell,
    exportKey: async (label, bits = 256) => (await (seal as Promise<Seal>)).exportKey(label, bits),
    restart: () => negotiation.mend(),
    close: () => end("closed", failure("closed", true)),
    async [Symbol.asyncDispose]() {
      session.close();
    },
  } satisfies Partial<Session>) as EventTarget as Mutable<Session>;

  const negotiation = newNegotiation(session, options, configuration, tell, reach, up, down);

  session.connected.catch(() => {}); // whoever doesn't ask is not troubled
  if (abort?.aborted) stop();
  else {
    abort?.addEventListener("abort", stop, { signal: ended });
    for (const type of TURNS)
      globalThis.addEventListener?.(type, turned as EventListener, { capture: true, signal: ended });
    within(waitMs, late);
    start().catch((reason) => end("failed", reason));
  }
  return session;

  function reach(): boolean {
    for (const link of links) link.dial();
    return links.some(ready);
  }

  function up(connected: Connected): void {
    wasConnected = true;
    within();
    settle?.[0](connected);
    emit("connected", connected, "connected");
  }

  function down(): void {
    emit("interrupted", null, "interrupted");
    newcomer?.();
    newcomer = undefined;
    if (isAlone()) wait();
  }

  function stop(): void {
    end("closed", abort?.reason);
  }

  /** Finds the relays, which may need the name, and dials. */
  async function start(): Promise<void> {
    let urls = [options.url].flat();
    if (urls[1]) urls = rank(urls, await named).slice(0, SEATS);
    if (seal && hint) {
      const digits = (await seal).hint;
      urls = urls.map((url) => `${url}${url.includes("?") ? "&" : "?"}s=${digits}`);
    }
    if (ended.aborted) return;
    const identity = named.then((sessionCode) => ({ sessionCode, instance: me, answers: true }));
    links = urls.map((url) => openLink(url, options, identity, session, heard, lost, refused));
    for (const link of links) link.dial();
    name = await named;
  }

  /** Whether nobody is there that could be told anything, by whatever way. */
  function isAlone(): boolean {
    return session.state !== "connected" && !links.some(ready);
  }

  /** Dispatches an event, with the state that it means. */
  function emit<T extends keyof SessionEvents>(type: T, detail: SessionEvents[T]["detail"], state?: State): void {
    if (state) session.state = state;
    session.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Ends it once: leaves, hangs up, lets go of everything. */
  function end(state: "closed" | "failed", reason: unknown): void {
    if (ended.aborted) return;
    over.abort();
    within();
    for (const link of links) link.close(true);
    negotiation.close();
    session.state = state;
    settle?.[1](reason);
    if (state === "failed") emit(state, reason as SignalingFailure);
  }

  function wait(opposite: boolean | undefined = false): void {
    emit("waiting", { expiresInMs, opposite }, "waiting");
  }

  /** The one deadline has passed. */
  function late(): void {
    const { state, connection } = session;
    const isTurn = JSON.stringify(configuration()).includes('"turn');
    const [reason, retry, message = reason]: [Reason, boolean, string?] =
      state === "connecting"
        ? ["no-relay", true]
        : state !== "ready"
          ? ["no-peer", true]
          : connection?.remoteDescription
            ? ["no-path", isTurn, `no path, ${isTurn ? "nor by" : "and no"} TURN`]
            : ["no-answer", true];
    end("failed", failure(reason, retry, message));
  }

  function configuration(): RTCConfiguration {
    return { ...options.rtc, iceServers: [...(options.rtc?.iceServers ?? []), ...iceServers] };
  }

  /** The page may have slept or changed networks; or it goes, and then it may be kept, but must not hold a seat. */
  function turned({ type, persisted }: PageTransitionEvent): void {
    if (type === "pagehide") {
      if (!persisted) session.close();
      for (const link of links) link.close(false);
    } else if (globalThis.document?.visibilityState !== "hidden") {
      for (const link of links) link.wake();
      if (session.state === "interrupted") negotiation.mend();
    }
  }

  function lost(inMs: number, reason: string): void {
    if (session.state === "waiting") session.state = "connecting";
    emit("retrying", { inMs, reason });
  }

  function refused(reason: string, message: string): void {
    if (session.state !== "connected" && links.every((link) => link.isRefused))
      end("failed", failure(reason, false, message || reason));
  }

  function heard(link: Link, message: Message): void {
    const { type, opposite } = message;
    if (type === "ready") {
      iceServers = message.iceServers ?? [];
      // A relay that doesn't pass names on is used to: each tells the other its own.
      if (seal && !message.peer) link.send({ type: "ice-candidate", sessionCode: name, candidate: { hello: me } });
    }
    if (type === "peer-left") {
      emit(type, null);
      if (isAlone()) {
        // The other has given up a moment before this one would have.
        if (session.state === "ready" && Date.now() > nearlyLate) late();
        else {
          within(waitMs, late);
          wait();
        }
      }
    }
    if (type === "joined") {
      expiresInMs = message.expiresInMs ?? 0;
      if (isAlone() && !opposite) wait(opposite ?? undefined);
    }
    inbox(() => ended.aborted || take(link, message));
  }

  /** The peer `id` is there; without an id it can't be told whether it is the one from before. */
  function meet(link: Link, id: string | undefined): void {
    const isSame = id !== undefined && id === peer;
    const { state } = session;
    if (id === me) return;
    if (state === "connected") {
      // What works is not torn down on a relay's word. When it no longer works, the newcomer's turn comes.
      if (isSame) negotiation.resume();
      else newcomer = () => meet(link, id);
    } else if (id !== peer || state !== "ready" || links.filter(ready).length < 2) {
      peer = id;
      // On the plain wire the seat says it; a sealed pair may sit crosswise on two relays, and goes by its names.
      session.isInitiator = seal && id ? me > id : link.isInitiator;
      const ms = wasConnected || isOwn ? Infinity : connectMs;
      within(ms, late);
      nearlyLate = Date.now() + ms * 0.8;
      emit("ready", { isInitiator: session.isInitiator, samePeer: isSame }, "ready");
      if (!isOwn) negotiation[isSame ? "resume" : "begin"]();
    }
  }

  function tell(signal: Signal): boolean {
    const link = links.find(ready);
    const to = peer;
    if (!link || (seal && !to)) return false;
    const { description, candidate, data } = signal as Body;
    const type = description?.type ?? (data === undefined || seal ? "ice-candidate" : "signal");
    outbox(async () => {
      const payload = seal ? await (await seal).seal(to ?? "", type, signal) : (description ?? candidate ?? data);
      link.send({ type, sessionCode: name, [payloadOf(type)]: payload, pairing: link.pairing });
    });
    return true;
  }

  async function take(link: Link, { type, peer: id, ...message }: Message): Promise<void> {
    if (type === "ready" && (id || !seal)) meet(link, id ?? undefined);
    const member = payloadOf(type);
    const payload = message[member] as (Sealed & { hello?: string }) | null | undefined;
    if (payload === undefined) return;
    if (seal && payload?.hello) return meet(link, payload.hello);
    const { description, candidate, data } = seal
      ? ((await (await seal).open(peer ?? "", type, payload as Sealed)) as Body)
      : ((member === type ? { description: { ...payload, type } } : { [member]: payload }) as Body);
    if (isOwn || data !== undefined) emit("signal", { description, candidate, data } as Signal);
    else await negotiation.take(description, candidate);
  }
}

const ready = ({ isReady }: Link) => isReady;

/** Where a message has its payload. */
function payloadOf(type: string): string {
  return type === "ice-candidate" ? "candidate" : type === "signal" ? "data" : type;
}
