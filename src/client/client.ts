/**
 * The browsers' library: `connect` brings two who share a code together. Owns the session: its links to the relays, its
 * seal, its negotiation, its deadlines. Touches nothing global before it is called.
 */
import { newCode, normaliseCode } from "./code.ts";
import { SignalingError } from "./error.ts";
import { type Link, type Message, openLink } from "./link.ts";
import { type Description, newNegotiation } from "./negotiation.ts";
import { hinted, rank } from "./rank.ts";
import { base64url, newSeal, type Sealed } from "./seal.ts";
import type { Connected, ConnectOptions, Reason, Session, SessionEvents, Signal, State } from "./types.ts";

export type * from "./types.ts";
export { newCode, normaliseCode, SignalingError };

/** How long to be alone: as long as a relay keeps an idle session, in ms. */
const WAIT_MS = 600_000;
/** How long two who have met may take to connect, in ms: two attempts, each with time for a slow TURN server. */
const CONNECT_MS = 30_000;
/** On how many relays of a list a peer sits: one may be gone, and the two still meet. */
const SEATS = 2;
/** A timer can't be set further ahead, in ms. */
const MOST_MS = 2 ** 31 - 1;
/** What a page hears when it may have slept or changed networks. */
const WAKES = ["online", "visibilitychange", "pageshow", "resume"];

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Body = { description?: Description; candidate?: RTCIceCandidateInit | null; data?: unknown };

/**
 * Meets the other peer who calls this with the same code. Returns at once; what comes later is an event.
 * Throws a SignalingError where it can't begin: bad-code, no-webrtc.
 */
export function connect(options: ConnectOptions): Session {
  const { sealed = true, hint = true, waitMs = WAIT_MS, connectMs = CONNECT_MS, signal: abort, role } = options;
  const code = options.code === undefined ? newCode() : sealed ? normaliseCode(options.code) : options.code;
  const PeerConnection = options.RTCPeerConnection ?? globalThis.RTCPeerConnection;
  if (!PeerConnection && options.connection !== false)
    throw new SignalingError("no-webrtc", "There is no RTCPeerConnection here.");

  const me = base64url(crypto.getRandomValues(new Uint8Array(16)));
  const seal = sealed ? newSeal(code, me) : undefined;
  const named = seal ? seal.then(({ sessionCode }) => sessionCode) : Promise.resolve(code);
  const ended = new AbortController();
  let name = code;
  let links: Link[] = [];
  let peer: string | undefined;
  let wasConnected = false;
  let newcomer: (() => void) | undefined;
  let iceServers: RTCIceServer[] = [];
  let expiresInMs = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let inbox: Promise<unknown> = Promise.resolve();
  let outbox: Promise<unknown> = inbox;
  let settle: [resolve: (connected: Connected) => void, reject: (reason: unknown) => void] | undefined;

  const session = Object.assign(new EventTarget(), {
    code,
    link: globalThis.document && new URL(`#${code}`, location.href).href,
    state: "connecting",
    isInitiator: role ? role === "initiator" : options.code === undefined,
    connected: new Promise<Connected>((...both) => {
      settle = both;
    }),
    signal: tell,
    async exportKey(label, bits = 256) {
      if (!seal) throw new SignalingError("not-sealed", "A plain session has no key.");
      return (await seal).exportKey(label, bits);
    },
    restart: () => negotiation?.mend(true),
    close: () => end("closed", new SignalingError("closed", "The session was closed.", true)),
    async [Symbol.asyncDispose]() {
      session.close();
    },
  } satisfies Partial<Session>) as EventTarget as Mutable<Session>;

  const negotiation =
    options.connection === false
      ? undefined
      : newNegotiation({
          RTCPeerConnection: PeerConnection,
          configuration,
          channel: options.channel,
          extension: options.extension,
          send: tell,
          setup(connection, isInitiator) {
            session.connection = connection;
            session.channel = undefined;
            options.setup?.(connection, isInitiator);
          },
          reach() {
            for (const link of links) link.dial();
            return isReady();
          },
          up(connected) {
            wasConnected = true;
            within(Infinity);
            session.channel = connected.channel;
            settle?.[0](connected);
            emit("connected", connected, "connected");
          },
          down() {
            emit("interrupted", null, "interrupted");
            newcomer?.();
            newcomer = undefined;
            if (!isReady()) alone();
          },
        });

  session.connected.catch(() => {}); // whoever doesn't ask is not troubled
  const stop = () => end("closed", abort?.reason);
  if (abort?.aborted) stop();
  else {
    abort?.addEventListener("abort", stop, { signal: ended.signal });
    for (const type of [...WAKES, "pagehide"])
      globalThis.addEventListener?.(type, turned as EventListener, { capture: true, signal: ended.signal });
    within(waitMs);
    start().catch((reason) => end("failed", reason));
  }
  return session;

  /** Finds the relays, which may need the name, and dials. */
  async function start(): Promise<void> {
    let urls = [options.url].flat();
    if (urls.length > 1) urls = (await rank(urls, await named)).slice(0, SEATS);
    if (seal && hint) urls = await Promise.all(urls.map(async (url) => hinted(url, await named)));
    if (ended.signal.aborted) return;
    const identity = named.then((sessionCode) => ({ sessionCode, instance: me, answers: true }));
    const WebSocket = options.WebSocket ?? globalThis.WebSocket;
    links = urls.map((url) =>
      openLink({ url, WebSocket, identity, role, isInitiator: session.isInitiator, isUp, heard, lost }),
    );
    for (const link of links) link.dial();
    name = await named;
  }

  function isUp(): boolean {
    return negotiation?.isUp ?? false;
  }

  function isReady(): boolean {
    return links.some((link) => link.isReady);
  }

  /** Dispatches an event, with the state that it means. */
  function emit<T extends keyof SessionEvents>(type: T, detail: SessionEvents[T]["detail"], state?: State): void {
    if (state) session.state = state;
    session.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Ends it once: leaves, hangs up, lets go of everything. */
  function end(state: "closed" | "failed", reason: unknown): void {
    if (ended.signal.aborted) return;
    ended.abort();
    clearTimeout(timer);
    for (const link of links) link.close(true);
    negotiation?.close();
    session.state = state;
    settle?.[1](reason);
    if (state === "failed") emit("failed", reason as SignalingError);
  }

  /** Nobody is there any more that could be told anything. */
  function alone(): void {
    within(waitMs);
    emit("waiting", { expiresInMs, opposite: false }, "waiting");
  }

  /** Sets the one deadline. */
  function within(ms: number): void {
    clearTimeout(timer);
    if (ms <= MOST_MS) timer = setTimeout(late, ms);
  }

  function late(): void {
    const isTurn = JSON.stringify(configuration()).includes('"turn');
    const [reason, message, retry = true]: [Reason, string, boolean?] = !isReady()
      ? links.some((link) => link.isJoined)
        ? ["no-peer", "Nobody came. Is the code the same, and the other side open?"]
        : ["no-relay", "The relay can't be reached."]
      : session.connection?.remoteDescription
        ? ["no-path", `There is no way to the other side, ${isTurn ? "nor through" : "and no"} TURN.`, isTurn]
        : ["no-answer", "The other side is there, but doesn't answer."];
    end("failed", new SignalingError(reason, message, retry));
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
      if (session.state === "interrupted") negotiation?.mend();
    }
  }

  function lost(inMs: number | undefined, reason: string | undefined): void {
    if (inMs !== undefined) emit("retrying", { inMs, reason });
    const refusal = links.every((link) => link.refusal) && links[0]?.refusal;
    if (refusal && !isUp()) end("failed", new SignalingError(refusal.code ?? "", refusal.message ?? ""));
  }

  function heard(link: Link, message: Message): void {
    const { type, peer: id, opposite } = message;
    if (type === "ready") {
      iceServers = message.iceServers ?? [];
      // A relay that doesn't pass names on is used to: each tells the other its own.
      if (seal && !id) link.send({ type: "ice-candidate", sessionCode: name, candidate: { hello: me } });
    } else if (type === "peer-left") {
      emit(type, null);
      if (!isUp() && !isReady()) alone();
    } else if (type === "joined") {
      expiresInMs = message.expiresInMs ?? 0;
      if (!isUp() && !isReady() && !opposite) emit("waiting", { expiresInMs, opposite }, "waiting");
    }
    // One after the other; and what can't be done must not hold up what comes after it.
    inbox = inbox.then(() => (ended.signal.aborted ? undefined : take(link, message))).catch(() => {});
  }

  /** The peer `id` is there; without an id it can't be told whether it is the one from before. */
  function meet(link: Link, id: string | undefined): void {
    const isSame = id !== undefined && id === peer;
    if (id === me) return;
    // What works is not torn down on a relay's word. When it no longer works, the newcomer's turn comes.
    if (isUp() && !isSame) newcomer = () => meet(link, id);
    else if (isUp()) negotiation?.resume();
    else if (id !== peer || session.state !== "ready" || links.filter((one) => one.isReady).length < 2) {
      peer = id;
      session.isInitiator = id === undefined ? link.isInitiator : me > id;
      within(wasConnected || !negotiation ? Infinity : connectMs);
      emit("ready", { isInitiator: session.isInitiator, samePeer: isSame }, "ready");
      if (isSame) negotiation?.resume();
      else negotiation?.begin(session.isInitiator);
    }
  }

  function tell(signal: Signal): boolean {
    const link = links.find((one) => one.isReady);
    const to = peer;
    if (!link || (seal && to === undefined)) return false;
    const { description, candidate, data } = signal as Body;
    const isSignal = data !== undefined && (!seal || link.isNew);
    const type = description?.type ?? (isSignal ? "signal" : "ice-candidate");
    outbox = outbox
      .then(async () => {
        const payload = seal ? await (await seal).seal(to ?? "", type, signal) : (description ?? candidate ?? data);
        link.send({ type, sessionCode: name, [payloadOf(type)]: payload, pairing: link.pairing });
      })
      .catch(() => {}); // it can't be written as JSON
    return true;
  }

  async function take(link: Link, { type, peer: id, ...message }: Message): Promise<void> {
    if (type === "ready" && (id || !seal)) return meet(link, id ?? undefined);
    const payload = message[payloadOf(type)] as (Sealed & { hello?: string }) | null | undefined;
    if (payload === undefined) return;
    if (seal && payload?.hello) return meet(link, payload.hello);
    const body = seal
      ? ((await (await seal).open(peer ?? "", type, payload as Sealed)) as Body)
      : type === "signal"
        ? { data: payload }
        : type === "ice-candidate"
          ? { candidate: payload as RTCIceCandidateInit | null }
          : { description: { ...payload, type: type as RTCSdpType } };
    if (!negotiation || body.data !== undefined) emit("signal", body as Signal);
    else await negotiation.take(body.description, body.candidate);
  }
}

/** Where a message has its payload. */
function payloadOf(type: string): string {
  return type === "ice-candidate" ? "candidate" : type === "signal" ? "data" : type;
}
