/**
 * Peers of which everything is marked: addresses, heads, codes, payloads. Owns what such a peer says, and the list of
 * what the relay must hand back or on of it: exactly so, and exactly once.
 */
import type { Markers } from "../marks/markers.ts";
import type { Recorder } from "../relays/recorder.ts";
import { frame, OP, RawClient } from "./raw.ts";

/** A relay with recorders before its listeners, and what has been given away to it. */
export interface Stage {
  readonly markers: Markers;
  /** The public port, for peers whose addresses are free of limits, and for those behind a trusted proxy. */
  readonly exempt: Recorder;
  readonly counted: Recorder;
  /** The listener for the operator. */
  readonly operator: Recorder;
  /** The only origin that is let in; null where any is. */
  readonly origin: string | null;
  /** What has to be in what the relay says once: a message passed on, or what RFC 6455 has it echo to its sender. */
  readonly owed: string[];
}

type Headers = Readonly<Record<string, string>>;

/** The head of a request in which everything is marked but what `headers` say. */
export function markedHead({ markers }: Stage, start: string, headers: Headers = {}): string {
  const mark = (what: string) => markers.make(`the ${what} of a request`);
  const all = {
    Host: `${mark("host")}.example`,
    "User-Agent": mark("browser"),
    Origin: `https://${mark("origin")}.example`,
    Referer: `https://example.org/${mark("page")}`,
    Cookie: `id=${mark("cookie")}`,
    Authorization: `Bearer ${mark("password")}`,
    "X-Real-IP": markers.makeAddress("the X-Real-IP of a request", 4),
    Forwarded: `for="[${markers.makeAddress("the Forwarded of a request", 6)}]"`,
    [`X-${mark("name of a header")}`]: mark("header"),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${start} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** A path and a query. */
export function markedPath({ markers }: Stage): string {
  return `/${markers.make("a path")}?${markers.make("a query")}=${markers.make("a value in a query")}`;
}

/** The head of an upgrade, marked like any other; where it is taken, the relay owes its first subprotocol. */
export function markedUpgrade(stage: Stage, headers: Headers = {}): { head: string; subprotocol: string } {
  const { markers, origin } = stage;
  const subprotocol = markers.make("a subprotocol");
  const key = crypto.getRandomValues(new Uint8Array(16)).toBase64();
  markers.add("a WebSocket key", key);
  const head = markedHead(stage, `GET ${markedPath(stage)}`, {
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Protocol": `${subprotocol}, ${markers.make("a second subprotocol")}`,
    "Sec-WebSocket-Extensions": markers.make("an extension"),
    ...(origin !== null && { Origin: origin }),
    ...headers,
  });
  return { head, subprotocol };
}

/** What a trusted proxy says: whom the client names, and the client. */
export function forwarded({ markers }: Stage, version: 4 | 6): Headers {
  const [named, client] = [markers.makeAddress("a named address", 4), markers.makeAddress("an address", version)];
  return { "X-Forwarded-For": `${named}, ${client}` };
}

/** Asks for an upgrade. Returns the connection and the status of the answer. */
export async function knock(
  stage: Stage,
  recorder: Recorder,
  headers: Headers = {},
): Promise<{ peer: RawClient; status: number }> {
  const { head, subprotocol } = markedUpgrade(stage, headers);
  const peer = await RawClient.dial(recorder.port);
  peer.write(head);
  const status = Number((await peer.head()).split(" ")[1]);
  if (status === 101) stage.owed.push(`Sec-WebSocket-Protocol: ${subprotocol}`);
  return { peer, status };
}

/** An upgraded connection; by way of the proxy where it is counted. */
export async function enter(stage: Stage, recorder: Recorder = stage.exempt): Promise<RawClient> {
  const { peer, status } = await knock(stage, recorder, recorder === stage.counted ? forwarded(stage, 6) : {});
  if (status !== 101) throw new Error(`no upgrade: ${status}`);
  return peer;
}

export interface Seated {
  readonly peer: RawClient;
  readonly token: string;
}

/** A peer that has joined, with the token it was given. */
export async function enterAndJoin(stage: Stage, code: string, isInitiator: boolean, token?: string): Promise<Seated> {
  const peer = await enter(stage);
  peer.say({ type: "join", sessionCode: code, isInitiator, token });
  return { peer, token: (await expectText(peer, "joined"))["token"] as string };
}

/** The next text, which must be a message of this type, or an error of this name. */
export async function expectText(peer: RawClient, what: string): Promise<Record<string, unknown>> {
  const text = await peer.text();
  const message: Record<string, unknown> = text.startsWith("{") ? JSON.parse(text) : {};
  if (message["type"] !== what && message["code"] !== what) throw new Error(`expected ${what}, got ${text}`);
  return message;
}

export interface MarkedPair {
  readonly code: string;
  readonly alice: Seated;
  readonly bob: Seated;
}

/** Alice, the initiator, and Bob, both told that they are ready. */
export async function markedPair(stage: Stage): Promise<MarkedPair> {
  const code = stage.markers.make("a session code");
  const alice = await enterAndJoin(stage, code, true);
  const bob = await enterAndJoin(stage, code, false);
  for (const { peer } of [alice, bob]) await expectText(peer, "ready");
  return { code, alice, bob };
}

/** A description or a candidate, with marks in all its fields and in some that nobody knows. */
export function markedMessage({ markers }: Stage, type: "offer" | "answer" | "ice-candidate", code: string): object {
  const mark = (what: string) => markers.make(`the ${what} in a message`);
  const address = markers.makeAddress("the address in a message", type === "offer" ? 4 : 6);
  const unknown = { [mark("unknown name")]: [mark("unknown value")] };
  const sdp = `v=0\r\no=- ${mark("origin")} 2 IN IP4 ${address}\r\na=fingerprint:sha-256 ${mark("fingerprint")}\r\n`;
  const line = `candidate:1 1 udp 1 ${address} 9 typ host ufrag ${mark("fragment")}`;
  const candidate = { candidate: line, sdpMid: mark("mid"), ...unknown };
  return type === "ice-candidate"
    ? { type, sessionCode: code, candidate, ...unknown }
    : { type, sessionCode: code, [type]: { type, sdp, ...unknown }, ...unknown };
}

/** Sends a message that reaches the peer opposite byte for byte, and is owed from then on. */
export async function passOn(stage: Stage, from: RawClient, to: RawClient, message: object): Promise<void> {
  const text = JSON.stringify(message);
  stage.owed.push(text);
  from.say(message);
  const received = await to.text();
  if (received !== text) throw new Error(`not passed on: ${received}`);
}

/** A close frame with a marked reason, which comes back. */
export function markedClose({ markers, owed }: Stage): Buffer {
  const reason = markers.make("the reason of a close");
  owed.push(reason);
  return frame(OP.close, Buffer.concat([Buffer.from([0x0f, 0xa0]), Buffer.from(reason)])); // 4000
}

/** A ping with a marked payload, which comes back. */
export function markedPing({ markers, owed }: Stage): Buffer {
  const payload = markers.make("the payload of a ping");
  owed.push(payload);
  return frame(OP.ping, payload);
}
