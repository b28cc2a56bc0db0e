/** WebSocket and RTCPeerConnection in a test's hand: they do nothing by themselves, and remember what was asked of them. */
import { type ConnectOptions, connect, type Session } from "../../src/client/client.ts";
import { atOnce } from "./hand-timers.ts";

/** A socket whose other end is the test. */
export class HandSocket {
  static readonly all: HandSocket[] = [];
  static get last(): HandSocket {
    const last = HandSocket.all.at(-1);
    if (!last) throw new Error("nothing was dialled");
    return last;
  }
  readyState = 0;
  /** Whether it answers pings, which are not kept. */
  isAlive = true;
  readonly sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;

  constructor() {
    HandSocket.all.push(this);
  }
  async open(): Promise<this> {
    this.readyState = 1;
    this.onopen?.();
    await atOnce();
    return this;
  }
  send(text: string): void {
    const message = JSON.parse(text);
    if (message.type !== "ping") this.sent.push(message);
    else if (this.isAlive) queueMicrotask(() => this.onmessage?.({ data: '{"type":"pong"}' }));
  }
  async say(...messages: object[]): Promise<void> {
    for (const message of messages) this.onmessage?.({ data: JSON.stringify(message) });
    await atOnce();
  }
  async end(code: number, reason = ""): Promise<void> {
    this.readyState = 3;
    this.onclose?.({ code, reason });
    await atOnce();
  }
  close(): void {
    this.readyState = 3;
  }
}

/** A connection that is as the test says, and remembers what was asked of it. */
export class HandConnection extends EventTarget {
  static readonly all: HandConnection[] = [];
  connectionState = "new";
  signalingState = "stable";
  localDescription: object | null = null;
  remoteDescription: object | null = null;
  readonly asked: string[] = [];
  readonly channel = Object.assign(new EventTarget(), { readyState: "connecting" });

  constructor() {
    super();
    HandConnection.all.push(this);
  }
  createDataChannel() {
    queueMicrotask(() => this.dispatchEvent(new Event("negotiationneeded")));
    return this.channel;
  }
  async setLocalDescription() {
    this.localDescription = { type: "offer", sdp: "a=fingerprint:sha-256 AA" };
    this.signalingState = "have-local-offer";
  }
  async setRemoteDescription(description: object) {
    this.remoteDescription = description;
    this.signalingState = "stable";
  }
  async addIceCandidate({ candidate }: RTCIceCandidateInit) {
    if (typeof candidate !== "string") throw new TypeError("no candidate");
  }
  setConfiguration() {
    this.asked.push("setConfiguration");
  }
  restartIce() {
    this.asked.push("restartIce");
    if (this.signalingState === "stable") queueMicrotask(() => this.dispatchEvent(new Event("negotiationneeded")));
  }
  close() {
    this.connectionState = "closed";
  }
  async become(state: string): Promise<void> {
    this.connectionState = state;
    if (state === "connected" && this.channel.readyState !== "open") {
      this.channel.readyState = "open";
      this.channel.dispatchEvent(new Event("open"));
    }
    this.dispatchEvent(new Event("connectionstatechange"));
    await atOnce();
  }
}

/** As browsers are: it takes no servers that are none. */
export class PickyConnection extends HandConnection {
  constructor(configuration: RTCConfiguration | undefined) {
    check(configuration);
    super();
  }
  override setConfiguration(configuration?: RTCConfiguration) {
    check(configuration);
    super.setConfiguration();
  }
}

function check(configuration: RTCConfiguration | undefined): void {
  for (const { urls } of configuration?.iceServers ?? [])
    if (!/^stun:/.test(String(urls))) throw new SyntaxError("no server");
}

export const JOINED = { type: "joined", token: "t", expiresInMs: 600_000 };
export const READY = { type: "ready", pairing: 1, peer: "bob" };
const CODE = "A3F7B9E2C1D4";
export const ANSWER = {
  type: "answer",
  sessionCode: CODE,
  answer: { type: "answer", sdp: "a=fingerprint:sha-256 BB" },
};

export interface HandSession {
  readonly session: Session;
  /** The names of its events, in order. */
  readonly log: string[];
}

/** A session over these, on the plain wire. What was made before is forgotten. */
export function beginByHand(options: Partial<ConnectOptions> = {}): HandSession {
  HandSocket.all.length = HandConnection.all.length = 0;
  const session = connect({
    url: "ws://relay",
    code: CODE,
    sealed: false,
    RTCPeerConnection: HandConnection as never,
    WebSocket: HandSocket as never,
    ...options,
  });
  const log: string[] = [];
  for (const type of ["waiting", "ready", "connected", "interrupted", "peer-left", "retrying", "failed"] as const)
    session.addEventListener(type, () => log.push(type));
  return { session, log };
}

/** An initiator that is connected. */
export async function connectedByHand(
  options: Partial<ConnectOptions> = {},
): Promise<HandSession & { pc: HandConnection }> {
  const begun = beginByHand({ role: "initiator", ...options });
  await atOnce();
  const socket = await HandSocket.last.open();
  await socket.say(JOINED, READY);
  await socket.say(ANSWER);
  const [pc] = HandConnection.all;
  if (!pc) throw new Error("there is no connection");
  await pc.become("connected");
  if (begun.session.state !== "connected") throw new Error(`it is ${begun.session.state}`);
  return { ...begun, pc };
}
